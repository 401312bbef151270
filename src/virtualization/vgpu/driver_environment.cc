#include "virtualization/vgpu/driver_environment.h"

#include <algorithm>
#include <cstdlib>

#include "common/log.h"
#include "common/strings.h"
#include "cuda/multi_process_service.h"
#include "virtualization/vgpu/visible_devices.h"

namespace tessera::vgpu {
namespace {

constexpr const char* kVisibleDevices = "CUDA_VISIBLE_DEVICES";
constexpr double kAll = 100;

// As MPS would read it; all where it says nothing that is a portion.
double portion_asked_for() {
  const char* text = getenv(cuda::kMpsActiveThreadPercentage);
  const double percent = text != nullptr ? strtod(text, nullptr) : kAll;
  return percent > 0 && percent <= kAll ? percent : kAll;
}

}  // namespace

// Which devices there are is settled by the driver when it starts, from the environment: the one place where
// a program can be shown fewer without any handle being changed on its way.
bool show_devices(const Account& account, Beside beside) {
  std::vector<std::string> slice;
  for (uint32_t i = 0; i < account.device_count(); ++i) slice.emplace_back(account.device_uuid(i));
  const char* asked = getenv(kVisibleDevices);
  std::string value =
      visible_devices(slice, asked != nullptr ? std::optional<std::string>(asked) : std::nullopt);
  const auto neighbours = beside == Beside::kNeighbours && value != kNoDevices ? account.neighbours()
                                                                               : std::vector<std::string>();
  for (const std::string& uuid : neighbours) value += "," + uuid;
  if (asked == nullptr || value != asked) setenv(kVisibleDevices, value.c_str(), 1);
  return !neighbours.empty();
}

// MPS knows one portion for all devices of a process: the least, or on some it would have SMs of others.
Status take_portion(const Account& account) {
  double portion = kAll;
  bool told = false, yields = true;
  for (uint32_t i = 0; i < account.device_count(); ++i) {
    const AttachedDevice& device = account.attached_device(i);
    if (device.portion_percent == 0) continue;
    told = true;
    portion = std::min(portion, static_cast<double>(device.portion_percent));
    yields = yields && device.yields != 0;
  }
  if (!told) return Status();
  if (!cuda::mps_is_offered()) {
    return Status::error(Code::kFailedPrecondition,
                         "its SMs are kept by MPS, and no control daemon is at %s: start "
                         "nvidia-cuda-mps-control, or set %s as it is for tesserad",
                         cuda::mps_control_path().c_str(), cuda::kMpsPipeDirectory);
  }
  portion = std::min(portion, portion_asked_for());
  setenv(cuda::kMpsActiveThreadPercentage, str_format("%g", portion).c_str(), 1);
  if (yields) setenv(cuda::kMpsClientPriority, "1", 1);
  LOG_INFO("vgpu", "slice %s: %g %% of the SMs, by MPS", account.slice_name(), portion);
  return Status();
}

}  // namespace tessera::vgpu
