#include "remote/session/admission.h"

#include <gtest/gtest.h>

namespace tessera::remote {
namespace {

const std::string kToken = "0123456789abcdef-alice";
const std::string kOther = "0123456789abcdef-bob";

Bytes32 some(int value) {
  Bytes32 bytes;
  bytes.fill(static_cast<std::byte>(value));
  return bytes;
}

ByteSpan bytes_of(const std::string& text) { return std::as_bytes(std::span(text)); }

Result<HandshakeMessage> decoded(const std::string& frame) {
  return decode_handshake_message(static_cast<uint8_t>(frame[2]), bytes_of(frame.substr(kFrameHeaderBytes)));
}

Identity identity(const std::string& name, const std::string& token,
                  std::vector<std::string> certificates = {}) {
  Identity one;
  one.name = name;
  one.token = token;
  one.certificates = std::move(certificates);
  return one;
}

struct Server {
  Identities identities;
  Circumstances circumstances;

  Admission admission(int nonce = 1) { return {identities, circumstances, some(nonce)}; }
  Challenge challenge(int nonce = 1) { return std::get<Challenge>(*decoded(admission(nonce).challenge())); }
};

Hello hello_of(const Server& server, const Challenge& challenge, Method method, const std::string& key,
               const std::string& name) {
  Hello hello;
  hello.method = method;
  hello.nonce = some(77);
  hello.identity = name;
  hello.wishes = "{}";
  const Transcript said =
      said_of_new(server.circumstances.preamble, server.circumstances.binding, challenge, hello);
  hello.proof = said.prove(bytes_of(key), kClientProof);
  return hello;
}

Result<Admitted> admit(Server& server, Method method, const std::string& key, const std::string& name) {
  const Hello hello = hello_of(server, server.challenge(), method, key, name);
  return server.admission().admit(HandshakeMessage(hello));
}

Server with_tokens() {
  Server server;
  EXPECT_TRUE(server.identities.add(identity("alice", kToken)).ok());
  EXPECT_TRUE(server.identities.add(identity("bob", kOther)).ok());
  return server;
}

TEST(Identities, AreChecked) {
  Identities identities;
  EXPECT_FALSE(identities.add(identity("", kToken)).ok());
  EXPECT_FALSE(identities.add(identity("a b", kToken)).ok());
  EXPECT_FALSE(identities.add(identity(std::string(65, 'x'), kToken)).ok());
  EXPECT_FALSE(identities.add(identity("a", "short")).ok());
  EXPECT_TRUE(identities.add(identity("a", kToken, {"a.example"})).ok());
  EXPECT_FALSE(identities.add(identity("a", kToken)).ok());
  EXPECT_FALSE(identities.add(identity("b", kToken, {"a.example"})).ok());
  EXPECT_EQ(identities.all().size(), 1u);
  identities.forget_tokens();
  EXPECT_FALSE(identities.any_token());
}

TEST(Admission, ATokenIsProvedAndDoesNotTravel) {
  Server server = with_tokens();
  const Hello hello = hello_of(server, server.challenge(), Method::kToken, kToken, "alice");
  EXPECT_EQ(encode(HandshakeMessage(hello)).find(kToken), std::string::npos);
  const auto admitted = server.admission().admit(HandshakeMessage(hello));
  ASSERT_TRUE(admitted.ok()) << admitted.status().message();
  EXPECT_EQ(admitted->identity, "alice");
  EXPECT_EQ(admitted->wishes, "{}");
}

TEST(Admission, TheOnlyTokenNeedsNoName) {
  Server server;
  ASSERT_TRUE(server.identities.add(identity("default", kToken)).ok());
  EXPECT_EQ(admit(server, Method::kToken, kToken, "")->identity, "default");
  Server two = with_tokens();
  EXPECT_FALSE(admit(two, Method::kToken, kToken, "").ok());
}

TEST(Admission, AWrongTokenAndAnUnknownNameAreToldAlike) {
  Server server = with_tokens();
  const Status wrong = admit(server, Method::kToken, kOther, "alice").status();
  const Status unknown = admit(server, Method::kToken, kToken, "mallory").status();
  const Status missing = admit(server, Method::kToken, "", "alice").status();
  EXPECT_EQ(wrong.code(), Code::kPermissionDenied);
  EXPECT_EQ(wrong.message(), unknown.message());
  EXPECT_EQ(wrong.message(), missing.message());
  // Nobody has the key that stands in for a name that is not there.
  EXPECT_FALSE(admit(server, Method::kToken, "of an identity that is not there", "mallory").ok());
}

TEST(Admission, NothingThatWasRecordedIsOfUse) {
  Server server = with_tokens();
  const Hello hello = hello_of(server, server.challenge(1), Method::kToken, kToken, "alice");
  EXPECT_TRUE(server.admission(1).admit(HandshakeMessage(hello)).ok());
  EXPECT_FALSE(server.admission(2).admit(HandshakeMessage(hello)).ok());
}

TEST(Admission, WhoeverStandsBetweenTwoChannelsGetsNothing) {
  Server server = with_tokens();
  const Hello hello = hello_of(server, server.challenge(), Method::kToken, kToken, "alice");
  server.circumstances.binding = some(9);  // another channel than the client's
  EXPECT_FALSE(server.admission().admit(HandshakeMessage(hello)).ok());
}

TEST(Admission, NothingOfTheHelloCanBeChanged) {
  Server server = with_tokens();
  const Hello good = hello_of(server, server.challenge(), Method::kToken, kToken, "alice");
  Hello wishes = good, nonce = good, name = good;
  wishes.wishes = "{\"mem\":\"1TiB\"}";
  nonce.nonce = some(78);
  name.identity = "bob";
  for (const Hello& changed : {wishes, nonce, name})
    EXPECT_FALSE(server.admission().admit(HandshakeMessage(changed)).ok());
}

TEST(Admission, NobodyGetsInOnlyWhereThatIsSo) {
  Server server = with_tokens();
  const Status status = admit(server, Method::kNone, "", "").status();
  EXPECT_EQ(status.code(), Code::kPermissionDenied);
  EXPECT_NE(status.message().find("--token-file"), std::string::npos);
  Server open;
  open.circumstances.nobody_may_in = true;
  EXPECT_EQ(admit(open, Method::kNone, "", "root")->identity, Identities::kNobody);
}

TEST(Admission, CertificatesAreNames) {
  Server server;
  server.circumstances.asks_for_certificates = true;
  EXPECT_FALSE(admit(server, Method::kCertificate, "", "").ok());
  server.circumstances.certificate = "alice.example";
  EXPECT_EQ(admit(server, Method::kCertificate, "", "")->identity, "alice.example");
  ASSERT_TRUE(server.identities.add(identity("alice", "", {"alice.example"})).ok());
  EXPECT_EQ(admit(server, Method::kCertificate, "", "")->identity, "alice");
  EXPECT_EQ(admit(server, Method::kCertificate, "", "alice")->identity, "alice");
  EXPECT_FALSE(admit(server, Method::kCertificate, "", "bob").ok());
  server.circumstances.certificate = "bob.example";
  EXPECT_FALSE(admit(server, Method::kCertificate, "", "").ok());
}

TEST(Admission, OnlyAHelloIsAnAnswerToAChallenge) {
  Server server = with_tokens();
  EXPECT_EQ(server.admission().admit(HandshakeMessage(Return{})).status().code(), Code::kInvalidData);
}

TEST(Admission, TheServerProvesItselfAndItsSecretIsMasked) {
  Server server = with_tokens();
  const auto admitted = admit(server, Method::kToken, kToken, "alice");
  ASSERT_TRUE(admitted.ok());
  const Secret secret = some(42);
  SessionId session;
  session.fill(std::byte{3});
  const std::string frame = admitted->answer(session, secret);
  EXPECT_EQ(frame.find(std::string(8, 42)), std::string::npos);
  const Answer answer = std::get<Answer>(*decoded(frame));
  EXPECT_EQ(answer_proof(admitted->said, bytes_of(kToken), answer), answer.proof);
  EXPECT_NE(answer_proof(admitted->said, bytes_of(kOther), answer), answer.proof);
  EXPECT_EQ(masked(answer.masked_secret, admitted->said.prove(bytes_of(kToken), kMask)), secret);
}

// A client that comes back with `secret`.
Result<std::string> come_back(SessionSecrets& secrets, ConnectionKind kind, const Secret& secret,
                              const Secret& fresh) {
  const Preamble preamble{kWireVersion, kind, Flavour::kTcp, {}};
  Readmission server(secrets, preamble, {}, some(5));
  Return back{some(6), {}};
  const Transcript said = said_of_return(preamble, {}, Challenge{0, some(5)}, back);
  back.proof = said.prove(secret, kClientProof);
  return server.admit(HandshakeMessage(back), fresh);
}

TEST(SessionSecrets, AnOldOneIsRefusedOnceTheClientHasTheNew) {
  SessionSecrets secrets(some(1));
  EXPECT_TRUE(come_back(secrets, ConnectionKind::kResume, some(1), some(2)).ok());
  // Not confirmed: the answer may have been lost, so both hold.
  EXPECT_TRUE(come_back(secrets, ConnectionKind::kResume, some(1), some(3)).ok());
  EXPECT_FALSE(secrets.confirm(some(2)));
  EXPECT_TRUE(secrets.confirm(some(3)));
  EXPECT_EQ(come_back(secrets, ConnectionKind::kResume, some(1), some(4)).status().code(),
            Code::kPermissionDenied);
  EXPECT_FALSE(come_back(secrets, ConnectionKind::kStripe, some(1), some(4)).ok());
  EXPECT_TRUE(come_back(secrets, ConnectionKind::kStripe, some(3), some(4)).ok());
}

TEST(SessionSecrets, WhoUsesTheNewOneHasIt) {
  SessionSecrets secrets(some(1));
  EXPECT_TRUE(come_back(secrets, ConnectionKind::kResume, some(1), some(2)).ok());
  EXPECT_TRUE(
      come_back(secrets, ConnectionKind::kResume, some(2), some(3)).ok());  // the confirmation was lost
  EXPECT_FALSE(come_back(secrets, ConnectionKind::kResume, some(1), some(4)).ok());
}

TEST(SessionSecrets, AWrongConfirmationChangesNothing) {
  SessionSecrets secrets(some(1));
  const Preamble preamble{kWireVersion, ConnectionKind::kResume, Flavour::kTcp, {}};
  Readmission server(secrets, preamble, {}, some(5));
  Return back{some(6), {}};
  back.proof = said_of_return(preamble, {}, Challenge{0, some(5)}, back).prove(some(1), kClientProof);
  ASSERT_TRUE(server.admit(HandshakeMessage(back), some(2)).ok());
  EXPECT_FALSE(server.confirm(HandshakeMessage(Confirmation{some(9)})).ok());
  EXPECT_FALSE(server.confirm(HandshakeMessage(Return{})).ok());
  EXPECT_TRUE(come_back(secrets, ConnectionKind::kStripe, some(1), some(4)).ok());
}

}  // namespace
}  // namespace tessera::remote
