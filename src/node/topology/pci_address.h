// Addresses of PCI devices as text.
#pragma once

#include <string>
#include <string_view>

namespace tessera::node {

// "00000000:3B:00.0", as NVML has it, and other forms of the same, as "0000:3b:00.0"; empty: it is none.
std::string pci_address(std::string_view text);

}  // namespace tessera::node
