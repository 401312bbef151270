// Fat binaries whose every field may lie: nothing outside the bytes given is read, and nothing crashes.
#include <cstdint>
#include <cstdlib>
#include <span>

#include "softgpu/ptx/fatbin.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  constexpr uint32_t kArchitecture = 90;
  const auto code =
      tessera::softgpu::ptx::extract_bounded(std::as_bytes(std::span(data, size)), kArchitecture);
  if (code.ok() && code->architecture > kArchitecture) std::abort();
  return 0;
}
