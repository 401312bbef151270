#include "node/journal_records.h"

#include <algorithm>

#include "common/strings.h"
#include "node/compute_json.h"
#include "node/memory_json.h"

namespace tessera::node {
namespace {

constexpr std::string_view kSlicePrefix = "slice ";
constexpr std::string_view kLeasePrefix = "lease ";
constexpr std::string_view kTenantPrefix = "tenant ";
constexpr std::string_view kGpuPrefix = "gpu ";
constexpr std::string_view kMemoryPrefix = "memory ";

Json process_record(const ProcessIdentity& process) {
  Json record;
  record["pid"] = static_cast<uint64_t>(process.pid);
  record["start_ticks"] = process.start_ticks;
  return record;
}

std::optional<ProcessIdentity> read_process(const Json& record, const char* key) {
  auto found = record.find(key);
  if (found == record.end() || !found->is_object()) return std::nullopt;
  auto pid = json_uint(*found, "pid");
  auto start = json_uint(*found, "start_ticks");
  if (!pid || !start || *pid > INT32_MAX) return std::nullopt;
  return ProcessIdentity{static_cast<pid_t>(*pid), *start};
}

std::optional<SliceDevice> read_device(const Json& entry, const std::vector<std::string>& gpu_uuids) {
  if (!entry.is_object()) return std::nullopt;
  auto gpu = std::find(gpu_uuids.begin(), gpu_uuids.end(), json_string(entry, "uuid"));
  auto limit = json_uint(entry, "limit_bytes");
  if (gpu == gpu_uuids.end() || !limit) return std::nullopt;
  SliceDevice device;
  device.gpu = static_cast<uint32_t>(gpu - gpu_uuids.begin());
  device.limit_bytes = *limit;
  device.reserved = json_bool(entry, "reserved");
  if (entry.contains("sms")) {
    auto sms = IndexSet::parse(json_string(entry, "sms"));
    if (!sms.ok()) return std::nullopt;
    device.sms = *sms;
  }
  auto compute = entry.find("compute");
  if (compute == entry.end() || !apply_compute_json(*compute, device.compute).ok()) return std::nullopt;
  device.need_bytes = json_uint(entry, "need_bytes");
  device.journalled_need_bytes = device.need_bytes.value_or(0);
  if (entry.contains("memory")) {
    auto memory = parse_memory_terms(entry["memory"]);
    if (!memory.ok()) return std::nullopt;
    device.memory = *memory;
  }
  return device;
}

Json state_record(const scheduling::FaultHistory::State& state) {
  Json record;
  record["own"] = state.own;
  record["transient"] = state.transient;
  record["closed"] = state.closed;
  record["latest_ns"] = state.latest_ns;
  record["not_before_ns"] = state.not_before_ns;
  return record;
}

// A lost GPU is seen anew, or it is not lost any more.
std::optional<scheduling::FaultHistory::State> read_state(const Json& record) {
  auto found = record.find("faults");
  if (found == record.end() || !found->is_object()) return std::nullopt;
  auto own = json_uint(*found, "own"), transient = json_uint(*found, "transient");
  auto latest_ns = json_uint(*found, "latest_ns"), not_before_ns = json_uint(*found, "not_before_ns");
  if (!own || !transient || !latest_ns || !not_before_ns) return std::nullopt;
  if (*own > UINT32_MAX || *transient > UINT32_MAX) return std::nullopt;
  return scheduling::FaultHistory::State{.own = static_cast<uint32_t>(*own),
                                         .transient = static_cast<uint32_t>(*transient),
                                         .closed = json_bool(*found, "closed"),
                                         .lost = false,
                                         .latest_ns = *latest_ns,
                                         .not_before_ns = *not_before_ns};
}

}  // namespace

std::string slice_key(SliceId id) { return std::string(kSlicePrefix) + std::to_string(id); }
std::string lease_key(LeaseId id) { return std::string(kLeasePrefix) + std::to_string(id); }
bool is_slice_key(std::string_view key) { return key.starts_with(kSlicePrefix); }
bool is_lease_key(std::string_view key) { return key.starts_with(kLeasePrefix); }
std::string tenant_key(const TenantFaults::Key& tenant) {
  return std::string(kTenantPrefix) + std::to_string(tenant.first) + " " + tenant.second;
}
std::string gpu_key(const std::string& uuid) { return std::string(kGpuPrefix) + uuid; }
bool is_tenant_key(std::string_view key) { return key.starts_with(kTenantPrefix); }
bool is_gpu_key(std::string_view key) { return key.starts_with(kGpuPrefix); }
std::string memory_key(const std::string& uuid) { return std::string(kMemoryPrefix) + uuid; }
bool is_memory_key(std::string_view key) { return key.starts_with(kMemoryPrefix); }

Json slice_record(const Slice& slice, const std::vector<std::string>& gpu_uuids) {
  Json record;
  record["id"] = slice.id;
  record["name"] = slice.name;
  record["tenant"] = slice.tenant;
  record["token"] = token_text(slice.token);
  record["owner"] = slice.owner;
  record["created_ns"] = slice.created_ns;
  if (slice.kept) record["kept"] = true;
  if (slice.held) record["holder"] = process_record(slice.holder);
  record["devices"] = Json::array();
  for (const SliceDevice& device : slice.devices) {
    Json entry;
    entry["uuid"] = gpu_uuids.at(device.gpu);
    entry["limit_bytes"] = device.limit_bytes;
    entry["reserved"] = device.reserved;
    entry["compute"] = compute_json(device.compute);
    if (!device.sms.empty()) entry["sms"] = device.sms.text();
    if (device.need_bytes) entry["need_bytes"] = *device.need_bytes;
    if (device.memory != partitioning::MemoryTerms()) entry["memory"] = memory_json(device.memory);
    record["devices"].push_back(std::move(entry));
  }
  return record;
}

std::optional<Slice> read_slice_record(const Json& record, const std::vector<std::string>& gpu_uuids) {
  if (!record.is_object()) return std::nullopt;
  auto id = json_uint(record, "id");
  auto token = parse_token(json_string(record, "token"));
  auto owner = json_uint(record, "owner");
  auto created_ns = json_uint(record, "created_ns");
  if (!id || !token || !owner || *owner > UINT32_MAX || !created_ns) return std::nullopt;
  Slice slice;
  slice.id = *id;
  slice.name = json_string(record, "name");
  slice.tenant = json_string(record, "tenant");
  slice.token = *token;
  slice.owner = static_cast<uid_t>(*owner);
  slice.created_ns = *created_ns;
  slice.kept = json_bool(record, "kept");
  auto holder = read_process(record, "holder");
  slice.held = holder.has_value();
  if (holder) slice.holder = *holder;
  for (const Json& entry : json_array(record, "devices")) {
    auto device = read_device(entry, gpu_uuids);
    if (!device) return std::nullopt;
    slice.devices.push_back(*device);
  }
  return slice;
}

Json lease_record(const Lease& lease, const ProcessImage& image) {
  Json record;
  record["id"] = lease.id;
  record["slice"] = lease.slice;
  record["process"] = process_record(lease.process);
  record["code"] = image.code;
  record["stack"] = image.stack;
  record["created_ns"] = lease.created_ns;
  record["detached"] = lease.life == LeaseLife::kDetached;
  record["granted_bytes"] = Json::array();
  record["peak_granted_bytes"] = Json::array();
  for (const LeaseDevice& device : lease.devices) {
    record["granted_bytes"].push_back(device.granted_bytes);
    record["peak_granted_bytes"].push_back(device.peak_granted_bytes);
  }
  return record;
}

std::optional<LeaseRecordText> read_lease_record(const Json& record) {
  if (!record.is_object()) return std::nullopt;
  auto id = json_uint(record, "id");
  auto slice = json_uint(record, "slice");
  auto process = read_process(record, "process");
  auto code = json_uint(record, "code");
  auto stack = json_uint(record, "stack");
  auto created_ns = json_uint(record, "created_ns");
  if (!id || !slice || !process || !code || !stack || !created_ns) return std::nullopt;
  Json granted = json_array(record, "granted_bytes");
  Json peaks = json_array(record, "peak_granted_bytes");
  if (granted.size() != peaks.size()) return std::nullopt;
  LeaseRecordText result;
  result.image = {*code, *stack};
  Lease& lease = result.lease;
  lease.id = *id;
  lease.slice = *slice;
  lease.process = *process;
  lease.created_ns = *created_ns;
  bool holds = false;
  for (size_t i = 0; i < granted.size(); ++i) {
    if (!granted[i].is_number_unsigned() || !peaks[i].is_number_unsigned()) return std::nullopt;
    lease.devices.push_back({granted[i].get<uint64_t>(), peaks[i].get<uint64_t>()});
    holds |= lease.devices.back().granted_bytes > 0;
  }
  // Grants are journalled before they are told, so one that holds nothing need not be waited for. It may
  // never have heard of this lease: then it attaches anew.
  lease.life = json_bool(record, "detached") || !holds ? LeaseLife::kDetached : LeaseLife::kAwaited;
  return result;
}

Json tenant_record(const TenantFaults::Key& tenant, const TenantFaults::Record& faults) {
  Json record;
  record["user"] = tenant.first;
  record["name"] = tenant.second;
  record["latest_error"] = faults.latest_error;
  record["faults"] = state_record(faults.history.state());
  return record;
}

std::optional<TenantRecordText> read_tenant_record(const Json& record) {
  if (!record.is_object()) return std::nullopt;
  auto user = json_uint(record, "user");
  auto error = json_uint(record, "latest_error");
  auto state = read_state(record);
  std::string name = json_string(record, "name");
  if (!user || *user > UINT32_MAX || !error || !state || name.empty()) return std::nullopt;
  return TenantRecordText{{static_cast<uid_t>(*user), std::move(name)}, *state, *error};
}

Json gpu_record(const std::string& uuid, const DeviceHealth::Record& health) {
  Json record;
  record["uuid"] = uuid;
  record["uncorrected"] = health.uncorrected;
  record["errors"] = health.errors;
  record["xid"] = health.xid;
  record["faults"] = state_record(health.state);
  return record;
}

Json memory_record(const memory::ThrashDetector::State& state) {
  Json record;
  record["working_ns"] = state.working_ns;
  record["moving_ns"] = state.moving_ns;
  record["backs_off"] = state.backs_off;
  return record;
}

std::optional<memory::ThrashDetector::State> read_memory_record(const Json& record) {
  if (!record.is_object()) return std::nullopt;
  const auto working = json_uint(record, "working_ns"), moving = json_uint(record, "moving_ns");
  if (!working || !moving) return std::nullopt;
  return memory::ThrashDetector::State{*working, *moving, json_bool(record, "backs_off")};
}

std::optional<std::pair<std::string, DeviceHealth::Record>> read_gpu_record(const Json& record) {
  if (!record.is_object()) return std::nullopt;
  auto uncorrected = json_uint(record, "uncorrected"), errors = json_uint(record, "errors");
  auto state = read_state(record);
  std::string uuid = json_string(record, "uuid");
  if (!uncorrected || !errors || !state || uuid.empty()) return std::nullopt;
  const auto xid =
      static_cast<uint32_t>(std::min<uint64_t>(json_uint(record, "xid").value_or(0), UINT32_MAX));
  return std::pair(std::move(uuid), DeviceHealth::Record{*state, *uncorrected, *errors, xid});
}

}  // namespace tessera::node
