#include "softgpu/exec/call_site.h"

#include <cstring>

#include "softgpu/exec/frames.h"

namespace tessera::softgpu::exec {

uint32_t argument_word(const CallSite& site, const std::byte* frame, size_t index, uint32_t word,
                       uint32_t lane) {
  const Transfer& transfer = site.arguments[index];
  if (word >= (transfer.bytes + 3) / 4) return 0;
  uint32_t value = 0;
  std::memcpy(&value, frame + transfer.caller + (size_t{word} * kWarpSize + lane) * 4, 4);
  return value;
}

uint64_t argument(const CallSite& site, const std::byte* frame, size_t index, uint32_t lane) {
  return argument_word(site, frame, index, 0, lane) | uint64_t{argument_word(site, frame, index, 1, lane)}
                                                          << 32;
}

void write_result(const CallSite& site, std::byte* frame, uint32_t lane, uint64_t value) {
  if (site.results.empty()) return;
  const Transfer& transfer = site.results[0];
  for (uint32_t row = 0; row < (transfer.bytes + 3) / 4 && row < 2; ++row) {
    const auto word = static_cast<uint32_t>(value >> (32 * row));
    std::memcpy(frame + transfer.caller + (size_t{row} * kWarpSize + lane) * 4, &word, 4);
  }
}

bool write_to(WarpState& warp, uint32_t lane, uint64_t address, const void* value, size_t size) {
  const std::byte* place = readable(warp, lane, address, size);
  if (place == nullptr) return false;
  const AddressRange range = warp.block->launch->memory->find(address);
  if (range.end != 0 && !range.writable) return false;
  std::memcpy(const_cast<std::byte*>(place), value, size);
  return true;
}

}  // namespace tessera::softgpu::exec
