#include "softgpu/device/pci.h"

#include <gtest/gtest.h>

namespace tessera::softgpu {
namespace {

TEST(Pci, IsWrittenAsCudaAndNvmlDo) {
  EXPECT_EQ(format_pci(pci_address(0)), "5347:01:00.0");
  EXPECT_EQ(format_pci(pci_address(15), 8), "00005347:10:00.0");
}

TEST(Pci, IsReadInAllItsSpellings) {
  for (const char* text : {"5347:02:00.0", "00005347:02:00.0", "5347:02:00", "5347:2:0.0"}) {
    EXPECT_EQ(parse_pci(text), pci_address(1)) << text;
  }
  EXPECT_EQ(parse_pci("0a:00.0"), (PciAddress{0, 10, 0}));
}

TEST(Pci, RefusesWhatIsNoAddress) {
  for (const char* text : {"", ".0", ":", "1:2:3:4", "xyz:01:00.0", "5347:01:00.1", "5347:001:00.0",
                           "5347: 1:00", "123456789:01:00.0", "-1:01:00"}) {
    EXPECT_EQ(parse_pci(text), std::nullopt) << text;
  }
}

}  // namespace
}  // namespace tessera::softgpu
