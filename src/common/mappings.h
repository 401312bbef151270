// What a process has at which addresses, as the kernel lists it (proc(5), /proc/PID/maps).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "common/status.h"

namespace tessera {

struct Mapping {
  uint64_t begin = 0, end = 0;
  std::string_view path;  // empty where it is no file's
};

// The lines of this process's list.
Result<std::string> own_mappings();
// False where the line is none of such a list.
bool read_mapping(std::string_view line, Mapping* mapping);

struct AddressSpan {
  uint64_t begin = 0, end = 0;
};
// What lies at or after `address` of the mappings in `list`: to the first gap of at least `gap` bytes. Empty,
// at `address`, where such a gap begins there already.
AddressSpan taken_from(std::string_view list, uint64_t address, uint64_t gap);

}  // namespace tessera
