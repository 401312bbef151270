#include "node/residency_broker.h"

#include <algorithm>
#include <numeric>
#include <set>

namespace tessera::node {

using partitioning::Presence;

void ResidencyBroker::set_terms(SliceId slice, uint32_t gpu, const partitioning::MemoryTerms& terms) {
  if (terms == partitioning::MemoryTerms()) {
    gpus_[gpu].terms.erase(slice);
  } else {
    gpus_[gpu].terms.insert_or_assign(slice, terms);
  }
}

void ResidencyBroker::forget_terms(SliceId slice) {
  for (auto& [index, gpu] : gpus_) gpu.terms.erase(slice);
}

void ResidencyBroker::open(LeaseId lease, SliceId slice, std::span<const Promise> promises, uint64_t now_ns) {
  Held& held = held_[lease];
  held.slice = slice;
  for (const Promise& promise : promises) {
    held.gpus.push_back(promise.gpu);
    held.parts.emplace_back().tenant.promised_bytes = promise.bytes;
    if (gpus_[promise.gpu].moved_ns == 0) gpus_[promise.gpu].moved_ns = now_ns;
  }
  held.awaited_until_ns = now_ns + kAwaitedTimeoutNs;
}

void ResidencyBroker::set_resident(Held& held, size_t device, uint64_t bytes) {
  uint64_t& resident = held.parts[device].tenant.resident_bytes;
  Gpu& gpu = gpus_[held.gpus[device]];
  gpu.resident_bytes += bytes - resident;  // modulo 2^64, and right
  resident = bytes;
}

uint64_t ResidencyBroker::left(uint32_t gpu) const {
  const Gpu& state = gpus_.at(gpu);
  return capacity(gpu) - std::min(capacity(gpu), state.resident_bytes + state.lent_bytes);
}

void ResidencyBroker::set_lent(uint32_t index, uint64_t bytes, uint64_t coming, uint64_t now_ns,
                               Effects& effects) {
  Gpu& gpu = gpus_[index];
  if (gpu.lent_bytes == bytes && gpu.coming_bytes == coming) return;
  gpu.lent_bytes = bytes;
  gpu.coming_bytes = coming;
  serve(index, now_ns, effects);
}

bool ResidencyBroker::is_waited_for(uint32_t index) const {
  const auto found = gpus_.find(index);
  return found != gpus_.end() && !found->second.queue.empty();
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

// What was asked of it, and what it asked for, is over; what it holds is not.
void ResidencyBroker::forget_connection(LeaseId lease, Held& held) {
  held.connected = false;
  for (Part& part : held.parts) {
    part.asked.reset();
    part.tenant.wants = false;
  }
  for (auto& [index, gpu] : gpus_) {
    std::erase_if(gpu.queue, [&](const Waiting& w) { return w.lease == lease; });
    if (gpu.returning && gpu.returning->lease == lease) gpu.returning_until_ns = 0;
  }
}

void ResidencyBroker::disconnect(LeaseId lease, uint64_t now_ns, Effects& effects) {
  const auto found = held_.find(lease);
  if (found == held_.end()) return;
  forget_connection(lease, found->second);
  serve_all(lease, now_ns, effects);
}

void ResidencyBroker::close(LeaseId lease, uint64_t now_ns, Effects& effects) {
  const auto found = held_.find(lease);
  if (found == held_.end()) return;
  forget_connection(lease, found->second);
  for (size_t i = 0; i < found->second.parts.size(); ++i) set_resident(found->second, i, 0);
  std::set<uint32_t> gpus(found->second.gpus.begin(), found->second.gpus.end());
  for (auto& [index, gpu] : gpus_) {
    if (gpu.returning && gpu.returning->lease == lease) stop_returning(gpu, now_ns);
    if (lends_) gpus.insert(index);
  }
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
  TESSERA_ASSIGN_OR_RETURN(Part * part, part_of(lease, message.device));
  const uint32_t gpu = held_.at(lease).gpus[message.device];
  Queue& queue = gpus_[gpu].queue;
  const auto own =
      std::count_if(queue.begin(), queue.end(), [&](const Waiting& w) { return w.lease == lease; });
  if (static_cast<size_t>(own) >= kMaxWaitingPerLease) {
    return Status::error(Code::kResourceExhausted, "%zu requests wait for an answer already",
                         kMaxWaitingPerLease);
  }
  queue.push_back({lease, request, message, now_ns});
  if (message.out_bytes > 0) {
    part->tenant.out_bytes = message.out_bytes;
    part->tenant.wants = true;
    if (part->tenant.presence == Presence::kIn) {  // a daemon before this one knew
      part->tenant.presence = Presence::kOut;
      part->tenant.since_ns = now_ns;
    }
  }
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
  part(Place{lease, message.device}).forecast.shrank(message.bytes);
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
  Gpu& gpu = gpus_[held_.at(lease).gpus[message.device]];
  part->asked->given += message.bytes;
  part->tenant.out_bytes = message.out_bytes;
  if (message.out_bytes > 0 && part->tenant.presence != Presence::kOut) {
    part->tenant.presence = Presence::kOut;
    part->tenant.since_ns = now_ns;
    if (part->asked->for_return && gpu.moving_since_ns == 0) gpu.moving_since_ns = now_ns;
  }
  if (!message.more) {
    if (part->asked->given > 0) ++evictions_;
    if (message.out_bytes > 0)
      gpu.speed.moved(memory::MovingSpeed::Way::kOut, part->asked->given, now_ns - part->asked->since_ns);
    // It may be able to in a moment: what was granted to it may be on its way into use.
    const bool all = part->asked->given >= part->asked->bytes;
    part->no_swap_until_ns = message.no_swap ? now_ns + kNoSwapNs : 0;
    part->tenant.stuck_bytes = all ? 0 : part->tenant.resident_bytes;
    if (!all) part->tenant.not_before_ns = now_ns + kEvictPauseNs;
    part->asked.reset();
  }
  serve(held_.at(lease).gpus[message.device], now_ns, effects);
  return Status();
}

Status ResidencyBroker::returned(LeaseId lease, const ReturnedMessage& message, uint64_t now_ns,
                                 Effects& effects) {
  TESSERA_ASSIGN_OR_RETURN(Part * part, part_of(lease, message.device));
  part->tenant.out_bytes = 0;
  part->tenant.wants = false;
  if (part->tenant.presence != Presence::kIn) {
    part->tenant.presence = Presence::kIn;
    part->tenant.since_ns = now_ns;
  }
  const uint32_t index = held_.at(lease).gpus[message.device];
  Gpu& gpu = gpus_[index];
  if (gpu.returning == Place{lease, message.device}) {
    const auto tenants = tenants_of(index, 0).tenants;
    const uint64_t bound =
        partitioning::longest_turn_ns(tenants, capacity(index), round_ns_, move_ns(index, tenants));
    const uint64_t moving_ns = now_ns - std::min(now_ns, gpu.moving_since_ns);
    gpu.speed.moved(memory::MovingSpeed::Way::kIn, gpu.returned_bytes,
                    now_ns - std::min(now_ns, gpu.first_returned_ns));
    gpu.detector.turn_ended(gpu.moving_since_ns - std::min(gpu.moving_since_ns, gpu.moved_ns), moving_ns,
                            bound);
    stop_returning(gpu, now_ns);
  }
  serve(index, now_ns, effects);
  return Status();
}

bool ResidencyBroker::gives_way_for_return(LeaseId lease, uint32_t device) const {
  const auto found = held_.find(lease);
  if (found == held_.end() || device >= found->second.parts.size()) return false;
  const std::optional<Asked>& asked = found->second.parts[device].asked;
  return asked && asked->for_return;
}

uint64_t ResidencyBroker::resident_bytes(LeaseId lease, uint32_t device) const {
  const auto found = held_.find(lease);
  return found == held_.end() ? 0 : found->second.parts.at(device).tenant.resident_bytes;
}

uint64_t ResidencyBroker::waited_ns(LeaseId lease, uint32_t device, uint64_t now_ns) const {
  const auto found = held_.find(lease);
  if (found == held_.end()) return 0;
  const Part& part = found->second.parts.at(device);
  const uint64_t since = part.waits_since_ns.value_or(now_ns);
  return part.waited_ns + (now_ns - std::min(now_ns, since));
}

uint64_t ResidencyBroker::resident_bytes_of_gpu(uint32_t gpu) const {
  const auto found = gpus_.find(gpu);
  return found == gpus_.end() ? 0 : found->second.resident_bytes;
}

size_t ResidencyBroker::waiting() const {
  return std::accumulate(gpus_.begin(), gpus_.end(), size_t{0},
                         [](size_t sum, const auto& entry) { return sum + entry.second.queue.size(); });
}

ResidencyBroker::Moving ResidencyBroker::moving(uint32_t index) const {
  const auto found = gpus_.find(index);
  if (found == gpus_.end()) return {};
  const memory::ThrashDetector& detector = found->second.detector;
  return {detector.moving_percent(), detector.thrashing(),
          turn_rules(index, tenants_of(index, 0).tenants).turn_ns};
}

memory::ThrashDetector::State ResidencyBroker::moving_state(uint32_t index) const {
  const auto found = gpus_.find(index);
  return found == gpus_.end() ? memory::ThrashDetector::State() : found->second.detector.state();
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
