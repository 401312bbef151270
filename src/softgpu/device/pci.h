// Where a software device claims to sit on the PCI bus.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace tessera::softgpu {

struct PciAddress {
  uint32_t domain = 0, bus = 0, device = 0;
  bool operator==(const PciAddress&) const = default;
};

// A domain that no machine numbers ("SG"), so that a tool that follows the address through sysfs finds
// nothing there instead of somebody else's device.
inline PciAddress pci_address(int physical_index) {
  return {0x5347, static_cast<uint32_t>(physical_index) + 1, 0};
}

// "5347:01:00.0"; with 8 digits of domain as NVML also writes it.
std::string format_pci(const PciAddress& address, int domain_digits = 4);
// Both of these, with or without domain (then 0) and function.
std::optional<PciAddress> parse_pci(std::string_view text);

}  // namespace tessera::softgpu
