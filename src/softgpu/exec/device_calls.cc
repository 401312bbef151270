#include "softgpu/exec/device_calls.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <iterator>

#include "softgpu/exec/call_site.h"
#include "softgpu/exec/faults.h"
#include "softgpu/exec/frames.h"
#include "softgpu/exec/grid_calls.h"
#include "softgpu/exec/printf_format.h"

namespace tessera::softgpu::exec {
namespace {

constexpr size_t kMaxString = 64u << 10;

// The string at a generic address, or nothing where it leaves readable memory before its end.
bool read_string(WarpState& warp, uint32_t lane, uint64_t address, std::string* text) {
  for (size_t i = 0; i < kMaxString; ++i) {
    const std::byte* c = readable(warp, lane, address + i, 1);
    if (c == nullptr) return false;
    if (*c == std::byte{0}) return true;
    text->push_back(static_cast<char>(*c));
  }
  return true;
}

const Op* print(Warp& core, const Op* op, const CallSite& site, std::byte* frame, uint32_t mask) {
  WarpState& warp = *core.state;
  for (uint32_t lane = 0; lane < kWarpSize; ++lane) {
    if ((mask >> lane & 1) == 0) continue;
    std::string format;
    if (!read_string(warp, lane, argument(site, frame, 0, lane), &format)) {
      return fault(core, op, FaultKind::kIllegalAddress, lane, "printf: the format is not readable");
    }
    const uint64_t arguments = argument(site, frame, 1, lane);
    uint64_t offset = 0;
    bool readable_arguments = true;
    const ArgumentReader next = [&](size_t bytes) {
      offset = (offset + bytes - 1) / bytes * bytes;
      uint64_t value = 0;
      const std::byte* at = readable(warp, lane, arguments + offset, bytes);
      if (at != nullptr) std::memcpy(&value, at, bytes);
      readable_arguments = readable_arguments && at != nullptr;
      offset += bytes;
      return value;
    };
    const StringReader string = [&](uint64_t address) {
      std::string text;
      readable_arguments = read_string(warp, lane, address, &text) && readable_arguments;
      return text;
    };
    int count = 0;
    std::string text = format_device_printf(format, next, string, &count);
    if (!readable_arguments)
      return fault(core, op, FaultKind::kIllegalAddress, lane, "printf: an argument is not readable");
    const DeviceServices* services = warp.block->launch->services;
    if (services != nullptr && services->print) services->print(std::move(text));
    if (!site.results.empty()) std::memcpy(frame + site.results[0].caller + size_t{lane} * 4, &count, 4);
  }
  return op + 1;
}

const Op* assert_failed(Warp& core, const Op* op, const CallSite& site, std::byte* frame, uint32_t mask) {
  WarpState& warp = *core.state;
  const BlockState& block = *warp.block;
  const Dim3& size = block.launch->block;
  for (uint32_t lane = 0; lane < kWarpSize; ++lane) {
    if ((mask >> lane & 1) == 0) continue;
    std::string message, file, function;
    const bool ok = read_string(warp, lane, argument(site, frame, 0, lane), &message) &&
                    read_string(warp, lane, argument(site, frame, 1, lane), &file) &&
                    read_string(warp, lane, argument(site, frame, 3, lane), &function);
    if (!ok) return fault(core, op, FaultKind::kIllegalAddress, lane, "assert: its text is not readable");
    const uint32_t thread = warp.index * kWarpSize + lane;
    char where[160];
    std::snprintf(where, sizeof(where), "block: [%u,%u,%u], thread: [%u,%u,%u]", block.block.x, block.block.y,
                  block.block.z, thread % size.x, thread / size.x % size.y, thread / (size.x * size.y));
    const std::string line = std::to_string(static_cast<uint32_t>(argument(site, frame, 2, lane)));
    const DeviceServices* services = block.launch->services;
    if (services != nullptr && services->assert_failed) {
      services->assert_failed(file + ":" + line + ": " + function + ": " + where + " Assertion `" + message +
                              "` failed.");
    }
  }
  return fault(core, op, FaultKind::kAssert, static_cast<uint32_t>(__builtin_ctz(mask)), "assertion failed");
}

// A conditional handle of a graph is the address of its value, which the driver reads when the node's turn
// comes.
const Op* set_condition(Warp& core, const Op* op, const CallSite& site, std::byte* frame, uint32_t mask) {
  const AddressMap& memory = *core.state->block->launch->memory;
  for (uint32_t lane = 0; lane < kWarpSize; ++lane) {
    if ((mask >> lane & 1) == 0) continue;
    const uint64_t handle = argument(site, frame, 0, lane);
    const AddressRange range = memory.find(handle);
    if (handle % sizeof(uint32_t) != 0 || !range.contains(handle, sizeof(uint32_t)) || !range.writable) {
      return fault(core, op, FaultKind::kIllegalAddress, lane, "cudaGraphSetConditional: not a handle");
    }
    auto* value = reinterpret_cast<uint32_t*>(static_cast<uintptr_t>(handle));
    std::atomic_ref(*value).store(static_cast<uint32_t>(argument(site, frame, 1, lane)));
  }
  return op + 1;
}

const Op* heap_allocate(Warp& core, const Op* op, const CallSite& site, std::byte* frame, uint32_t mask) {
  const DeviceServices* services = core.state->block->launch->services;
  for (uint32_t lane = 0; lane < kWarpSize; ++lane) {
    if ((mask >> lane & 1) == 0) continue;
    const uint64_t bytes = argument(site, frame, 0, lane);
    const bool heap = services != nullptr && services->heap_allocate;
    write_result(site, frame, lane, heap ? services->heap_allocate(bytes) : 0);
  }
  return op + 1;
}

const Op* heap_free(Warp& core, const Op* op, const CallSite& site, std::byte* frame, uint32_t mask) {
  const DeviceServices* services = core.state->block->launch->services;
  for (uint32_t lane = 0; lane < kWarpSize; ++lane) {
    if ((mask >> lane & 1) == 0) continue;
    const uint64_t address = argument(site, frame, 0, lane);
    if (address == 0) continue;
    if (services == nullptr || !services->heap_free || !services->heap_free(address)) {
      return fault(core, op, FaultKind::kTrap, lane, "free of what malloc did not give, or twice");
    }
  }
  return op + 1;
}

constexpr DeviceBuiltin kBuiltins[] = {
    {"vprintf", 2, nullptr, print},
    {"__assertfail", 5, nullptr, assert_failed},
    {"cudaGraphSetConditional", 2, nullptr, set_condition},
    {"malloc", 1, &KernelInfo::uses_heap, heap_allocate},
    {"free", 1, &KernelInfo::uses_heap, heap_free},
};

}  // namespace

const DeviceBuiltin* find_device_builtin(const std::string& name) {
  for (const std::span<const DeviceBuiltin> table :
       {std::span<const DeviceBuiltin>(kBuiltins), grid_builtins()}) {
    const auto found = std::find_if(table.begin(), table.end(),
                                    [&](const DeviceBuiltin& builtin) { return name == builtin.name; });
    if (found != table.end()) return &*found;
  }
  return nullptr;
}

}  // namespace tessera::softgpu::exec
