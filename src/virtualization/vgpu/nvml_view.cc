#include "virtualization/vgpu/nvml_view.h"

#include <unistd.h>

#include <algorithm>

#include "common/log.h"

namespace tessera::vgpu {

NvmlView::NvmlView(const cuda::NvmlTable& lower, SliceAccess access)
    : lower_(lower), access_(std::move(access)), state_(new State) {}

Status NvmlView::connect(State& state) const {
  if (state.observer) return Status();
  TESSERA_ASSIGN_OR_RETURN(SliceToken token, access_.checked_token());
  TESSERA_ASSIGN_OR_RETURN(state.observer, Observer::open(access_.socket_path, token));
  return Status();
}

Status NvmlView::find_devices(State& state) const {
  if (!state.devices.empty()) return Status();
  const AttachedReply& slice = state.observer->slice();
  for (uint32_t i = 0; i < slice.device_count; ++i) {
    nvmlDevice_t device;
    if (lower_.nvmlDeviceGetHandleByUUID == nullptr ||
        lower_.nvmlDeviceGetHandleByUUID(slice.devices[i].uuid, &device) != NVML_SUCCESS) {
      state.devices.clear();
      return Status::error(Code::kNotFound, "NVML does not know %s of slice %s", slice.devices[i].uuid,
                           slice.slice_name);
    }
    state.devices.push_back(device);
  }
  return Status();
}

nvmlReturn_t NvmlView::initialised() {
  State& state = *state_.load(std::memory_order_acquire);
  std::lock_guard lock(state.mutex);
  Status ready = connect(state);
  if (ready.ok()) ready = find_devices(state);
  if (ready.ok()) return NVML_SUCCESS;
  LOG_ERROR("nvml", "no NVML for this program: %s. Start it with `tessera run`, or unset TESSERA_SLICE",
            ready.message().c_str());
  if (lower_.nvmlShutdown != nullptr) lower_.nvmlShutdown();
  return NVML_ERROR_NO_PERMISSION;
}

std::vector<nvmlDevice_t> NvmlView::devices() {
  State& state = *state_.load(std::memory_order_acquire);
  std::lock_guard lock(state.mutex);
  return state.devices;
}

std::optional<uint32_t> NvmlView::index_of(nvmlDevice_t device) {
  State& state = *state_.load(std::memory_order_acquire);
  std::lock_guard lock(state.mutex);
  auto found = std::find(state.devices.begin(), state.devices.end(), device);
  if (found == state.devices.end()) return std::nullopt;
  return static_cast<uint32_t>(found - state.devices.begin());
}

// A lost connection is made anew with the next question: a monitor may outlive a daemon.
template <typename Ask>
auto NvmlView::ask(Ask question) -> decltype(question(std::declval<Observer&>())) {
  State& state = *state_.load(std::memory_order_acquire);
  std::lock_guard lock(state.mutex);
  TESSERA_RETURN_IF_ERROR(connect(state));
  auto answer = question(*state.observer);
  if (!answer.ok()) {
    LOG_INFO("nvml", "%s", answer.status().message().c_str());
    state.observer.reset();
  }
  return answer;
}

Result<UsageReply> NvmlView::usage(uint32_t device) {
  return ask([device](Observer& observer) { return observer.usage(device); });
}

Result<std::vector<int32_t>> NvmlView::processes() {
  return ask([](Observer& observer) { return observer.processes(); });
}

void NvmlView::abandon_in_child() {
  State* parents = state_.load(std::memory_order_acquire);
  if (parents->observer) close(parents->observer->descriptor());
  auto* own = new State;
  own->devices = parents->devices;
  state_.store(own, std::memory_order_release);
}

}  // namespace tessera::vgpu
