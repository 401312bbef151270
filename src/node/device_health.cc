#include "node/device_health.h"

#include "common/log.h"
#include "common/strings.h"
#include "scheduling/faults/xid.h"

namespace tessera::node {
namespace {

constexpr uint32_t kXidDoubleBit = 48;  // how the driver reports an uncorrectable error of the memory
constexpr uint32_t kXidLost = 79;
constexpr uint64_t kNsPerMinute = 60'000'000'000;

}  // namespace

void DeviceHealth::observe(const Inventory& inventory, uint64_t now_ns) {
  for (const Gpu& gpu : inventory.gpus) {
    const bool room = devices_.size() < kMaxGpus || devices_.contains(gpu.uuid);
    if (!gpu.uuid.empty() && room) observe(gpu, now_ns);
  }
}

// A count that falls, or a GPU that is back, was reset: that is the remedy.
void DeviceHealth::observe(const Gpu& gpu, uint64_t now_ns) {
  Device& device = devices_[gpu.uuid];
  if (gpu.lost) {
    if (!device.lost) device.history.fault(scheduling::kind_of_xid(kXidLost), now_ns, random_);
    device.lost = true;
    return;
  }
  const bool was_reset =
      device.lost || (gpu.uncorrected_errors && gpu.uncorrected_errors < device.uncorrected);
  if (was_reset) device = Device{};
  if (!gpu.uncorrected_errors) return;
  const uint64_t before = device.uncorrected.value_or(was_reset ? 0 : *gpu.uncorrected_errors);
  device.uncorrected = gpu.uncorrected_errors;
  if (*gpu.uncorrected_errors == before) return;
  device.errors = *gpu.uncorrected_errors - before + (is_closed(device, now_ns) ? device.errors : 0);
  device.xid = 0;
  device.history.fault(scheduling::kind_of_xid(kXidDoubleBit), now_ns, random_);
  LOG_WARN("health", "%s is quarantined: %llu uncorrectable memory error(s)", gpu.uuid.c_str(),
           static_cast<unsigned long long>(device.errors));
}

// An error of memory that is counted is seen by its count, and a device that is lost by not answering.
void DeviceHealth::hear(const XidEvent& event, uint64_t now_ns) {
  const scheduling::Xid* known = scheduling::find_xid(event.xid);
  const scheduling::FaultKind kind = scheduling::kind_of_xid(event.xid);
  LOG_WARN("health", "%s: XID %u (%s); %s", event.uuid.c_str(), event.xid,
           known != nullptr ? known->what : "not known",
           scheduling::advice_text(known != nullptr ? known->advice : scheduling::FaultAdvice::kIgnore));
  auto found = devices_.find(event.uuid);
  if (found == devices_.end() || kind != scheduling::FaultKind::kDevice) return;
  Device& device = found->second;
  if (event.xid == kXidDoubleBit && device.uncorrected) return;
  device.errors = 1 + (is_closed(device, now_ns) && device.xid != 0 ? device.errors : 0);
  device.xid = event.xid;
  device.history.fault(kind, now_ns, random_);
}

// What it is closed for.
std::string DeviceHealth::cause(const Device& device) {
  const auto errors = static_cast<unsigned long long>(device.errors);
  if (device.xid == 0) {
    return str_format("%llu uncorrectable memory error%s (XID %u)", errors, errors == 1 ? "" : "s",
                      kXidDoubleBit);
  }
  const scheduling::Xid* known = scheduling::find_xid(device.xid);
  const std::string times = errors == 1 ? "" : str_format(", %llu errors by now", errors);
  return known == nullptr ? str_format("XID %u%s", device.xid, times.c_str())
                          : str_format("XID %u (%s)%s: %s", device.xid, known->what, times.c_str(),
                                       scheduling::advice_text(known->advice));
}

std::optional<std::string> DeviceHealth::closed(const std::string& uuid, uint32_t index,
                                                uint64_t now_ns) const {
  auto found = devices_.find(uuid);
  if (found == devices_.end() || !is_closed(found->second, now_ns)) return std::nullopt;
  const Device& device = found->second;
  return str_format(
      "%s; new programs get it again after %llu min without one, or %sby 'tessera gpus --forgive %u'",
      cause(device).c_str(), static_cast<unsigned long long>(minutes_left(device, now_ns)),
      device.xid == 0 ? "once it was reset, or " : "", index);
}

uint64_t DeviceHealth::minutes_left(const Device& device, uint64_t now_ns) {
  const uint64_t left_ns = device.history.standing(now_ns).not_before_ns - now_ns;
  return (left_ns + kNsPerMinute - 1) / kNsPerMinute;
}

monitoring::EventDetails DeviceHealth::closed_details(const std::string& uuid, uint64_t now_ns) const {
  auto found = devices_.find(uuid);
  if (found == devices_.end() || !is_closed(found->second, now_ns)) return {};
  const Device& device = found->second;
  return {{"errors", device.errors},
          {"xid", uint64_t{device.xid == 0 ? kXidDoubleBit : device.xid}},
          {"minutes", minutes_left(device, now_ns)}};
}

bool DeviceHealth::forgive(const std::string& uuid, uint64_t now_ns) {
  auto found = devices_.find(uuid);
  if (found == devices_.end() || !is_closed(found->second, now_ns)) return false;
  found->second.history.forgive();
  return true;
}

std::map<std::string, DeviceHealth::Record> DeviceHealth::records(uint64_t now_ns) const {
  std::map<std::string, Record> records;
  for (const auto& [uuid, device] : devices_) {
    if (is_closed(device, now_ns))
      records[uuid] = {device.history.state(), device.uncorrected.value_or(0), device.errors, device.xid};
  }
  return records;
}

void DeviceHealth::restore(const std::string& uuid, const Record& record, uint64_t now_ns) {
  if (devices_.size() >= kMaxGpus) return;
  Device& device = devices_[uuid];
  device.history.restore(record.state, now_ns);
  device.uncorrected = record.uncorrected;
  device.errors = record.errors;
  device.xid = record.xid;
}

bool DeviceHealth::any_closed(uint64_t now_ns) const {
  for (const auto& [uuid, device] : devices_) {
    if (is_closed(device, now_ns)) return true;
  }
  return false;
}

}  // namespace tessera::node
