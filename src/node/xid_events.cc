#include "node/xid_events.h"

#include <poll.h>

#include <cerrno>
#include <chrono>
#include <map>
#include <thread>

#include "common/strings.h"
#include "virtualization/driver_loader.h"
#include "virtualization/driver_locator.h"

namespace tessera::node {
namespace {

constexpr unsigned int kWaitMs = 500;  // how soon it is seen that nobody reads
constexpr auto kPause = std::chrono::milliseconds(kWaitMs);
constexpr unsigned int kUuidBytes = 96;  // NVML_DEVICE_UUID_V2_BUFFER_SIZE
constexpr size_t kMaxUuidBytes = 47;

bool is_read(FILE* out) {
  pollfd end{fileno(out), 0, 0};
  return poll(&end, 1, 0) == 0 || (end.revents & (POLLERR | POLLHUP | POLLNVAL)) == 0;
}

void wait_while_read(FILE* out) {
  pollfd end{fileno(out), 0, 0};
  while (poll(&end, 1, -1) < 0 && errno == EINTR) {
  }
}

Status check(nvmlReturn_t result, const char* function) {
  if (result == NVML_SUCCESS) return Status();
  return Status::error(Code::kUnavailable, "%s: %d", function, static_cast<int>(result));
}

Result<cuda::NvmlTable> open_nvml() {
  const vgpu::DriverSearch search = vgpu::locate_driver();
  if (!search.driver || search.driver->libnvidia_ml.empty()) {
    return Status(Code::kNotFound, "no NVML: " + search.explanation());
  }
  TESSERA_ASSIGN_OR_RETURN(cuda::NvmlTable nvml, vgpu::load_nvml(search.driver->libnvidia_ml));
  const bool complete = nvml.nvmlDeviceGetHandleByIndex_v2 != nullptr && nvml.nvmlDeviceGetUUID != nullptr &&
                        nvml.nvmlEventSetCreate != nullptr && nvml.nvmlDeviceRegisterEvents != nullptr &&
                        nvml.nvmlEventSetWait_v2 != nullptr;
  if (!complete) return Status(Code::kUnsupported, "NVML has no events");
  TESSERA_RETURN_IF_ERROR(check(nvml.nvmlInit_v2(), "nvmlInit_v2"));
  return nvml;
}

// Devices that do not answer are left out: the inventory tells of them.
std::map<nvmlDevice_t, std::string> register_all(const cuda::NvmlTable& nvml, nvmlEventSet_t set) {
  std::map<nvmlDevice_t, std::string> uuids;
  unsigned int count = 0;
  if (nvml.nvmlDeviceGetCount_v2(&count) != NVML_SUCCESS) return uuids;
  for (unsigned int i = 0; i < count; ++i) {
    nvmlDevice_t device = nullptr;
    char uuid[kUuidBytes] = "";
    if (nvml.nvmlDeviceGetHandleByIndex_v2(i, &device) == NVML_SUCCESS &&
        nvml.nvmlDeviceGetUUID(device, uuid, sizeof uuid) == NVML_SUCCESS &&
        nvml.nvmlDeviceRegisterEvents(device, nvmlEventTypeXidCriticalError, set) == NVML_SUCCESS) {
      uuids[device] = uuid;
    }
  }
  return uuids;
}

}  // namespace

std::string xid_event_text(const XidEvent& event) {
  return str_format("%s %u", event.uuid.c_str(), event.xid);
}

std::optional<XidEvent> parse_xid_event(std::string_view line) {
  const size_t space = line.find(' ');
  if (space == 0 || space == std::string_view::npos || space > kMaxUuidBytes) return std::nullopt;
  const auto xid = parse_uint(line.substr(space + 1));
  if (!xid || *xid > UINT32_MAX) return std::nullopt;
  return XidEvent{std::string(line.substr(0, space)), static_cast<uint32_t>(*xid)};
}

namespace {

Status print_events(const cuda::NvmlTable& nvml, FILE* out) {
  nvmlEventSet_t set = nullptr;
  TESSERA_RETURN_IF_ERROR(check(nvml.nvmlEventSetCreate(&set), "nvmlEventSetCreate"));
  const auto uuids = register_all(nvml, set);
  if (uuids.empty()) return Status(Code::kUnsupported, "no GPU tells of XIDs");
  while (is_read(out)) {
    nvmlEventData_t event{};
    const nvmlReturn_t result = nvml.nvmlEventSetWait_v2(set, &event, kWaitMs);
    // One that has fallen off the bus says so at once, again and again, and keeps others' events back.
    if (result == NVML_ERROR_GPU_IS_LOST) std::this_thread::sleep_for(kPause);
    if (result == NVML_ERROR_GPU_IS_LOST || result == NVML_ERROR_TIMEOUT) continue;
    TESSERA_RETURN_IF_ERROR(check(result, "nvmlEventSetWait"));
    const auto uuid = uuids.find(event.device);
    if (uuid == uuids.end()) continue;
    fprintf(out, "%s\n", xid_event_text({uuid->second, static_cast<uint32_t>(event.eventData)}).c_str());
    fflush(out);
  }
  return Status();
}

}  // namespace

Status print_xids(FILE* out) {
  auto nvml = open_nvml();
  const Status status = nvml.ok() ? print_events(*nvml, out) : nvml.status();
  if (status.code() != Code::kUnsupported && status.code() != Code::kNotFound) return status;
  fprintf(out, "%cnone are heard: %s\n", kXidRemark, status.message().c_str());
  fflush(out);
  wait_while_read(out);
  return Status();
}

}  // namespace tessera::node
