#include "node/broker.h"

#include <algorithm>
#include <cassert>

namespace tessera::node {

Status Broker::reserve(LeaseId lease, uint32_t request, const ReserveMessage& message, uint64_t now_ns,
                       Effects& effects) {
  const Lease& holder = *ledger_.find_lease(lease);
  const Slice& slice = *ledger_.find_slice(holder.slice);
  if (message.device >= slice.devices.size()) {
    return Status::error(Code::kInvalidData, "device index %u is not in the slice", message.device);
  }
  uint64_t limit = slice.devices[message.device].limit_bytes;
  if (message.bytes_needed > limit) {
    effects.answers.push_back({lease, request, message.device, 0});
    return Status();
  }
  ReserveMessage trimmed = message;
  // Many processes share the chunk: else the first few would hold all of the limit ahead of need, and every
  // later one would have to wait for a recall.
  uint64_t most = message.bytes_needed +
                  chunk_bytes(limit) / slice.leases.size();  // both are at most `limit`: no overflow
  trimmed.bytes_wanted = std::min(message.bytes_wanted, most);
  auto& queue = queues_[slice.id];
  auto own = std::count_if(queue.begin(), queue.end(), [&](const Waiting& w) { return w.lease == lease; });
  if (static_cast<size_t>(own) >= kMaxWaitingPerLease) {
    return Status::error(Code::kResourceExhausted, "%zu requests wait for an answer already",
                         kMaxWaitingPerLease);
  }
  queue.push_back({lease, request, trimmed, now_ns + kAwaitedTimeoutNs, {}});
  serve(slice.id, now_ns, effects);
  return Status();
}

Status Broker::release(LeaseId lease, const ReleaseMessage& message, uint64_t now_ns, Effects& effects) {
  TESSERA_RETURN_IF_ERROR(ledger_.give_back(lease, message.device, message.bytes));
  serve(ledger_.find_lease(lease)->slice, now_ns, effects);
  return Status();
}

Status Broker::recalled(LeaseId lease, uint32_t number, const RecalledMessage& message, uint64_t now_ns,
                        Effects& effects) {
  auto recall = outstanding_.find(lease);
  if (recall == outstanding_.end() || recall->second.number != number ||
      recall->second.device != message.device) {
    return Status::error(Code::kInvalidData, "Recalled %u answers no recall", number);
  }
  if (message.bytes > recall->second.bytes) {
    return Status::error(Code::kInvalidData, "Recalled gives %llu bytes back, %llu were asked for",
                         static_cast<unsigned long long>(message.bytes),
                         static_cast<unsigned long long>(recall->second.bytes));
  }
  TESSERA_RETURN_IF_ERROR(ledger_.give_back(lease, message.device, message.bytes));
  outstanding_.erase(recall);
  ask_for_excess(lease, now_ns, effects);
  serve(ledger_.find_lease(lease)->slice, now_ns, effects);
  return Status();
}

void Broker::send_recall(LeaseId lease, uint32_t device, uint64_t bytes, uint64_t now_ns, Effects& effects) {
  if (next_number_ == 0) next_number_ = 1;  // 0 means that no answer is wanted
  Outstanding order{next_number_++, device, bytes, now_ns + kRecallTimeoutNs};
  outstanding_.emplace(lease, order);
  effects.recalls.push_back({lease, order.number, order.device, order.bytes});
}

void Broker::limits_changed(SliceId id, uint64_t now_ns, Effects& effects) {
  const Slice& slice = *ledger_.find_slice(id);
  for (LeaseId lease : slice.leases) {
    for (uint32_t device = 0; device < slice.devices.size(); ++device) {
      if (slice.devices[device].lowered) excess_[lease].insert(device);
    }
    ask_for_excess(lease, now_ns, effects);
  }
  serve(id, now_ns, effects);
}

void Broker::ask_for_excess(LeaseId id, uint64_t now_ns, Effects& effects) {
  auto told = excess_.find(id);
  if (told == excess_.end()) return;
  const Lease& lease = *ledger_.find_lease(id);
  const Slice& slice = *ledger_.find_slice(lease.slice);
  while (!told->second.empty() && !outstanding_.contains(id)) {
    uint32_t device = *told->second.begin();
    told->second.erase(told->second.begin());
    const SliceDevice& total = slice.devices[device];
    uint64_t granted = lease.devices[device].granted_bytes;
    if (!total.lowered || granted == 0) continue;
    send_recall(id, device, std::min(granted, total.granted_bytes - total.limit_bytes), now_ns, effects);
  }
  if (told->second.empty()) excess_.erase(told);
}

void Broker::drop_waiting(LeaseId lease, SliceId slice) {
  auto queue = queues_.find(slice);
  if (queue == queues_.end()) return;
  std::erase_if(queue->second, [&](const Waiting& w) { return w.lease == lease; });
  if (queue->second.empty()) queues_.erase(queue);
}

void Broker::disconnect(LeaseId lease, uint64_t now_ns, Effects& effects) {
  SliceId slice = ledger_.find_lease(lease)->slice;
  drop_waiting(lease, slice);
  excess_.erase(lease);
  outstanding_.try_emplace(lease, Outstanding{0, 0, 0, now_ns + kRecallTimeoutNs});
  serve(slice, now_ns, effects);
}

void Broker::reattach(LeaseId lease, uint64_t now_ns, Effects& effects) {
  outstanding_.erase(lease);  // what disconnect() left
  const Slice& slice = *ledger_.find_slice(ledger_.find_lease(lease)->slice);
  for (uint32_t device = 0; device < slice.devices.size(); ++device) {
    if (slice.devices[device].lowered) excess_[lease].insert(device);
  }
  ask_for_excess(lease, now_ns, effects);
  serve(slice.id, now_ns, effects);
}

bool Broker::close(LeaseId lease, uint64_t now_ns, Effects& effects) {
  SliceId slice = ledger_.find_lease(lease)->slice;
  drop_waiting(lease, slice);
  excess_.erase(lease);
  outstanding_.erase(lease);
  bool ended = ledger_.close_lease(lease);
  if (!ended) serve(slice, now_ns, effects);
  return ended;
}

bool Broker::ask_others(Waiting& head, const Slice& slice, uint64_t missing, uint64_t now_ns,
                        Effects& effects) {
  bool waits = false;
  for (LeaseId id : slice.leases) {
    uint64_t granted = ledger_.find_lease(id)->devices[head.message.device].granted_bytes;
    if (id == head.lease || granted == 0) continue;
    auto recall = outstanding_.find(id);
    if (recall != outstanding_.end()) {
      waits |= !recall->second.overdue;
      continue;
    }
    if (!head.asked.insert(id).second) continue;
    send_recall(id, head.message.device, std::min(granted, missing), now_ns, effects);
    waits = true;
  }
  return waits;
}

void Broker::serve(SliceId slice, uint64_t now_ns, Effects& effects) {
  auto found = queues_.find(slice);
  if (found == queues_.end()) return;
  auto& queue = found->second;
  while (!queue.empty()) {
    Waiting& head = queue.front();
    const ReserveMessage& message = head.message;
    bool awaits = ledger_.find_slice(slice)->awaited > 0;
    if (awaits && now_ns < head.deadline_ns) return;
    uint64_t missing = ledger_.shortfall(head.lease, message.device, message.bytes_needed);
    if (!awaits && missing > 0 && ask_others(head, *ledger_.find_slice(slice), missing, now_ns, effects))
      return;
    uint64_t granted = 0;
    if (missing == 0) {
      // Nothing ahead of need for a request that others had to give way to: they may want it back soon.
      uint64_t wanted = head.asked.empty() ? message.bytes_wanted : message.bytes_needed;
      granted = ledger_.grant(head.lease, message.device, message.bytes_needed, wanted);
    }
    effects.answers.push_back({head.lease, head.request, message.device, granted});
    queue.pop_front();
  }
  queues_.erase(found);
}

void Broker::expire(uint64_t now_ns, Effects& effects) {
  std::set<SliceId> touched;
  for (auto& [id, recall] : outstanding_) {
    if (recall.overdue || recall.deadline_ns > now_ns) continue;
    recall.overdue = true;
    touched.insert(ledger_.find_lease(id)->slice);
  }
  for (const auto& [slice, queue] : queues_) {
    if (ledger_.find_slice(slice)->awaited > 0 && queue.front().deadline_ns <= now_ns) touched.insert(slice);
  }
  for (SliceId slice : touched) serve(slice, now_ns, effects);
}

std::optional<uint64_t> Broker::next_deadline_ns() const {
  std::optional<uint64_t> next;
  for (const auto& [id, recall] : outstanding_) {
    if (!recall.overdue && (!next || recall.deadline_ns < *next)) next = recall.deadline_ns;
  }
  for (const auto& [slice, queue] : queues_) {
    if (ledger_.find_slice(slice)->awaited == 0) continue;
    if (!next || queue.front().deadline_ns < *next) next = queue.front().deadline_ns;
  }
  return next;
}

size_t Broker::waiting() const {
  size_t count = 0;
  for (const auto& [slice, queue] : queues_) count += queue.size();
  return count;
}

}  // namespace tessera::node
