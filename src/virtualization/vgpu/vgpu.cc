#include "virtualization/vgpu/vgpu.h"

#include <cstdlib>

#include "common/clock.h"
#include "common/log.h"
#include "common/strings.h"
#include "virtualization/vgpu/calls.h"
#include "virtualization/vgpu/driver_environment.h"
#include "virtualization/vgpu/visible_devices.h"

namespace tessera::vgpu {
namespace {

std::string uuid_text(const CUuuid& uuid) {
  std::string text = "GPU";
  for (size_t i = 0; i < sizeof uuid.bytes; ++i) {
    bool group_starts = i == 0 || i == 4 || i == 6 || i == 8 || i == 10;
    text += str_format("%s%02x", group_starts ? "-" : "", static_cast<unsigned char>(uuid.bytes[i]));
  }
  return text;
}

}  // namespace

Vgpu::Vgpu(const cuda::DriverTable& lower, const cuda::DriverTable& exported, SliceAccess access)
    : lower_(lower), exported_(exported), access_(std::move(access)), state_(new State) {}

Status Vgpu::attach(std::unique_ptr<Tenant>& tenant) {
  TESSERA_ASSIGN_OR_RETURN(SliceToken token, access_.checked_token());
  tenant = std::make_unique<Tenant>();
  TESSERA_ASSIGN_OR_RETURN(tenant->account, Account::open(access_.socket_path, token));
  return Status();
}

std::optional<std::string> Vgpu::neighbour_of(const Tenant& tenant, const std::string& uuid) {
  for (const std::string& neighbour : tenant.account->neighbours()) {
    if (same_uuid(neighbour, uuid)) return neighbour;
  }
  return std::nullopt;
}

// A device that is visible but not in the slice would be unlimited: better none at all.
Status Vgpu::map_devices(Tenant& tenant) const {
  auto get_uuid = lower_.cuDeviceGetUuid_v2 != nullptr ? lower_.cuDeviceGetUuid_v2 : lower_.cuDeviceGetUuid;
  int count = 0;
  if (get_uuid == nullptr || lower_.cuDeviceGetCount(&count) != CUDA_SUCCESS) {
    return Status(Code::kUnsupported, "the driver does not tell its devices' UUIDs");
  }
  for (int ordinal = 0; ordinal < count; ++ordinal) {
    CUuuid uuid{};
    CUdevice device;
    if (lower_.cuDeviceGet(&device, ordinal) != CUDA_SUCCESS || get_uuid(&uuid, device) != CUDA_SUCCESS) {
      return Status::error(Code::kUnsupported, "the driver does not tell device %d's UUID", ordinal);
    }
    std::string text = uuid_text(uuid);
    uint32_t index = 0;
    while (index < tenant.account->device_count() && !same_uuid(tenant.account->device_uuid(index), text))
      ++index;
    const auto neighbour =
        index == tenant.account->device_count() ? neighbour_of(tenant, text) : std::nullopt;
    if (neighbour) {
      tenant.neighbours.push_back({device, *neighbour});
      continue;
    }
    if (index == tenant.account->device_count() || !tenant.neighbours.empty()) {
      return Status::error(
          Code::kFailedPrecondition,
          "the driver shows %s, which is not in slice %s: does it honour CUDA_VISIBLE_DEVICES?", text.c_str(),
          tenant.account->slice_name());
    }
    tenant.device_of_ordinal.push_back(index);
  }
  return Status();
}

// A driver that neither holds kernels up nor has events has no gate: its tenants share as it lets them.
Status Vgpu::start_gates(Tenant& tenant) const {
  LeaseClient& client = tenant.account->client();
  for (size_t ordinal = 0; ordinal < tenant.device_of_ordinal.size(); ++ordinal) {
    const uint32_t device = tenant.device_of_ordinal[ordinal];
    tenant.paces[device] = std::make_unique<CopyPace>(client, device);
    std::unique_ptr<Gate>& gate = tenant.gates[device];
    // What moves memory off the device needs it idle: nothing is held up in the midst of running there.
    auto table = tenant.account->is_overcommitted(device)
                     ? nullptr
                     : make_table_meter(lower_, static_cast<CUdevice>(ordinal));
    if (table != nullptr) {
      gate = std::make_unique<Gate>(client, device, std::move(table));
    } else if (auto events = make_event_meter(lower_, SteppedClock::of(&monotonic_ns))) {
      gate = std::make_unique<Gate>(client, device, std::move(events));
    } else {
      continue;
    }
    TESSERA_RETURN_IF_ERROR(gate->start());
  }
  return Status();
}

Status Vgpu::start_residencies(Tenant& tenant) const {
  for (size_t ordinal = 0; ordinal < tenant.device_of_ordinal.size(); ++ordinal) {
    const uint32_t device = tenant.device_of_ordinal[ordinal];
    if (!tenant.account->is_overcommitted(device)) continue;
    TESSERA_ASSIGN_OR_RETURN(tenant.residencies[device],
                             Residency::start(lower_, static_cast<CUdevice>(ordinal), *tenant.account, device,
                                              tenant.neighbours, tenant.captures));
  }
  return Status();
}

CUresult Vgpu::Touching::enter() {
  for (;;) {
    while (entered_ < target_.residency_count && target_.residencies[entered_]->try_enter()) ++entered_;
    if (entered_ == target_.residency_count) return CUDA_SUCCESS;
    // Outside of all of them: another process may need room on one while this one waits for it on another.
    Residency& absent = *target_.residencies[entered_];
    leave();
    const Status back = absent.bring_back();
    if (back.ok()) continue;
    LOG_ERROR("vgpu", "%s", back.message().c_str());
    return CUDA_ERROR_OUT_OF_MEMORY;
  }
}

void Vgpu::Touching::leave() {
  while (entered_ > 0) target_.residencies[--entered_]->leave();
}

void Vgpu::publish_target(Tenant& tenant) {
  auto* target = new Target{&tenant.account->counters(0), tenant.account->device_count()};
  for (uint32_t i = 0; i < kMaxDevicesPerSlice; ++i) {
    target->gates[i] = tenant.gates[i].get();
    target->paces[i] = tenant.paces[i].get();
    if (tenant.residencies[i] != nullptr) {
      target->residencies[target->residency_count++] = tenant.residencies[i].get();
    }
  }
  target_.store(target, std::memory_order_release);
}

CUresult Vgpu::init(unsigned int flags) {
  State& state = *state_.load(std::memory_order_acquire);
  std::lock_guard lock(state.initialising);
  if (state.tenant.load(std::memory_order_relaxed) != nullptr) return lower_.cuInit(flags);

  std::unique_ptr<Tenant> tenant;
  Status attached = attach(tenant);
  if (attached.ok()) attached = take_portion(*tenant->account);
  if (!attached.ok()) {
    LOG_ERROR("vgpu", "no GPU for this program: %s. Start it with `tessera run`, or unset TESSERA_SLICE",
              attached.message().c_str());
    return CUDA_ERROR_SYSTEM_NOT_READY;
  }
  const bool shows_neighbours = show_devices(*tenant->account, Beside::kNeighbours);
  CUresult result = lower_.cuInit(flags);
  if (shows_neighbours) show_devices(*tenant->account, Beside::kNothing);  // the driver has read it
  if (result != CUDA_SUCCESS) return result;
  Status mapped = map_devices(*tenant);
  if (!mapped.ok()) {
    LOG_ERROR("vgpu", "no GPU for this program: %s", mapped.message().c_str());
    return CUDA_ERROR_SYSTEM_NOT_READY;
  }
  LOG_INFO("vgpu", "slice %s: %u device(s), %zu visible", tenant->account->slice_name(),
           tenant->account->device_count(), tenant->device_of_ordinal.size());
  Status started = start_residencies(*tenant);
  if (started.ok()) started = start_gates(*tenant);
  if (!started.ok()) {
    LOG_ERROR("vgpu", "no GPU for this program: %s", started.message().c_str());
    (void)tenant.release();  // threads of its gates may be there
    return CUDA_ERROR_SYSTEM_NOT_READY;
  }
  // After the driver's own cuInit: what is registered last is called first.
  static std::atomic<bool> told_at_exit{false};
  if (!told_at_exit.exchange(true)) {
    std::atexit([] {
      if (active_vgpu != nullptr) active_vgpu->tell_last();
    });
  }
  publish_target(*tenant);
  state.tenant.store(tenant.release(), std::memory_order_release);
  return CUDA_SUCCESS;
}

CUresult Vgpu::device_of(const Tenant& tenant, CUdevice ordinal, uint32_t& device) const {
  if (ordinal < 0 || static_cast<size_t>(ordinal) >= tenant.device_of_ordinal.size()) {
    return CUDA_ERROR_INVALID_DEVICE;
  }
  device = tenant.device_of_ordinal[static_cast<size_t>(ordinal)];
  return CUDA_SUCCESS;
}

CUresult Vgpu::current_device(const Tenant& tenant, uint32_t& device) const {
  device = 0;
  if (tenant.account->device_count() == 1) return CUDA_SUCCESS;
  CUdevice ordinal;
  CUresult result = lower_.cuCtxGetDevice(&ordinal);
  return result == CUDA_SUCCESS ? device_of(tenant, ordinal, device) : result;
}

// Without a context the call that is counted fails; where it is counted does not matter.
uint32_t Vgpu::index_of_current() const {
  uint32_t device = 0;
  const Tenant* attached = tenant();
  if (attached != nullptr && current_device(*attached, device) != CUDA_SUCCESS) device = 0;
  return device;
}

void Vgpu::tell_last() {
  Tenant* attached = tenant();
  if (attached == nullptr) return;
  for (const auto& gate : attached->gates) {
    if (gate != nullptr) gate->publish_last();
  }
}

void Vgpu::abandon_in_child() {
  Tenant* parents = tenant();
  target_.store(&idle_, std::memory_order_release);
  if (parents != nullptr) parents->account->abandon_in_child();
  state_.store(new State, std::memory_order_release);
}

}  // namespace tessera::vgpu
