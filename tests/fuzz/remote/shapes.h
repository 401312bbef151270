// The fields of the messages of generated calls (generate_driver.py).
#pragma once

#include <cstdint>
#include <vector>

#include "cuda/abi.h"
#include "remote/ops.h"

namespace tessera::remote::fuzz {

struct Field {
  enum Type : uint8_t { kValue, kText, kArray, kStructure, kWanted };
  Type type;
  uint64_t bytes;     // of a value, or of an element
  HandleKind handle;  // that it is
  int counted_by;     // an array: the field that says how many there are, or -1
  uint64_t less;      // than that field says; without one, how many there are
};

extern const std::vector<Field> kShapes[kCalls];

}  // namespace tessera::remote::fuzz
