#include "node/residency_broker.h"

#include <algorithm>
#include <cassert>
#include <numeric>

namespace tessera::node {
namespace {

using partitioning::ResidentTenant;
using vgpu::BudgetKind;

// A measurement of a copy is taken in by this part: one that was disturbed decides nothing.
constexpr double kNewPart = 0.25;
constexpr uint64_t kLeastMeasuredBytes = 16 << 20;

}  // namespace

void ResidencyBroker::open(LeaseId lease, std::vector<uint32_t> gpus, uint64_t now_ns) {
  Held& held = held_[lease];
  held.parts.resize(gpus.size());
  held.gpus = std::move(gpus);
  held.awaited_until_ns = now_ns + kAwaitedTimeoutNs;
}

void ResidencyBroker::set_resident(Held& held, size_t device, uint64_t bytes) {
  uint64_t& resident = held.parts[device].tenant.resident_bytes;
  Gpu& gpu = gpus_[held.gpus[device]];
  gpu.resident_bytes += bytes - resident;  // modulo 2^64, and right
  resident = bytes;
}

Status ResidencyBroker::attach(LeaseId lease, std::span<const uint64_t> bytes, uint64_t now_ns,
                               Effects& effects) {
  Held& held = held_.at(lease);
  for (size_t i = 0; i < held.parts.size(); ++i) {
    const uint64_t before = held.parts[i].tenant.resident_bytes;
    const uint64_t others = gpus_[held.gpus[i]].resident_bytes - before;
    if (bytes[i] > before && bytes[i] + others > capacity(held.gpus[i])) {
      return Status::error(Code::kResourceExhausted,
                           "the process says that it holds more of GPU %u than is left of it", held.gpus[i]);
    }
  }
  held.connected = true;
  held.awaited_until_ns = 0;
  for (size_t i = 0; i < held.parts.size(); ++i) {
    held.parts[i].asked.reset();
    set_resident(held, i, bytes[i]);
  }
  serve_all(lease, now_ns, effects);
  return Status();
}

void ResidencyBroker::disconnect(LeaseId lease, uint64_t now_ns, Effects& effects) {
  const auto found = held_.find(lease);
  if (found == held_.end()) return;
  found->second.connected = false;
  for (Part& part : found->second.parts) part.asked.reset();
  drop_waiting(lease);
  serve_all(lease, now_ns, effects);
}

void ResidencyBroker::close(LeaseId lease, uint64_t now_ns, Effects& effects) {
  const auto found = held_.find(lease);
  if (found == held_.end()) return;
  drop_waiting(lease);
  for (size_t i = 0; i < found->second.parts.size(); ++i) set_resident(found->second, i, 0);
  const std::vector<uint32_t> gpus = found->second.gpus;
  held_.erase(found);
  for (uint32_t gpu : gpus) serve(gpu, now_ns, effects);
}

Result<ResidencyBroker::Part*> ResidencyBroker::part_of(LeaseId lease, uint32_t device) {
  const auto found = held_.find(lease);
  if (found == held_.end()) {
    return Status(Code::kInvalidData, "nothing is granted of the GPUs' memory: limits are all there is");
  }
  if (device >= found->second.parts.size()) {
    return Status::error(Code::kInvalidData, "device index %u is not in the slice", device);
  }
  return &found->second.parts[device];
}

Status ResidencyBroker::reserve(LeaseId lease, uint32_t request, const ReserveMessage& message,
                                uint64_t now_ns, Effects& effects) {
  TESSERA_RETURN_IF_ERROR(part_of(lease, message.device).status());
  const uint32_t gpu = held_.at(lease).gpus[message.device];
  auto& queue = gpus_[gpu].queue;
  const auto own =
      std::count_if(queue.begin(), queue.end(), [&](const Waiting& w) { return w.lease == lease; });
  if (static_cast<size_t>(own) >= kMaxWaitingPerLease) {
    return Status::error(Code::kResourceExhausted, "%zu requests wait for an answer already",
                         kMaxWaitingPerLease);
  }
  queue.push_back(
      {lease, request, message.device, message.bytes_needed, message.bytes_wanted, message.brings_back});
  serve(gpu, now_ns, effects);
  return Status();
}

Status ResidencyBroker::give_back(LeaseId lease, uint32_t device, uint64_t bytes) {
  TESSERA_ASSIGN_OR_RETURN(Part * part, part_of(lease, device));
  if (bytes > part->tenant.resident_bytes) {
    return Status::error(Code::kInvalidData, "%llu bytes are given back, %llu were granted",
                         static_cast<unsigned long long>(bytes),
                         static_cast<unsigned long long>(part->tenant.resident_bytes));
  }
  set_resident(held_.at(lease), device, part->tenant.resident_bytes - bytes);
  return Status();
}

Status ResidencyBroker::release(LeaseId lease, const ReleaseMessage& message, uint64_t now_ns,
                                Effects& effects) {
  TESSERA_RETURN_IF_ERROR(give_back(lease, message.device, message.bytes));
  serve(held_.at(lease).gpus[message.device], now_ns, effects);
  return Status();
}

Status ResidencyBroker::recalled(LeaseId lease, uint32_t number, const RecalledMessage& message,
                                 uint64_t now_ns, Effects& effects) {
  TESSERA_ASSIGN_OR_RETURN(Part * part, part_of(lease, message.device));
  if (!part->asked || part->asked->number != number) {
    return Status::error(Code::kInvalidData, "Recalled %u answers no recall", number);
  }
  TESSERA_RETURN_IF_ERROR(give_back(lease, message.device, message.bytes));
  const Asked asked = *part->asked;
  part->asked.reset();
  const uint32_t gpu = held_.at(lease).gpus[message.device];
  if (message.bytes > 0) ++evictions_;
  part->tenant.out = part->tenant.out || message.out;
  if (message.bytes >= kLeastMeasuredBytes && now_ns > asked.since_ns) {
    const double measured = static_cast<double>(now_ns - asked.since_ns) / static_cast<double>(message.bytes);
    double& known = gpus_[gpu].ns_per_byte;
    known += kNewPart * (measured - known);
  }
  // It may be able to in a moment: what was granted to it may be on its way into use, or memory on its way
  // back.
  if (message.bytes < asked.bytes) part->tenant.not_before_ns = now_ns + kEvictPauseNs;
  serve(gpu, now_ns, effects);
  return Status();
}

void ResidencyBroker::drop_waiting(LeaseId lease) {
  for (auto& [index, gpu] : gpus_) {
    std::erase_if(gpu.queue, [&](const Waiting& w) { return w.lease == lease; });
  }
}

uint64_t ResidencyBroker::stay_ns(uint32_t gpu, uint64_t missing) const {
  size_t tenants = 0;
  for (const auto& [lease, held] : held_) {
    tenants += static_cast<size_t>(std::count(held.gpus.begin(), held.gpus.end(), gpu));
  }
  return partitioning::residence_ns(missing, gpus_.at(gpu).ns_per_byte, tenants);
}

std::deque<ResidencyBroker::Waiting>::iterator ResidencyBroker::next_request(uint32_t index,
                                                                             uint64_t now_ns) {
  Gpu& gpu = gpus_.at(index);
  const uint64_t left = capacity(index) - std::min(capacity(index), gpu.resident_bytes);
  const uint64_t needed = gpu.queue.front().needed;
  const uint64_t stay = stay_ns(index, needed - std::min(needed, left));
  const auto in_turn = std::find_if(gpu.queue.begin(), gpu.queue.end(), [&](const Waiting& request) {
    const ResidentTenant& tenant = held_.at(request.lease).parts[request.device].tenant;
    return tenant.resident_bytes > 0 && !tenant.out && now_ns < tenant.since_ns + stay;
  });
  return in_turn != gpu.queue.end() ? in_turn : gpu.queue.begin();
}

// What others cannot move is not counted: they may end, or free it.
bool ResidencyBroker::can_never_fit(uint32_t gpu, const Waiting& request) const {
  const uint64_t own = held_.at(request.lease).parts[request.device].tenant.resident_bytes;
  return request.needed > capacity(gpu) - std::min(capacity(gpu), own);
}

uint64_t ResidencyBroker::expected_bytes(uint32_t gpu) const {
  uint64_t bytes = 0;
  for (const auto& [lease, held] : held_) {
    for (size_t i = 0; i < held.gpus.size(); ++i) {
      if (held.gpus[i] == gpu && held.parts[i].asked && !held.parts[i].asked->overdue)
        bytes += held.parts[i].asked->bytes;
    }
  }
  return bytes;
}

std::optional<uint64_t> ResidencyBroker::awaited_until_ns(uint32_t gpu, uint64_t now_ns) const {
  std::optional<uint64_t> latest;
  for (const auto& [lease, held] : held_) {
    if (held.awaited_until_ns <= now_ns || std::count(held.gpus.begin(), held.gpus.end(), gpu) == 0) continue;
    latest = std::max(latest.value_or(0), held.awaited_until_ns);
  }
  return latest;
}

void ResidencyBroker::grant(uint32_t index, std::deque<Waiting>::iterator request, uint64_t now_ns,
                            Effects& effects) {
  Gpu& gpu = gpus_.at(index);
  const uint64_t left = capacity(index) - gpu.resident_bytes;
  const uint64_t bytes = std::min(request->wanted, left);
  Held& held = held_.at(request->lease);
  Part& part = held.parts[request->device];
  if (part.tenant.resident_bytes == 0 || request->brings_back) part.tenant.since_ns = now_ns;
  if (request->brings_back) part.tenant.out = false;
  set_resident(held, request->device, part.tenant.resident_bytes + bytes);
  effects.answers.push_back(
      {request->lease, request->request, request->device, bytes, BudgetKind::kResident});
  gpu.queue.erase(request);
}

void ResidencyBroker::ask_others(uint32_t index, const Waiting& request, uint64_t missing, uint64_t now_ns,
                                 Effects& effects) {
  std::vector<ResidentTenant> tenants;
  std::vector<std::pair<LeaseId, uint32_t>> places;
  for (auto& [lease, held] : held_) {
    for (uint32_t i = 0; i < held.gpus.size(); ++i) {
      if (held.gpus[i] != index || (lease == request.lease && i == request.device)) continue;
      tenants.push_back(held.parts[i].tenant);
      tenants.back().can_be_asked = held.connected && !held.parts[i].asked;
      places.emplace_back(lease, i);
    }
  }
  const uint64_t stay = stay_ns(index, missing);
  while (missing > 0) {
    const auto victim = partitioning::choose_victim(tenants, stay, now_ns);
    if (!victim) break;
    const auto [lease, device] = places[victim->index];
    const uint64_t bytes = std::min(victim->bytes, missing);
    if (next_number_ == 0) next_number_ = 1;  // 0 means that no answer is wanted
    held_.at(lease).parts[device].asked = Asked{next_number_, bytes, now_ns};
    effects.recalls.push_back({lease, next_number_++, device, bytes, BudgetKind::kResident});
    tenants[victim->index].can_be_asked = false;
    missing -= bytes;
  }
  if (missing > 0) gpus_.at(index).look_at_ns = partitioning::next_choice_ns(tenants, stay, now_ns);
}

void ResidencyBroker::serve(uint32_t index, uint64_t now_ns, Effects& effects) {
  Gpu& gpu = gpus_[index];
  gpu.look_at_ns.reset();
  if (gpu.queue.empty()) return;
  if (const auto awaited = awaited_until_ns(index, now_ns)) {
    gpu.look_at_ns = awaited;
    return;
  }
  while (!gpu.queue.empty()) {
    const auto request = next_request(index, now_ns);
    const uint64_t left = capacity(index) - std::min(capacity(index), gpu.resident_bytes);
    if (request->needed <= left) {
      grant(index, request, now_ns, effects);
      continue;
    }
    if (can_never_fit(index, *request)) {
      effects.answers.push_back(
          {request->lease, request->request, request->device, 0, BudgetKind::kResident});
      gpu.queue.erase(request);
      continue;
    }
    // While somebody is asked it is for what is wanted: who asks for a little now will ask for more soon, and
    // who gives is off the device with whatever it gives.
    const uint64_t missing = request->needed - left, expected = expected_bytes(index);
    if (missing > expected) ask_others(index, *request, request->wanted - left - expected, now_ns, effects);
    return;
  }
}

void ResidencyBroker::serve_all(LeaseId lease, uint64_t now_ns, Effects& effects) {
  const std::vector<uint32_t> gpus = held_.at(lease).gpus;
  for (uint32_t gpu : gpus) serve(gpu, now_ns, effects);
}

void ResidencyBroker::expire(uint64_t now_ns, Effects& effects) {
  std::vector<uint32_t> touched;
  for (auto& [lease, held] : held_) {
    for (size_t i = 0; i < held.parts.size(); ++i) {
      auto& asked = held.parts[i].asked;
      if (!asked || asked->overdue || now_ns < asked->since_ns + kEvictPatienceNs) continue;
      asked->overdue = true;
      touched.push_back(held.gpus[i]);
    }
  }
  for (const auto& [index, gpu] : gpus_) {
    if (gpu.look_at_ns && *gpu.look_at_ns <= now_ns) touched.push_back(index);
  }
  for (uint32_t gpu : touched) serve(gpu, now_ns, effects);
}

std::optional<uint64_t> ResidencyBroker::next_deadline_ns() const {
  std::optional<uint64_t> next;
  const auto sooner = [&](uint64_t moment) {
    if (!next || moment < *next) next = moment;
  };
  for (const auto& [lease, held] : held_) {
    for (const Part& part : held.parts) {
      if (part.asked && !part.asked->overdue) sooner(part.asked->since_ns + kEvictPatienceNs);
    }
  }
  for (const auto& [index, gpu] : gpus_) {
    if (gpu.look_at_ns) sooner(*gpu.look_at_ns);
  }
  return next;
}

uint64_t ResidencyBroker::resident_bytes(LeaseId lease, uint32_t device) const {
  const auto found = held_.find(lease);
  return found == held_.end() ? 0 : found->second.parts.at(device).tenant.resident_bytes;
}

uint64_t ResidencyBroker::resident_bytes_of_gpu(uint32_t gpu) const {
  const auto found = gpus_.find(gpu);
  return found == gpus_.end() ? 0 : found->second.resident_bytes;
}

size_t ResidencyBroker::waiting() const {
  return std::accumulate(gpus_.begin(), gpus_.end(), size_t{0},
                         [](size_t sum, const auto& entry) { return sum + entry.second.queue.size(); });
}

Status ResidencyBroker::check() const {
  std::map<uint32_t, uint64_t> sums;
  for (const auto& [lease, held] : held_) {
    for (size_t i = 0; i < held.gpus.size(); ++i) sums[held.gpus[i]] += held.parts[i].tenant.resident_bytes;
  }
  for (const auto& [index, gpu] : gpus_) {
    if (sums[index] != gpu.resident_bytes) return Status(Code::kInternal, "a sum is wrong");
    if (gpu.resident_bytes > capacity(index)) return Status(Code::kInternal, "more is granted than there is");
  }
  return Status();
}

}  // namespace tessera::node
