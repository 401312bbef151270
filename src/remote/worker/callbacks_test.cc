// Functions of the client, and calls beside a capture: what a session keeps of them, and when it ends.
#include "remote/worker/callbacks.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <future>
#include <thread>

#include "common/fd.h"
#include "remote/ops.h"
#include "remote/transport/socket_transport.h"
#include "remote/worker/worker.h"

namespace tessera::remote {
namespace {

struct Launched {
  CUhostFn function;
  void* data;
};
std::vector<Launched> launched;  // what the driver below was given, oldest first
CUstreamCaptureStatus capture = CU_STREAM_CAPTURE_STATUS_NONE;

cuda::DriverTable driver_of_functions() {
  cuda::DriverTable table{};
  table.cuStreamIsCapturing = [](CUstream, CUstreamCaptureStatus* status) {
    *status = capture;
    return CUDA_SUCCESS;
  };
  table.cuLaunchHostFunc = [](CUstream, CUhostFn function, void* data) {
    launched.push_back({function, data});
    return CUDA_SUCCESS;
  };
  table.cuUserObjectCreate = [](CUuserObject* object, void* data, CUhostFn function, unsigned, unsigned) {
    *object = nullptr;
    launched.push_back({function, data});
    return CUDA_SUCCESS;
  };
  return table;
}

class CallbacksTest : public testing::Test {
 protected:
  CallbacksTest() : standard_output_(dup(STDOUT_FILENO)), table_(driver_of_functions()) {
    int sockets[2];
    EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, sockets), 0);
    client_ =
        std::make_unique<Link>(SocketTransport::create(UniqueFd(sockets[0]), "unix").value(), LinkOptions());
    server_ =
        std::make_unique<Link>(SocketTransport::create(UniqueFd(sockets[1]), "unix").value(), LinkOptions());
    worker_ = std::make_unique<Worker>(*server_, table_);
    launched.clear();
    capture = CU_STREAM_CAPTURE_STATUS_NONE;
  }
  ~CallbacksTest() override {
    worker_.reset();
    EXPECT_GE(dup2(standard_output_.get(), STDOUT_FILENO), 0);  // the worker's is the program's
  }

  // What the client is told next.
  CallbackTurn turn() {
    MessageHeader header;
    CallbackTurn told;
    EXPECT_TRUE(client_->read(std::as_writable_bytes(std::span(&header, 1))).ok());
    EXPECT_EQ(header.op, static_cast<uint16_t>(Message::kCallback));
    EXPECT_EQ(header.bytes, sizeof header + sizeof told);
    EXPECT_TRUE(client_->read(std::as_writable_bytes(std::span(&told, 1))).ok());
    return told;
  }
  // The stream comes to the oldest function; the client's returns.
  CallbackTurn run(Callbacks& callbacks) {
    const Launched next = launched.front();
    launched.erase(launched.begin());
    std::thread stream([next] { next.function(next.data); });
    const CallbackTurn told = turn();
    callbacks.done(told.callback);
    stream.join();
    return told;
  }

  const UniqueFd standard_output_;
  const cuda::DriverTable table_;
  std::unique_ptr<Link> client_, server_;
  std::unique_ptr<Worker> worker_;
};

TEST_F(CallbacksTest, WhatIsCalledOnceIsNotKept) {
  Callbacks callbacks(*worker_, 2);
  for (uint64_t number = 1; number <= 100; ++number) {
    ASSERT_EQ(callbacks.launch(nullptr, number), CUDA_SUCCESS) << number;
    const CallbackTurn told = run(callbacks);
    EXPECT_EQ(told.callback, number);
    EXPECT_EQ(told.is_last, 1u);
  }
  EXPECT_EQ(callbacks.launch(nullptr, 101), CUDA_SUCCESS);
  EXPECT_EQ(callbacks.launch(nullptr, 102), CUDA_SUCCESS);
  EXPECT_EQ(callbacks.launch(nullptr, 103), CUDA_ERROR_OUT_OF_MEMORY);
  run(callbacks);
  EXPECT_EQ(callbacks.launch(nullptr, 103), CUDA_SUCCESS);
  run(callbacks);
  run(callbacks);
}

TEST_F(CallbacksTest, ObjectsThatHaveEndedAreNotKept) {
  Callbacks callbacks(*worker_, 2);
  for (uint64_t number = 1; number <= 100; ++number) {
    CUuserObject object = nullptr;
    ASSERT_EQ(callbacks.create_object(&object, number, 1, 0), CUDA_SUCCESS) << number;
    const Launched end = launched.back();
    launched.pop_back();
    std::thread driver([end] { end.function(end.data); });
    EXPECT_EQ(turn().callback, number);
    driver.join();  // nobody waits for the client
  }
}

TEST_F(CallbacksTest, WhatGraphsMayCallAgainIsKeptAndBounded) {
  Callbacks callbacks(*worker_, 2);
  const CUDA_HOST_NODE_PARAMS node = callbacks.node(7);
  EXPECT_EQ(callbacks.number_of(node), 7u);
  EXPECT_EQ(callbacks.node(7).userData, node.userData);
  capture = CU_STREAM_CAPTURE_STATUS_ACTIVE;
  ASSERT_EQ(callbacks.launch(nullptr, 8), CUDA_SUCCESS);
  const Launched captured = launched.front();
  for (int replay = 0; replay < 3; ++replay) {
    const CallbackTurn told = run(callbacks);
    EXPECT_EQ(told.callback, 8u);
    EXPECT_EQ(told.is_last, 0u);
    launched.push_back(captured);
  }
  EXPECT_EQ(callbacks.node(9).fn, nullptr);
  EXPECT_EQ(callbacks.launch(nullptr, 9), CUDA_ERROR_OUT_OF_MEMORY);
  EXPECT_EQ(callbacks.launch(nullptr, 8), CUDA_SUCCESS);
  EXPECT_EQ(callbacks.number_of({nullptr, nullptr}), 0u);
}

// Calls that wait are made by another thread while one of the client's captures a stream.
TEST_F(CallbacksTest, AMalformedMessageBesideACaptureEndsTheSession) {
  ClientThread capturing;
  capturing.number = 1;
  worker_->capture_began(1, capturing, CU_STREAM_CAPTURE_MODE_GLOBAL);
  auto ended = std::async(std::launch::async, [&] { return worker_->run(); });
  const auto op = static_cast<uint16_t>(Op::cuStreamSynchronize);
  ASSERT_TRUE(kWaits[op]);
  const MessageHeader header{sizeof header, op, kAnswerWanted};  // without the stream
  {
    Link::Sender sender(*client_);
    sender.append(std::as_bytes(std::span(&header, 1)));
    ASSERT_TRUE(sender.flush().ok());
  }
  const bool has_ended = ended.wait_for(std::chrono::seconds(20)) == std::future_status::ready;
  EXPECT_TRUE(has_ended);
  if (!has_ended) client_->end();
  EXPECT_EQ(ended.get().code(), Code::kInvalidData);
}

}  // namespace
}  // namespace tessera::remote
