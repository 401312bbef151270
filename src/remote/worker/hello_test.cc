// The first message of a session.
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <thread>

#include "common/fd.h"
#include "remote/ops.h"
#include "remote/transport/socket_transport.h"
#include "remote/wire/handle_id.h"
#include "remote/wire/writer.h"
#include "remote/worker/serving.h"
#include "remote/worker/worker.h"

namespace tessera::remote {
namespace {

int drivers_started = 0;

cuda::DriverTable driver_without_devices() {
  cuda::DriverTable table{};
  table.cuInit = [](unsigned) {
    ++drivers_started;
    return CUDA_SUCCESS;
  };
  table.cuDriverGetVersion = [](int* version) {
    *version = 12040;
    return CUDA_SUCCESS;
  };
  table.cuDeviceGetCount = [](int* count) {
    *count = 0;
    return CUDA_SUCCESS;
  };
  return table;
}

// What the server says to a client whose calls have that digest.
CUresult greeted(Link& client, uint64_t calls) {
  std::vector<std::byte> fields;
  Writer out(fields);
  out.value(calls);
  out.value<uint32_t>(0);
  out.value<uint64_t>(first_number(0));
  out.value<uint64_t>(0);
  for (size_t i = 0; i < std::size(kDriverSettings); ++i) out.text(nullptr);
  const MessageHeader header{static_cast<uint32_t>(sizeof header + fields.size()),
                             static_cast<uint16_t>(Message::kHello), kAnswerWanted};
  {
    Link::Sender sender(client);
    sender.append(std::as_bytes(std::span(&header, 1)));
    sender.append(fields);
    if (!sender.flush().ok()) return CUDA_ERROR_UNKNOWN;
  }
  MessageHeader answer;
  AnswerHead head;
  if (!client.read(std::as_writable_bytes(std::span(&answer, 1))).ok() ||
      !client.read(std::as_writable_bytes(std::span(&head, 1))).ok())
    return CUDA_ERROR_UNKNOWN;
  std::vector<std::byte> rest(answer.bytes - sizeof answer - sizeof head);
  return client.read(rest).ok() ? static_cast<CUresult>(head.result) : CUDA_ERROR_UNKNOWN;
}

// Its messages would be taken for others.
TEST(Hello, AnotherBuildsCallsAreRefusedBeforeTheDriverStarts) {
  int sockets[2];
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, sockets), 0);
  Link client(SocketTransport::create(UniqueFd(sockets[0]), "unix").value(), {});
  Link server(SocketTransport::create(UniqueFd(sockets[1]), "unix").value(), {});
  const UniqueFd standard_output(dup(STDOUT_FILENO));  // the worker's is the program's
  const cuda::DriverTable table = driver_without_devices();
  CUresult anothers = CUDA_SUCCESS, ours = CUDA_ERROR_UNKNOWN;
  int started_for_another = -1;
  {
    Worker worker(server, table);
    std::thread serving([&] { (void)worker.run(); });
    anothers = greeted(client, kCallsDigest + 1);
    started_for_another = drivers_started;
    ours = greeted(client, kCallsDigest);
    client.end();
    serving.join();
  }
  ASSERT_GE(dup2(standard_output.get(), STDOUT_FILENO), 0);
  EXPECT_EQ(anothers, CUDA_ERROR_SYSTEM_DRIVER_MISMATCH);
  EXPECT_EQ(started_for_another, 0);
  EXPECT_EQ(ours, CUDA_SUCCESS);
  EXPECT_EQ(drivers_started, 1);
}

TEST(OwnCalls, ServeWhatTheTableLeavesToThem) {
  for (uint16_t op = 0; op < kCalls; ++op) {
    if (kServedByHand[op]) {
      EXPECT_NE(own_serve(op), nullptr) << kCallNames[op];
    }
  }
}

}  // namespace
}  // namespace tessera::remote
