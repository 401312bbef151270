#include "softgpu/device/fault_command.h"

#include <gtest/gtest.h>

#include <string>

namespace tessera::softgpu {
namespace {

using Kind = FaultCommand::Kind;

FaultCommand parsed(const char* line) {
  auto command = parse_fault_command(line);
  EXPECT_TRUE(command.ok()) << line << ": " << command.status().message();
  return command.ok() ? *command : FaultCommand{};
}

TEST(FaultCommand, ReadsEachCommand) {
  EXPECT_EQ(parsed("xid 31").kind, Kind::kXid);
  EXPECT_EQ(parsed("xid 31").number, 31u);
  EXPECT_EQ(parsed("xid 79").kind, Kind::kLost);
  EXPECT_EQ(parsed("  lost \r").kind, Kind::kLost);
  EXPECT_EQ(parsed("clear").kind, Kind::kClear);
  EXPECT_EQ(parsed("ecc single").number, 1u);
  EXPECT_EQ(parsed("ecc single count=12").number, 12u);
  EXPECT_EQ(parsed("hang").timeout_ns, 0u);
  EXPECT_EQ(parsed("hang timeout=1.25").timeout_ns, 1'250'000'000u);
  EXPECT_EQ(parsed("slow 2").permille, 2000u);
  EXPECT_EQ(parsed("slow 2.5 power").permille, 2500u);
  EXPECT_EQ(parsed("slow 2.5 power").reason, SlowReason::kPower);
  const FaultCommand anywhere = parsed("ecc double");
  EXPECT_EQ(anywhere.kind, Kind::kDoubleBit);
  EXPECT_EQ(anywhere.address, 0u);
  const FaultCommand placed = parsed("ecc\tdouble pid=42 address=0x7f0000001000 uncontained");
  EXPECT_EQ(placed.address, 0x7f0000001000u);
  EXPECT_EQ(placed.pid, 42);
  EXPECT_TRUE(placed.uncontained);
}

TEST(FaultCommand, RefusesEverythingElse) {
  const std::string long_line = "xid " + std::string(kMaxCommandBytes, '1');
  for (const std::string& line : {std::string(""),
                                  std::string("xid"),
                                  std::string("xid 0"),
                                  std::string("xid 10000"),
                                  std::string("xid -1"),
                                  std::string("xid 1 2"),
                                  std::string("xid 18446744073709551617"),
                                  std::string("ecc"),
                                  std::string("ecc triple"),
                                  std::string("ecc single 5"),
                                  std::string("ecc single count=0"),
                                  std::string("ecc double address=0"),
                                  std::string("ecc double address=0xffffffffffffffff"),
                                  std::string("ecc double pid=3"),
                                  std::string("ecc double address=4096 pid=99999999999"),
                                  std::string("hang 3"),
                                  std::string("hang timeout=0"),
                                  std::string("hang timeout=1e9"),
                                  std::string("hang timeout=3600.001"),
                                  std::string("slow"),
                                  std::string("slow 0.5"),
                                  std::string("slow 101"),
                                  std::string("slow 2.0001"),
                                  std::string("slow .5"),
                                  std::string("slow 2."),
                                  std::string("slow nan"),
                                  std::string("slow 2 hot"),
                                  std::string("lost now"),
                                  std::string("clear all"),
                                  std::string("reboot"),
                                  std::string("Xid 3"),
                                  std::string("xid 3\0", 6),
                                  std::string("xid \xc3\xa9"),
                                  std::string("\x1b[2Jxid 3"),
                                  long_line}) {
    EXPECT_EQ(parse_fault_command(line).status().code(), Code::kInvalidArgument) << line;
  }
}

}  // namespace
}  // namespace tessera::softgpu
