// A client that comes back over real sockets, and others that would like to be it.
#include "remote/session/returning.h"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/socket.h>

#include <filesystem>
#include <optional>
#include <thread>

#include "common/clock.h"
#include "remote/session/client.h"
#include "remote/session/exchange.h"
#include "remote/testing/certificates.h"
#include "remote/transport/dial.h"
#include "remote/transport/socket_transport.h"

namespace tessera::remote {
namespace {

uint64_t soon() { return monotonic_ns() + 10'000'000'000; }

Secret some(int value) {
  Secret secret;
  secret.fill(static_cast<std::byte>(value));
  return secret;
}

// A server's session that takes one connection at a time.
class Session {
 public:
  explicit Session(Flavour flavour) {
    char name[] = "/tmp/tessera-back-XXXXXX";
    folder_ = mkdtemp(name);
    address_ =
        is_local(flavour) ? Address{flavour, "", 0, folder_ + "/s"} : Address{flavour, "localhost", 0, ""};
    listening_ = std::move(listen_at(address_, 4).value()[0]);
    if (!is_local(flavour)) {
      address_.port = bound_port(listening_.get()).value();
      if (flavour == Flavour::kTcp) address_.host = "127.0.0.1";
    }
  }
  ~Session() { std::filesystem::remove_all(folder_); }

  const Address& address() const { return address_; }

  // Serves the next connection.
  Result<Returned> serve() {
    Preamble preamble;
    TESSERA_ASSIGN_OR_RETURN(auto plain, next(preamble));
    return accept_returning({preamble, std::move(*plain).release()}, secrets, soon());
  }

  // As somebody would who has a certificate, and nothing else.
  Status pretend(const std::shared_ptr<TlsContext>& tls) {
    Preamble preamble;
    TESSERA_ASSIGN_OR_RETURN(auto plain, next(preamble));
    TESSERA_RETURN_IF_ERROR(send_all(*plain, encode(Greeting{}), soon()));
    return start_tls(std::move(*plain).release(), tls, "", soon()).status();
  }

  SessionSecrets secrets{some(1)};
  SessionId id{};
  Credentials credentials;

 private:
  Result<std::unique_ptr<SocketTransport>> next(Preamble& preamble) {
    TESSERA_RETURN_IF_ERROR(
        poll_socket(listening_.get(), Transport::kReadable, std::chrono::seconds(10)).status());
    UniqueFd socket(accept4(listening_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    TESSERA_ASSIGN_OR_RETURN(auto plain, SocketTransport::create(std::move(socket), "tcp"));
    std::array<std::byte, kPreambleBytes> bytes;
    TESSERA_RETURN_IF_ERROR(receive_exactly(*plain, bytes, soon()));
    TESSERA_ASSIGN_OR_RETURN(preamble, decode_preamble(bytes));
    return plain;
  }

  std::string folder_;
  Address address_;
  UniqueFd listening_;
};

class Returning_ : public testing::TestWithParam<Flavour> {};
INSTANTIATE_TEST_SUITE_P(Flavours, Returning_,
                         testing::Values(Flavour::kTcp, Flavour::kTls, Flavour::kShm, Flavour::kUnix),
                         [](const auto& of) { return std::string(flavour_name(of.param)); });

TEST_P(Returning_, GetsANewSecretEachTime) {
  Session session(GetParam());
  Secret secret = some(1);
  for (int round = 0; round < 3; ++round) {
    const Secret before = secret;
    Result<Returned> served = Status(Code::kInternal, "");
    std::jthread server([&] { served = session.serve(); });
    auto client = resume_session(session.address(), session.credentials, session.id, secret, soon());
    ASSERT_TRUE(client.ok()) << client.status().message();
    ASSERT_TRUE(send_all(**client, std::string_view("hello"), soon()).ok());
    server.join();
    ASSERT_TRUE(served.ok()) << served.status().message();
    std::array<std::byte, 5> bytes;
    EXPECT_TRUE(receive_exactly(*served->transport, bytes, soon()).ok());
    EXPECT_STREQ((*client)->kind(), flavour_name(GetParam()));
    EXPECT_NE(secret, before);
  }
}

TEST_P(Returning_, AStolenSecretIsOfNoUseOnceTheClientIsBack) {
  Session session(GetParam());
  Secret secret = some(1), stolen = some(1);
  {
    std::jthread server([&] { EXPECT_TRUE(session.serve().ok()); });
    ASSERT_TRUE(resume_session(session.address(), session.credentials, session.id, secret, soon()).ok());
  }
  for (const bool stripe : {false, true}) {
    std::jthread server([&] { EXPECT_EQ(session.serve().status().code(), Code::kPermissionDenied); });
    const auto thief =
        stripe ? open_stripe(session.address(), session.credentials, session.id, stolen, soon())
               : resume_session(session.address(), session.credentials, session.id, stolen, soon());
    EXPECT_EQ(thief.status().code(), Code::kPermissionDenied) << thief.status().message();
  }
  std::jthread server([&] { EXPECT_TRUE(session.serve().ok()); });
  EXPECT_TRUE(open_stripe(session.address(), session.credentials, session.id, secret, soon()).ok());
}

TEST(ReturningPlain, WhatWasRecordedIsRefused) {
  Session session(Flavour::kTcp);
  // The client's bytes of one return, as somebody on the way has seen them.
  std::string recorded;
  {
    Secret secret = some(1);
    std::jthread server([&] { (void)session.serve(); });
    auto plain = SocketTransport::create(dial(session.address(), soon()).value(), "tcp").value();
    const Preamble preamble{kWireVersion, ConnectionKind::kStripe, Flavour::kTcp, session.id};
    ASSERT_TRUE(send_all(*plain, encode(preamble), soon()).ok());
    std::array<std::byte, kGreetingBytes> greeting;
    ASSERT_TRUE(receive_exactly(*plain, greeting, soon()).ok());
    const auto challenge = std::get<Challenge>(*receive_message(*plain, soon()));
    Return back{some(3), {}};
    Transcript said;
    said.add(encode(preamble));
    said.add(Bytes32{});
    said.add(std::as_bytes(std::span(&challenge.methods, 1)));
    said.add(challenge.nonce);
    said.add(back.nonce);
    back.proof = said.prove(secret, kClientProof);
    recorded = encode(HandshakeMessage(back));
    ASSERT_TRUE(send_all(*plain, recorded, soon()).ok());
    EXPECT_TRUE(std::holds_alternative<Answer>(*receive_message(*plain, soon())));
  }
  std::jthread server([&] { EXPECT_EQ(session.serve().status().code(), Code::kPermissionDenied); });
  auto plain = SocketTransport::create(dial(session.address(), soon()).value(), "tcp").value();
  ASSERT_TRUE(send_all(*plain,
                       encode(Preamble{kWireVersion, ConnectionKind::kStripe, Flavour::kTcp, session.id}),
                       soon())
                  .ok());
  std::array<std::byte, kGreetingBytes> greeting;
  ASSERT_TRUE(receive_exactly(*plain, greeting, soon()).ok());
  ASSERT_TRUE(receive_message(*plain, soon()).ok());
  ASSERT_TRUE(send_all(*plain, recorded, soon()).ok());
  EXPECT_TRUE(std::holds_alternative<Refusal>(*receive_message(*plain, soon())));
}

TEST(ReturningPlain, WhoeverSaysNothingIsNotWaitedForWithoutEnd) {
  Session session(Flavour::kUnix);
  int ends[2];
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
  const UniqueFd silent(ends[0]);
  const auto returned = accept_returning(
      {Preamble{kWireVersion, ConnectionKind::kResume, Flavour::kUnix, {}}, UniqueFd(ends[1])},
      session.secrets, monotonic_ns() + 50'000'000);
  EXPECT_EQ(returned.status().code(), Code::kDeadlineExceeded);
}

// The session's process has no certificate, and its client takes none for the secret.
TEST(ReturningTls, WhoeverHasACertificateAndNotTheSecretIsRefused) {
  Session session(Flavour::kTls);
  Certificates certificates;
  const auto files = certificates.issue("localhost");
  session.credentials.ca = certificates.ca();
  const auto tls = TlsContext::server({files.certificate, files.key, ""}).value();
  std::jthread server([&] { EXPECT_FALSE(session.pretend(tls).ok()); });
  Secret secret = some(1);
  const auto client = resume_session(session.address(), session.credentials, session.id, secret, soon());
  EXPECT_EQ(client.status().code(), Code::kPermissionDenied) << client.status().message();
}

TEST(ReturningTls, BothSecretsHoldUntilTheClientHasTheNewOne) {
  SessionSecrets secrets(some(1));
  const auto is_known = [&](int value) { return secrets.find_tls_key(tls_name_of(some(value))).has_value(); };
  EXPECT_EQ(secrets.find_tls_key(tls_name_of(some(1))), tls_key_of(some(1)));
  EXPECT_FALSE(is_known(2));
  secrets.offer(some(1), some(2));
  EXPECT_TRUE(is_known(1) && is_known(2));
  EXPECT_TRUE(secrets.confirm(some(2)));
  EXPECT_FALSE(is_known(1));
  EXPECT_TRUE(is_known(2));
  EXPECT_FALSE(secrets.find_tls_key({}).has_value());
}

}  // namespace
}  // namespace tessera::remote
