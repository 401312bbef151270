#include "node/ledger.h"

#include <algorithm>
#include <cassert>

#include "common/size.h"
#include "common/strings.h"

namespace tessera::node {
namespace {

// What a slice may still be granted on a device.
uint64_t grantable_bytes(const SliceDevice& device) {
  return device.limit_bytes - std::min(device.limit_bytes, device.granted_bytes);
}

void take_back(SliceDevice& device, uint64_t bytes) {
  device.granted_bytes -= bytes;
  device.lowered = device.granted_bytes > device.limit_bytes;
}

void book(LeaseDevice& own, SliceDevice& total, uint64_t bytes) {
  own.granted_bytes += bytes;
  own.peak_granted_bytes = std::max(own.peak_granted_bytes, own.granted_bytes);
  total.granted_bytes += bytes;
  total.peak_granted_bytes = std::max(total.peak_granted_bytes, total.granted_bytes);
  total.recent_peak_bytes = std::max(total.recent_peak_bytes, total.granted_bytes);
}

Status check_user(const Slice& slice, uid_t user) {
  if (user == slice.owner || user == 0) return Status();
  return Status::error(Code::kPermissionDenied, "slice '%s' belongs to user %u", slice.name.c_str(),
                       slice.owner);
}

bool is_name_character(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' ||
         c == '-';
}

// Compared in full whatever differs, so that the time taken says nothing about a token.
bool same_token(const Token& a, const Token& b) {
  unsigned difference = 0;
  for (size_t i = 0; i < a.size(); ++i) difference |= a[i] ^ b[i];
  return difference == 0;
}

}  // namespace

Status check_slice_name(std::string_view name) {
  if (name.empty()) return Status::error(Code::kInvalidArgument, "the name is empty");
  if (name.size() > kMaxSliceNameBytes) {
    return Status::error(Code::kInvalidArgument, "the name has %zu characters; %zu are allowed", name.size(),
                         kMaxSliceNameBytes);
  }
  if (!std::all_of(name.begin(), name.end(), is_name_character)) {
    return Status::error(Code::kInvalidArgument, "the name may hold letters, digits, '.', '_' and '-' only");
  }
  return Status();
}

uint64_t chunk_bytes(uint64_t limit_bytes) {
  // A sixteenth: budget that idles in one process is a recall's round trip away from the others.
  return std::min<uint64_t>(64 * kMiB, limit_bytes / 16);
}

void Ledger::set_gpu_totals(std::vector<uint64_t> totals) {
  assert(slices_.empty());
  gpu_totals_ = std::move(totals);
  gpu_facts_.assign(gpu_totals_.size(), GpuFacts());
}

uint64_t Ledger::promisable_bytes(uint32_t gpu) const {
  return static_cast<uint64_t>(static_cast<unsigned __int128>(gpu_totals_.at(gpu)) * overcommit_permille_ /
                               1000);
}

Status Ledger::check_open(uint32_t gpu) const {
  auto found = closed_.find(gpu);
  if (found == closed_.end()) return Status();
  return Status::error(Code::kUnavailable, "GPU %u is quarantined: %s", gpu, found->second.c_str());
}

Result<std::string> Ledger::choose_name(const SliceRequest& request) const {
  auto taken = [&](const std::string& name) {
    return std::any_of(slices_.begin(), slices_.end(), [&](const auto& s) { return s.second.name == name; });
  };
  if (!request.name.empty()) {
    TESSERA_RETURN_IF_ERROR(check_slice_name(request.name));
    if (taken(request.name)) {
      return Status::error(Code::kAlreadyExists, "a slice named '%s' exists already; choose another --name",
                           request.name.c_str());
    }
    return request.name;
  }
  std::string base;
  for (char c : request.program.substr(0, 40)) base += is_name_character(c) ? c : '_';
  if (base.empty()) base = "slice";
  auto last = name_numbers_.find(base);
  uint64_t number = last == name_numbers_.end() ? 0 : last->second;
  for (;;) {
    std::string name = str_format("%s-%llu", base.c_str(), static_cast<unsigned long long>(++number));
    if (!taken(name)) return name;
  }
}

Result<std::vector<uint32_t>> Ledger::choose_gpus(const SliceRequest& request) const {
  if (gpu_totals_.empty()) {
    return Status::error(Code::kFailedPrecondition, "this node has no GPU; 'tessera doctor' says why");
  }
  if (request.gpus.empty()) {
    if (request.memory_bytes.size() > 1) {
      return Status(Code::kInvalidArgument, "several limits need their GPUs named");
    }
    if (request.compute.size() > 1) {
      return Status(Code::kInvalidArgument, "several shares need their GPUs named");
    }
    partitioning::PartRequest part;
    if (!request.memory_bytes.empty()) part.memory_bytes = request.memory_bytes[0];
    part.memory_min_bytes = request.memory.min_bytes;
    if (!request.compute.empty()) part.compute = request.compute[0];
    auto place = partitioning::choose_gpu(gpu_states(), part, request.packing.value_or(packing_));
    if (place.status().code() == Code::kResourceExhausted) return with_needs(place.status());
    if (!place.ok()) return place.status();
    return std::vector<uint32_t>{place->gpu};
  }
  if (request.gpus.size() > vgpu::kMaxDevicesPerSlice) {
    return Status::error(Code::kInvalidArgument, "a slice has at most %zu GPUs", vgpu::kMaxDevicesPerSlice);
  }
  std::set<uint32_t> seen;
  for (uint32_t gpu : request.gpus) {
    if (gpu >= gpu_totals_.size()) {
      return Status::error(Code::kNotFound, "no GPU %u: this node has %zu (0 to %zu)", gpu,
                           gpu_totals_.size(), gpu_totals_.size() - 1);
    }
    if (!seen.insert(gpu).second) {
      return Status::error(Code::kInvalidArgument, "GPU %u is named twice", gpu);
    }
    TESSERA_RETURN_IF_ERROR(check_open(gpu));
  }
  if (request.memory_bytes.size() > 1 && request.memory_bytes.size() != request.gpus.size()) {
    return Status::error(Code::kInvalidArgument, "%zu limits for %zu GPUs", request.memory_bytes.size(),
                         request.gpus.size());
  }
  if (request.compute.size() > 1 && request.compute.size() != request.gpus.size()) {
    return Status::error(Code::kInvalidArgument, "%zu shares for %zu GPUs", request.compute.size(),
                         request.gpus.size());
  }
  return request.gpus;
}

Status Ledger::check_room(uint32_t gpu, uint64_t left, uint64_t wanted) const {
  if (wanted == 0) return Status(Code::kInvalidArgument, "a slice needs more than 0 bytes of memory");
  if (wanted > gpu_totals_[gpu] && gpu_totals_[gpu] < promisable_bytes(gpu)) {
    return Status::error(Code::kResourceExhausted,
                         "GPU %u has %s, and one slice can have no more of it, whatever all together may; %s "
                         "were asked for",
                         gpu, format_size(gpu_totals_[gpu]).c_str(), format_size(wanted).c_str());
  }
  if (wanted <= left) return Status();
  return Status::error(Code::kResourceExhausted,
                       "GPU %u has %s not reserved by other slices (of %s); %s were asked for%s", gpu,
                       format_size(left).c_str(), format_size(promisable_bytes(gpu)).c_str(),
                       format_size(wanted).c_str(), needs_note(gpu).c_str());
}

Result<SliceDevice> Ledger::plan_device(const SliceRequest& request, size_t index, uint32_t gpu) const {
  SliceDevice device;
  device.gpu = gpu;
  device.limit_bytes = gpu_totals_[gpu];
  partitioning::PartRequest part;
  if (!request.compute.empty()) part.compute = request.compute[request.compute.size() == 1 ? 0 : index];
  if (!request.memory_bytes.empty()) {
    device.reserved = true;
    part.memory_bytes = device.limit_bytes =
        request.memory_bytes[request.memory_bytes.size() == 1 ? 0 : index];
    TESSERA_RETURN_IF_ERROR(check_room(gpu, unreserved_bytes(gpu), device.limit_bytes));
  }
  device.memory = request.memory;
  TESSERA_RETURN_IF_ERROR(check_memory_terms(device.memory, device));
  TESSERA_RETURN_IF_ERROR(check_minimum(tenant_name(request), 0, device));  // the planner knows no names
  part.memory_min_bytes = request.memory.min_bytes;
  TESSERA_ASSIGN_OR_RETURN(device.sms, partitioning::plan_part(gpu_state(gpu), gpu, part));
  device.compute = part.compute;
  return device;
}

Result<SliceId> Ledger::open_slice(const SliceRequest& request, uint64_t now_ns) {
  if (slices_.size() >= kMaxSlices) {
    return Status::error(Code::kResourceExhausted, "this node has %zu slices, its most", slices_.size());
  }
  TESSERA_ASSIGN_OR_RETURN(auto gpus, choose_gpus(request));
  TESSERA_ASSIGN_OR_RETURN(std::string name, choose_name(request));
  Slice slice;
  for (size_t i = 0; i < gpus.size(); ++i) {
    TESSERA_ASSIGN_OR_RETURN(SliceDevice device, plan_device(request, i, gpus[i]));
    slice.devices.push_back(std::move(device));
  }
  if (request.name.empty()) {
    // Numbers are not used again while the daemon runs, so that a name in a log means one slice. The table is
    // emptied rather than left to grow with strangers' program names.
    if (name_numbers_.size() >= 4 * kMaxSlices) name_numbers_.clear();
    size_t dash = name.rfind('-');
    name_numbers_[name.substr(0, dash)] = *parse_uint(std::string_view(name).substr(dash + 1));
  }
  slice.id = next_slice_++;
  slice.name = std::move(name);
  slice.tenant = tenant_name(request);
  slice.token = request.token;
  slice.owner = request.owner;
  slice.kept = request.kept;
  slice.held = !request.kept;
  slice.holder = request.holder;
  slice.created_ns = now_ns;
  SliceId id = slice.id;
  slices_.emplace(id, std::move(slice));
  touched_.slices.insert(id);
  return id;
}

bool Ledger::end_if_unused(SliceId id) {
  auto slice = slices_.find(id);
  assert(slice != slices_.end());
  if (slice->second.kept || slice->second.held || !slice->second.leases.empty()) return false;
  slices_.erase(slice);
  touched_.slices.insert(id);
  return true;
}

bool Ledger::release_slice(SliceId id) {
  slices_.at(id).kept = false;
  touched_.slices.insert(id);
  return end_if_unused(id);
}

bool Ledger::drop_holder(SliceId id) {
  auto slice = slices_.find(id);
  assert(slice != slices_.end());
  slice->second.held = false;
  touched_.slices.insert(id);
  return end_if_unused(id);
}

Status Ledger::set_limit(SliceId id, std::optional<uint32_t> gpu, uint64_t bytes) {
  Slice& slice = slices_.at(id);
  std::vector<SliceDevice*> changed;
  for (SliceDevice& device : slice.devices) {
    if (gpu && device.gpu != *gpu) continue;
    TESSERA_RETURN_IF_ERROR(
        check_room(device.gpu, unreserved_bytes(device.gpu) + set_aside_bytes(device), bytes));
    SliceDevice after = device;
    after.limit_bytes = bytes;
    after.reserved = true;
    TESSERA_RETURN_IF_ERROR(check_memory_terms(after.memory, after));
    TESSERA_RETURN_IF_ERROR(check_minimum(slice.name, id, after));
    changed.push_back(&device);
  }
  if (changed.empty()) {
    return Status::error(Code::kNotFound, "slice '%s' has no part of GPU %u", slice.name.c_str(), *gpu);
  }
  touched_.slices.insert(id);
  for (SliceDevice* device : changed) {
    device->limit_bytes = bytes;
    device->reserved = true;
    take_back(*device, 0);
  }
  return Status();
}

Result<SliceId> Ledger::slice_named(std::string_view name, uid_t user) const {
  for (const auto& [id, slice] : slices_) {
    if (slice.name != name) continue;
    TESSERA_RETURN_IF_ERROR(check_user(slice, user));
    return id;
  }
  TESSERA_RETURN_IF_ERROR(check_slice_name(name));
  return Status(Code::kNotFound, "no slice is named '" + std::string(name) + "'; 'tessera ps' lists them");
}

Result<SliceId> Ledger::slice_of(const Token& token, uid_t user) const {
  for (const auto& [id, slice] : slices_) {
    if (!same_token(slice.token, token)) continue;
    TESSERA_RETURN_IF_ERROR(check_user(slice, user));
    return id;
  }
  return Status::error(Code::kNotFound, "no such slice: it has ended, or TESSERA_SLICE is wrong");
}

Result<LeaseId> Ledger::open_lease(const Token& token, uid_t user, const ProcessIdentity& process,
                                   uint64_t now_ns) {
  TESSERA_ASSIGN_OR_RETURN(SliceId slice_id, slice_of(token, user));
  Slice& slice = slices_.at(slice_id);
  if (slice.leases.size() >= kMaxLeasesPerSlice) {
    return Status::error(Code::kResourceExhausted, "slice '%s' has %zu processes, its most",
                         slice.name.c_str(), slice.leases.size());
  }
  Lease lease;
  lease.id = next_lease_++;
  lease.slice = slice_id;
  lease.process = process;
  lease.created_ns = now_ns;
  lease.devices.resize(slice.devices.size());
  slice.leases.insert(lease.id);
  LeaseId id = lease.id;
  leases_.emplace(id, std::move(lease));
  touched_.leases.insert(id);
  return id;
}

bool Ledger::close_lease(LeaseId id) {
  auto lease = leases_.find(id);
  assert(lease != leases_.end());
  Slice& slice = slices_.at(lease->second.slice);
  for (size_t i = 0; i < slice.devices.size(); ++i) {
    take_back(slice.devices[i], lease->second.devices[i].granted_bytes);
  }
  if (lease->second.life == LeaseLife::kAwaited) --slice.awaited;
  slice.leases.erase(id);
  touched_.leases.insert(id);
  leases_.erase(lease);
  return end_if_unused(slice.id);
}

uint64_t Ledger::grant(LeaseId id, uint32_t device, uint64_t needed, uint64_t wanted) {
  assert(needed <= wanted);
  Lease& lease = leases_.at(id);
  Slice& slice = slices_.at(lease.slice);
  SliceDevice& total = slice.devices.at(device);
  uint64_t left = grantable_bytes(total);
  if (needed > left || slice.awaited > 0) return 0;
  uint64_t granted = std::min(wanted, left);
  book(lease.devices[device], total, granted);
  touched_.leases.insert(id);
  return granted;
}

uint64_t Ledger::shortfall(LeaseId id, uint32_t device, uint64_t needed) const {
  const Lease& lease = leases_.at(id);
  const SliceDevice& total = slices_.at(lease.slice).devices.at(device);
  // Neither is more than a GPU has, so the sum does not overflow.
  uint64_t after = total.granted_bytes + needed;
  return after > total.limit_bytes ? after - total.limit_bytes : 0;
}

Status Ledger::give_back(LeaseId id, uint32_t device, uint64_t bytes) {
  Lease& lease = leases_.at(id);
  if (device >= lease.devices.size()) {
    return Status::error(Code::kInvalidData, "device index %u is not in the slice", device);
  }
  LeaseDevice& own = lease.devices[device];
  if (bytes > own.granted_bytes) {
    return Status::error(Code::kInvalidData, "%llu bytes given back, %llu were granted",
                         static_cast<unsigned long long>(bytes),
                         static_cast<unsigned long long>(own.granted_bytes));
  }
  own.granted_bytes -= bytes;
  touched_.leases.insert(id);
  take_back(slices_.at(lease.slice).devices[device], bytes);
  return Status();
}

Status Ledger::restore_slice(Slice slice) {
  TESSERA_RETURN_IF_ERROR(check_slice_name(slice.name));
  bool sound = slice.id != 0 && !slices_.contains(slice.id) && slices_.size() < kMaxSlices &&
               !slice.devices.empty() && slice.devices.size() <= vgpu::kMaxDevicesPerSlice;
  for (const auto& [id, other] : slices_) {
    sound = sound && other.name != slice.name && !same_token(other.token, slice.token);
  }
  std::set<uint32_t> seen;
  for (const SliceDevice& device : slice.devices) {
    sound = sound && device.gpu < gpu_totals_.size() && seen.insert(device.gpu).second &&
            device.limit_bytes > 0 && device.limit_bytes <= most_restored_bytes(device) &&
            partitioning::check_sms(gpu_state(device.gpu), device.gpu, device.compute, device.sms).ok() &&
            check_memory_terms(device.memory, device).ok() && check_minimum(slice.name, 0, device).ok();
  }
  if (!sound) return Status(Code::kInvalidData, "slice '" + slice.name + "' cannot be as it is journalled");
  slice.leases.clear();
  slice.awaited = 0;
  for (SliceDevice& device : slice.devices) {
    device.granted_bytes = 0;  // its leases bring it along
    device.lowered = false;
  }
  next_slice_ = std::max(next_slice_, slice.id + 1);
  touched_.slices.insert(slice.id);
  slices_.emplace(slice.id, std::move(slice));
  return Status();
}

Status Ledger::restore_lease(Lease lease) {
  auto slice = slices_.find(lease.slice);
  bool sound = lease.id != 0 && !leases_.contains(lease.id) && slice != slices_.end() &&
               slice->second.leases.size() < kMaxLeasesPerSlice &&
               lease.devices.size() == slice->second.devices.size();
  for (size_t i = 0; sound && i < lease.devices.size(); ++i) {
    const SliceDevice& total = slice->second.devices[i];
    uint64_t most = gpu_totals_[total.gpu];
    sound = total.granted_bytes <= most && lease.devices[i].granted_bytes <= most - total.granted_bytes;
  }
  if (!sound) {
    return Status::error(Code::kInvalidData, "the lease of process %d cannot be as it is journalled",
                         static_cast<int>(lease.process.pid));
  }
  for (size_t i = 0; i < lease.devices.size(); ++i) {
    uint64_t granted = std::exchange(lease.devices[i].granted_bytes, 0);
    book(lease.devices[i], slice->second.devices[i], granted);
    take_back(slice->second.devices[i], 0);  // a limit may have been lowered below it
  }
  slice->second.leases.insert(lease.id);
  if (lease.life == LeaseLife::kAwaited) ++slice->second.awaited;
  next_lease_ = std::max(next_lease_, lease.id + 1);
  touched_.leases.insert(lease.id);
  LeaseId id = lease.id;
  leases_.emplace(id, std::move(lease));
  return Status();
}

void Ledger::set_life(LeaseId id, LeaseLife life) {
  Lease& lease = leases_.at(id);
  Slice& slice = slices_.at(lease.slice);
  if (lease.life == LeaseLife::kAwaited) --slice.awaited;
  lease.life = life;
  if (lease.life == LeaseLife::kAwaited) ++slice.awaited;
  touched_.leases.insert(id);
}

Status Ledger::claim(LeaseId id, std::span<const uint64_t> held_bytes) {
  Lease& lease = leases_.at(id);
  Slice& slice = slices_.at(lease.slice);
  if (held_bytes.size() != lease.devices.size()) {
    return Status::error(Code::kInvalidData, "%zu devices are claimed, the slice has %zu", held_bytes.size(),
                         lease.devices.size());
  }
  for (size_t i = 0; i < held_bytes.size(); ++i) {
    uint64_t booked = lease.devices[i].granted_bytes;
    if (held_bytes[i] <= booked || held_bytes[i] - booked <= grantable_bytes(slice.devices[i])) continue;
    return Status::error(
        Code::kInvalidData, "process %d claims to hold %s of slice '%s', more than its limit leaves for it",
        static_cast<int>(lease.process.pid), format_size(held_bytes[i]).c_str(), slice.name.c_str());
  }
  for (size_t i = 0; i < held_bytes.size(); ++i) {
    LeaseDevice& own = lease.devices[i];
    if (held_bytes[i] > own.granted_bytes) book(own, slice.devices[i], held_bytes[i] - own.granted_bytes);
    if (held_bytes[i] == own.granted_bytes) continue;
    take_back(slice.devices[i], own.granted_bytes - held_bytes[i]);
    own.granted_bytes = held_bytes[i];
  }
  touched_.leases.insert(id);
  return Status();
}

const Slice* Ledger::find_slice(SliceId id) const {
  auto slice = slices_.find(id);
  return slice == slices_.end() ? nullptr : &slice->second;
}

const Lease* Ledger::find_lease(LeaseId id) const {
  auto lease = leases_.find(id);
  return lease == leases_.end() ? nullptr : &lease->second;
}

Status Ledger::check() const {
  std::vector<uint64_t> reserved(gpu_totals_.size());
  size_t leases_seen = 0;
  for (const auto& [id, slice] : slices_) {
    if (!slice.kept && !slice.held && slice.leases.empty())
      return Status(Code::kInternal, slice.name + " is unused");
    leases_seen += slice.leases.size();
    auto awaited = std::count_if(slice.leases.begin(), slice.leases.end(), [&](LeaseId lease) {
      return leases_.at(lease).life == LeaseLife::kAwaited;
    });
    if (static_cast<size_t>(awaited) != slice.awaited)
      return Status(Code::kInternal, slice.name + ": awaited differ");
    for (size_t i = 0; i < slice.devices.size(); ++i) {
      const SliceDevice& device = slice.devices[i];
      uint64_t granted = 0;
      for (LeaseId lease : slice.leases) granted += leases_.at(lease).devices.at(i).granted_bytes;
      if (granted != device.granted_bytes) return Status(Code::kInternal, slice.name + ": grants differ");
      if ((granted > device.limit_bytes) != device.lowered) {
        return Status(Code::kInternal, slice.name + " is over its limit");
      }
      if (device.reserved) reserved[device.gpu] += device.limit_bytes;
    }
  }
  if (leases_seen != leases_.size()) return Status(Code::kInternal, "a lease without a slice");
  for (size_t gpu = 0; gpu < reserved.size(); ++gpu) {
    if (!counts_needs_ && reserved[gpu] > promisable_bytes(gpu))
      return Status(Code::kInternal, "a GPU is reserved twice");
  }
  TESSERA_RETURN_IF_ERROR(check_minima());
  return check_sms_of_gpus();
}

}  // namespace tessera::node
