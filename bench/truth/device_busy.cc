// The time for which a software device had kernels on its SMs, added up over SMs and all processes, in
// nanoseconds: as the device's own file has it.
#include <cstdio>

#include "softgpu/device/device_file.h"

int main() {
  using namespace tessera::softgpu;
  constexpr uint64_t kWindowNs = 1'000'000'000;
  auto config = load_config();
  if (!config.ok()) return 1;
  auto file = DeviceFile::open(*config, 0, false);
  if (!file.ok()) return 1;
  printf("%llu\n", static_cast<unsigned long long>((*file)->use(kWindowNs).busy_ns));
  return 0;
}
