// NVIDIA's XIDs: what the driver says that happened to a GPU.
#pragma once

#include "scheduling/faults/fault_kind.h"

namespace tessera::scheduling {

enum class FaultAdvice : uint8_t { kIgnore, kCheckProgram, kResetGpu, kInspectHardware };
const char* advice_text(FaultAdvice advice);  // "check the program", ...

struct Xid {
  uint32_t number;
  FaultKind kind;
  FaultAdvice advice;
  const char* what;
};

// Nothing for one that is not in the table: FaultKind::kTransient.
const Xid* find_xid(uint32_t number);

}  // namespace tessera::scheduling
