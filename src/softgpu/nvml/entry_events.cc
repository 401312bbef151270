// Events: XIDs and errors of memory, from the list in the devices' shared files.
#include <algorithm>
#include <memory>
#include <mutex>
#include <vector>

#include "common/clock.h"
#include "softgpu/device/folder_watch.h"
#include "softgpu/nvml/entry.h"

namespace tessera::softgpu {
namespace {

constexpr unsigned long long kEccEvents = nvmlEventTypeSingleBitEccError | nvmlEventTypeDoubleBitEccError;

struct Registration {
  ObservedDevice device;
  nvmlDevice_t handle = nullptr;
  unsigned long long types = 0;
  uint64_t next = 0;  // number of the first event that was not told
};

struct EventSet {
  std::vector<Registration> registrations;
  std::shared_ptr<FolderWatch> watch;  // whoever waits has it, too: the set may be freed meanwhile
};

// Living sets; a handle is looked up and never followed.
struct Sets {
  std::mutex mutex;
  std::vector<std::unique_ptr<EventSet>> living;
};

Sets& sets() {
  static auto* made = new Sets();
  return *made;
}

EventSet* find_locked(nvmlEventSet_t handle) {
  for (const auto& set : sets().living) {
    if (reinterpret_cast<nvmlEventSet_t>(set.get()) == handle) return set.get();
  }
  return nullptr;
}

unsigned long long supported(const DeviceModel& model) {
  return nvmlEventTypeXidCriticalError | (model.ecc ? kEccEvents : 0);
}

unsigned long long type_of(HealthEventKind kind) {
  switch (kind) {
    case HealthEventKind::kSingleBit:
      return nvmlEventTypeSingleBitEccError;
    case HealthEventKind::kDoubleBit:
      return nvmlEventTypeDoubleBitEccError;
    case HealthEventKind::kXid:
      break;
  }
  return nvmlEventTypeXidCriticalError;
}

// The next event that is wanted; false where there is none. `*lost`: the device has fallen off the bus.
nvmlReturn_t next_event(Registration& registration, nvmlEventData_t* data, bool* found, bool* lost) {
  Health health{};
  const nvmlReturn_t result = Observer::instance().health(registration.device, &health);
  if (result != NVML_SUCCESS) return result;
  *lost = health.lost != 0;
  const uint64_t kept = std::min<uint64_t>(health.events_end, kKeptEvents);
  uint64_t& next = registration.next;
  if (next > health.events_end) next = health.events_end;  // the file is another one
  next = std::max(next, health.events_end - kept);
  while (next < health.events_end && !*found) {
    const HealthEvent& event = health.events[next++ % kKeptEvents];
    const unsigned long long type = type_of(event.kind);
    if ((registration.types & type) == 0) continue;
    *data = {registration.handle, type, event.xid, NVML_NO_INSTANCE, NVML_NO_INSTANCE};
    *found = true;
  }
  return NVML_SUCCESS;
}

// One look at all devices of a set. NVML_ERROR_TIMEOUT where nothing has come; then `watch` tells when to
// look again.
nvmlReturn_t look(nvmlEventSet_t handle, nvmlEventData_t* data, std::shared_ptr<FolderWatch>* watch) {
  std::lock_guard lock(sets().mutex);
  EventSet* set = find_locked(handle);
  if (set == nullptr) return NVML_ERROR_INVALID_ARGUMENT;
  *watch = set->watch;
  bool any_lost = false;
  for (Registration& registration : set->registrations) {
    bool found = false, lost = false;
    const nvmlReturn_t result = next_event(registration, data, &found, &lost);
    if (result != NVML_SUCCESS || found) return result;
    any_lost |= lost;
  }
  return any_lost ? NVML_ERROR_GPU_IS_LOST : NVML_ERROR_TIMEOUT;
}

nvmlReturn_t wait_for_event(nvmlEventSet_t handle, nvmlEventData_t* data, unsigned int timeout_ms) {
  if (handle == nullptr || data == nullptr) return NVML_ERROR_INVALID_ARGUMENT;
  constexpr uint64_t kNsPerMs = 1'000'000;
  const uint64_t until_ns = tessera::monotonic_ns() + timeout_ms * kNsPerMs;
  for (;;) {
    std::shared_ptr<FolderWatch> watch;
    const nvmlReturn_t result = look(handle, data, &watch);
    const uint64_t now_ns = tessera::monotonic_ns();
    if (result != NVML_ERROR_TIMEOUT || now_ns >= until_ns) return result;
    watch->wait(until_ns - now_ns);
  }
}

// From now on; a device that is registered again gets the types on top.
nvmlReturn_t register_events(const ObservedDevice& device, nvmlDevice_t handle, unsigned long long types,
                             nvmlEventSet_t events) {
  Health health{};
  const nvmlReturn_t result = Observer::instance().health(device, &health);
  if (result != NVML_SUCCESS) return result;
  if (health.lost != 0) return NVML_ERROR_GPU_IS_LOST;
  std::lock_guard lock(sets().mutex);
  EventSet* set = find_locked(events);
  if (set == nullptr) return NVML_ERROR_INVALID_ARGUMENT;
  if ((types & ~supported(*device.model)) != 0) return NVML_ERROR_NOT_SUPPORTED;
  for (Registration& registration : set->registrations) {
    if (registration.handle != handle) continue;
    registration.types |= types;
    return NVML_SUCCESS;
  }
  set->registrations.push_back({device, handle, types, health.events_end});
  return NVML_SUCCESS;
}

}  // namespace
}  // namespace tessera::softgpu

using namespace tessera::softgpu;  // NOLINT(google-build-using-namespace): the definitions below are C
                                   // functions

extern "C" {

nvmlReturn_t nvmlDeviceGetSupportedEventTypes(nvmlDevice_t device, unsigned long long* eventTypes) {
  return on_device(device,
                   [&](const ObservedDevice& found) { return give(eventTypes, supported(*found.model)); });
}

nvmlReturn_t nvmlDeviceRegisterEvents(nvmlDevice_t device, unsigned long long eventTypes,
                                      nvmlEventSet_t eventSet) {
  return on_device(device, [&](const ObservedDevice& found) {
    return register_events(found, device, eventTypes, eventSet);
  });
}

nvmlReturn_t nvmlEventSetCreate(nvmlEventSet_t* eventSet) {
  return nvml_guarded([&]() -> nvmlReturn_t {
    unsigned int count = 0;
    const nvmlReturn_t result = Observer::instance().count(&count);
    if (result != NVML_SUCCESS || eventSet == nullptr)
      return result != NVML_SUCCESS ? result : NVML_ERROR_INVALID_ARGUMENT;
    std::lock_guard lock(sets().mutex);
    sets().living.push_back(std::make_unique<EventSet>());
    sets().living.back()->watch = std::make_shared<FolderWatch>(Observer::instance().folder());
    *eventSet = reinterpret_cast<nvmlEventSet_t>(sets().living.back().get());
    return NVML_SUCCESS;
  });
}

nvmlReturn_t nvmlEventSetFree(nvmlEventSet_t eventSet) {
  return nvml_guarded([&]() -> nvmlReturn_t {
    std::lock_guard lock(sets().mutex);
    const EventSet* set = find_locked(eventSet);
    if (set == nullptr) return NVML_ERROR_INVALID_ARGUMENT;
    std::erase_if(sets().living, [set](const auto& living) { return living.get() == set; });
    return NVML_SUCCESS;
  });
}

nvmlReturn_t nvmlEventSetWait(nvmlEventSet_t eventSet, nvmlEventData_t* data, unsigned int timeoutms) {
  return nvml_guarded([&] { return wait_for_event(eventSet, data, timeoutms); });
}
nvmlReturn_t nvmlEventSetWait_v2(nvmlEventSet_t eventSet, nvmlEventData_t* data, unsigned int timeoutms) {
  return nvmlEventSetWait(eventSet, data, timeoutms);
}

}  // extern "C"
