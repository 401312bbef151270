#include "node/messages.h"

#include <gtest/gtest.h>

#include <cstring>
#include <random>

namespace tessera::node {
namespace {

ByteSpan bytes_of(const std::string& text) { return std::as_bytes(std::span<const char>(text)); }

TEST(Messages, ReserveTravels) {
  std::string packet = encode_struct(vgpu::MessageType::kReserve, 7,
                                     vgpu::ReserveRequest{2, vgpu::BudgetKind::kLimit, 10, 20, 0, {}});
  auto message = decode_client_message(bytes_of(packet));
  ASSERT_TRUE(message.ok());
  EXPECT_EQ(message->request, 7U);
  auto& reserve = std::get<ReserveMessage>(message->body);
  EXPECT_EQ(reserve.device, 2U);
  EXPECT_EQ(reserve.bytes_needed, 10U);
  EXPECT_EQ(reserve.bytes_wanted, 20U);
}

TEST(Messages, ANeighbourTravelsWhetherItsNameEndsOrNot) {
  vgpu::ReserveRequest request{2, vgpu::BudgetKind::kNeighbour, 10, 20, 0, "GPU-1"};
  const auto neighbour = [&] {
    const std::string packet = encode_struct(vgpu::MessageType::kReserve, 7, request);
    return std::get<ReserveMessage>(decode_client_message(bytes_of(packet))->body).neighbour;
  };
  EXPECT_EQ(neighbour(), "GPU-1");
  std::memset(request.neighbour, 'x', sizeof request.neighbour);
  EXPECT_EQ(neighbour(), std::string(sizeof request.neighbour, 'x'));
}

TEST(Messages, BrokenRulesAreNamed) {
  auto why = [](std::string packet) { return decode_client_message(bytes_of(packet)).status().message(); };
  EXPECT_EQ(why("abc"), "packet of 3 bytes is too short");
  EXPECT_EQ(why(encode_struct(vgpu::MessageType::kReserve, 1,
                              vgpu::ReserveRequest{16, vgpu::BudgetKind::kLimit, 1, 1, 0, {}})),
            "device index 16 is out of range");
  EXPECT_EQ(why(encode_struct(vgpu::MessageType::kReserve, 1,
                              vgpu::ReserveRequest{0, vgpu::BudgetKind::kLimit, 2, 1, 0, {}})),
            "Reserve wants 1 bytes but needs 2");
  EXPECT_EQ(why(encode_struct(vgpu::MessageType::kAttach, 1, uint32_t{5})),
            "Attach carries 4 bytes instead of 32");
  EXPECT_EQ(why(encode_struct(vgpu::MessageType::kObserve, 1, uint32_t{5})),
            "Observe carries 4 bytes instead of 32");
  EXPECT_EQ(why(encode_message(vgpu::MessageType::kListProcesses, 1, "x")),
            "ListProcesses carries 1 bytes instead of 0");
  EXPECT_EQ(why(encode_message(vgpu::MessageType::kAttached, 1, "")),
            "a client does not send messages of type 2");
  std::string packet = encode_message(vgpu::MessageType::kControl, 1, "{}");
  EXPECT_EQ(why(packet + "x"), "header says 2 payload bytes, packet has 3");
  packet[0] = 'x';
  EXPECT_NE(why(packet).find("not a lease message"), std::string::npos);
}

TEST(Messages, TruncatedAndFlippedPacketsAreSafe) {
  std::mt19937 dice(1);
  std::string whole = encode_struct(vgpu::MessageType::kReserve, 7,
                                    vgpu::ReserveRequest{2, vgpu::BudgetKind::kLimit, 10, 20, 0, {}});
  for (int i = 0; i < 20'000; ++i) {
    std::string packet = whole.substr(0, dice() % (whole.size() + 1));
    for (int flips = static_cast<int>(dice() % 4); flips > 0 && !packet.empty(); --flips) {
      packet[dice() % packet.size()] ^= static_cast<char>(1 << dice() % 8);
    }
    auto message = decode_client_message(bytes_of(packet));
    if (!message.ok()) continue;
    if (auto* reserve = std::get_if<ReserveMessage>(&message->body)) {
      EXPECT_LT(reserve->device, vgpu::kMaxDevicesPerSlice);
      EXPECT_LE(reserve->bytes_needed, reserve->bytes_wanted);
    }
  }
}

TEST(Messages, TokensAreSixtyFourDigits) {
  Token token;
  for (size_t i = 0; i < token.size(); ++i) token[i] = static_cast<uint8_t>(i * 9);
  EXPECT_EQ(parse_token(token_text(token)), token);
  EXPECT_EQ(token_text(token).size(), 64U);
  EXPECT_FALSE(parse_token("00"));
  EXPECT_FALSE(parse_token(std::string(63, '0') + "G"));
}

}  // namespace
}  // namespace tessera::node
