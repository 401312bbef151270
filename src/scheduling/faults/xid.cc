#include "scheduling/faults/xid.h"

#include <algorithm>
#include <iterator>

namespace tessera::scheduling {
namespace {

using enum FaultKind;
using enum FaultAdvice;

// By number. Names are those of NVIDIA's XID catalogue. Which are the application's is what NVIDIA's device
// plugin for Kubernetes passes over (13, 31, 43, 45, 68, 109), which are the device's what DCGM's health
// watch fails for (48, 74, 79, 95, 119, 120, 140); it warns of 94.
constexpr Xid kXids[] = {
    {8, kTenant, kCheckProgram, "a kernel ran into the watchdog"},
    {13, kTenant, kCheckProgram, "graphics engine exception"},
    {31, kTenant, kCheckProgram, "memory page fault"},
    {43, kTenant, kCheckProgram, "channel reset after the program's own failure"},
    {45, kTenant, kIgnore, "clean-up after an earlier failure"},
    {48, kDevice, kResetGpu, "uncorrectable memory error"},
    {62, kDevice, kResetGpu, "micro-controller halt"},
    {63, kTransient, kIgnore, "memory row or page taken out of use"},
    {64, kDevice, kInspectHardware, "memory row or page could not be taken out of use"},
    {68, kTenant, kCheckProgram, "video processor exception"},
    {74, kDevice, kInspectHardware, "NVLink error"},
    {79, kDeviceLost, kInspectHardware, "fallen off the bus"},
    {92, kTransient, kInspectHardware, "many corrected memory errors"},
    {94, kTransient, kResetGpu, "contained memory error: it took its program and nobody else"},
    {95, kDevice, kResetGpu, "uncontained memory error"},
    {109, kTenant, kCheckProgram, "context switch time-out"},
    {119, kDevice, kResetGpu, "system processor does not answer"},
    {120, kDevice, kResetGpu, "system processor error"},
    {140, kDevice, kResetGpu, "unrecovered memory error"},
};
static_assert(std::is_sorted(std::begin(kXids), std::end(kXids),
                             [](const Xid& a, const Xid& b) { return a.number < b.number; }));

}  // namespace

const char* advice_text(FaultAdvice advice) {
  switch (advice) {
    case kIgnore:
      return "nothing to do";
    case kCheckProgram:
      return "check the program";
    case kResetGpu:
      return "reset the GPU";
    case kInspectHardware:
      return "inspect the hardware";
  }
  return "";
}

const Xid* find_xid(uint32_t number) {
  const Xid* found = std::lower_bound(std::begin(kXids), std::end(kXids), number,
                                      [](const Xid& xid, uint32_t wanted) { return xid.number < wanted; });
  return found != std::end(kXids) && found->number == number ? found : nullptr;
}

FaultKind kind_of_xid(uint32_t number) {
  const Xid* xid = find_xid(number);
  return xid == nullptr ? kTransient : xid->kind;
}

}  // namespace tessera::scheduling
