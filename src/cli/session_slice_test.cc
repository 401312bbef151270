#include "cli/session_slice.h"

#include <gtest/gtest.h>

namespace tessera::cli {
namespace {

SessionLimits alices() {
  SessionLimits limits;
  limits.gpus = {0, 2};
  limits.memory_bytes = uint64_t{2} << 30;
  limits.share_permille = 250;
  limits.priority = scheduling::PriorityClass::kNormal;
  limits.weight = 100;
  return limits;
}

std::string refusal(const std::string& wishes) {
  const auto request = session_slice_request("alice", alices(), wishes);
  return request.ok() ? "granted" : request.status().message();
}

TEST(SessionSlice, WithoutWishesItIsWhatTheIdentityMayHave) {
  for (const char* wishes : {"", "{}"}) {
    const auto request = session_slice_request("alice", alices(), wishes);
    ASSERT_TRUE(request.ok()) << request.status().message();
    EXPECT_EQ(node::json_text(*request),
              R"({"program":"alice:remote","gpus":[0,2],"memory_bytes":[2147483648],)"
              R"("compute":[{"share_permille":250,"weight":100,"priority":"normal"}]})");
  }
}

TEST(SessionSlice, WithoutLimitsItIsWhatTheClientWishes) {
  const auto request = session_slice_request(
      "local", {},
      R"({"program":"train.py","memory_bytes":[5],"compute":[{"qos":"burstable"}],"op":"delete_slice"})");
  ASSERT_TRUE(request.ok());
  EXPECT_EQ(node::json_text(*request),
            R"({"program":"local:train.py","memory_bytes":[5],"compute":[{"qos":"burstable"}]})");
}

TEST(SessionSlice, LessThanTheLimitIsGranted) {
  const auto request = session_slice_request(
      "alice", alices(),
      R"({"gpus":[2],"memory_bytes":[7],"compute":[{"share_permille":10,"priority":"low"}]})");
  ASSERT_TRUE(request.ok()) << request.status().message();
  EXPECT_EQ(node::json_text(*request), R"({"program":"alice:remote","gpus":[2],"memory_bytes":[7],)"
                                       R"("compute":[{"share_permille":10,"priority":"low","weight":100}]})");
}

TEST(SessionSlice, MoreThanTheLimitIsRefusedWithBothFigures) {
  EXPECT_EQ(refusal(R"({"memory_bytes":[4294967296]})"),
            "'alice' may have of a GPU's memory 2GiB and wishes for 4GiB");
  EXPECT_NE(refusal(R"({"memory_bytes":[1,4294967296]})").find("4GiB"), std::string::npos);
  EXPECT_NE(refusal(R"({"gpus":[1]})").find("GPU 1"), std::string::npos);
  EXPECT_NE(refusal(R"({"compute":[{"share_permille":251}]})").find("250"), std::string::npos);
  EXPECT_NE(refusal(R"({"compute":[{},{"share_permille":1000}]})").find("1000"), std::string::npos);
  EXPECT_NE(refusal(R"({"compute":[{"weight":101}]})").find("101"), std::string::npos);
  EXPECT_NE(refusal(R"({"compute":[{"priority":"realtime"}]})").find("realtime"), std::string::npos);
  EXPECT_NE(refusal(R"({"compute":[{"slo_p99_ns":1}]})").find("--slo"), std::string::npos);
}

TEST(SessionSlice, WishesThatAreNoneAreRefused) {
  for (const char* wishes :
       {"[]", "{", R"({"gpus":["x"]})", R"({"gpus":[-1]})", R"({"gpus":[4294967296]})",
        R"({"memory_bytes":[-5]})", R"({"memory_bytes":["2GiB"]})", R"({"compute":[5]})",
        R"({"compute":[{"share_permille":"all"}]})", R"({"compute":[{"priority":"first"}]})"}) {
    EXPECT_NE(refusal(wishes).find("makes no sense"), std::string::npos) << wishes << ": " << refusal(wishes);
  }
  std::string many = R"({"gpus":[0)";
  for (int i = 0; i < 64; ++i) many += ",0";
  EXPECT_NE(refusal(many + "]}").find("makes no sense"), std::string::npos);
}

TEST(SessionSlice, NamesOfProgramsAreTheIdentitysAndBounded) {
  const auto request = session_slice_request("a", {}, R"({"program":"x\n)" + std::string(200, 'y') + "\"}");
  ASSERT_TRUE(request.ok());
  EXPECT_EQ(node::json_string(*request, "program"), "a:x_" + std::string(62, 'y'));
}

}  // namespace
}  // namespace tessera::cli
