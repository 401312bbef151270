#include "node/topology/pci_address.h"

#include <cstdio>

#include "common/strings.h"

namespace tessera::node {

std::string pci_address(std::string_view text) {
  const std::string copy(text);
  unsigned domain = 0, bus = 0, device = 0, function = 0;
  int used = 0;
  if (sscanf(copy.c_str(), "%8x:%2x:%2x.%1x%n", &domain, &bus, &device, &function, &used) != 4 ||
      static_cast<size_t>(used) != copy.size() || bus > 0xff || device > 0x1f || function > 7)
    return {};
  return str_format("%04x:%02x:%02x.%x", domain, bus, device, function);
}

}  // namespace tessera::node
