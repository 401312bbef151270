#include "common/mappings.h"

#include <charconv>

#include "common/fd.h"
#include "common/strings.h"

namespace tessera {

Result<std::string> own_mappings() {
  constexpr size_t kLimitBytes = 64 << 20;  // of 65,530 mappings, with long names
  return read_file("/proc/self/maps", kLimitBytes);
}

bool read_mapping(std::string_view line, Mapping* mapping) {
  const char* const last = line.data() + line.size();
  const auto first = std::from_chars(line.data(), last, mapping->begin, 16);
  if (first.ec != std::errc{} || first.ptr == last || *first.ptr != '-') return false;
  if (std::from_chars(first.ptr + 1, last, mapping->end, 16).ec != std::errc{}) return false;
  const size_t path = line.find('/');
  mapping->path = path == std::string_view::npos ? std::string_view() : line.substr(path);
  return mapping->begin < mapping->end;
}

AddressSpan taken_from(std::string_view list, uint64_t address, uint64_t gap) {
  AddressSpan taken{address, address};
  for (const std::string_view line : split(list, '\n')) {
    Mapping mapping;
    if (!read_mapping(line, &mapping) || mapping.end <= taken.end) continue;
    if (mapping.begin > taken.end && mapping.begin - taken.end >= gap) break;
    taken.end = mapping.end;
  }
  return taken;
}

}  // namespace tessera
