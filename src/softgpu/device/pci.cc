#include "softgpu/device/pci.h"

#include <charconv>
#include <vector>

#include "common/strings.h"

namespace tessera::softgpu {
namespace {

bool parse_hex(std::string_view text, size_t max_digits, uint32_t* value) {
  if (text.empty() || text.size() > max_digits) return false;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), *value, 16);
  return error == std::errc() && end == text.data() + text.size();
}

}  // namespace

std::string format_pci(const PciAddress& address, int domain_digits) {
  return str_format("%0*x:%02x:%02x.0", domain_digits, address.domain, address.bus, address.device);
}

std::optional<PciAddress> parse_pci(std::string_view text) {
  const size_t dot = text.rfind('.');
  if (dot != std::string_view::npos) {
    if (text.substr(dot) != ".0") return std::nullopt;  // there is no other function
    text = text.substr(0, dot);
  }
  std::vector<std::string_view> parts = split(text, ':');
  if (parts.size() == 2) parts.insert(parts.begin(), "0");
  PciAddress address;
  if (parts.size() != 3 || !parse_hex(parts[0], 8, &address.domain) ||
      !parse_hex(parts[1], 2, &address.bus) || !parse_hex(parts[2], 2, &address.device)) {
    return std::nullopt;
  }
  return address;
}

}  // namespace tessera::softgpu
