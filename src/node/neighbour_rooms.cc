#include "node/neighbour_rooms.h"

#include <algorithm>

namespace tessera::node {

using vgpu::BudgetKind;

void NeighbourRooms::open(LeaseId lease, size_t devices) { borrowers_[lease].parts.resize(devices); }

template <typename Borrowers, typename Visit>
void NeighbourRooms::visit_parts(Borrowers& borrowers, uint32_t gpu, Visit visit) {
  for (auto& [lease, borrower] : borrowers) {
    for (auto& part : borrower.parts) {
      if (part.bytes != 0 && part.gpu == gpu) visit(lease, borrower, part);
    }
  }
}

void NeighbourRooms::attach(LeaseId lease, std::span<const Held> held, uint64_t now_ns, Effects& effects) {
  Borrower& borrower = borrowers_.at(lease);
  borrower.connected = borrower.known = true;
  for (size_t i = 0; i < borrower.parts.size(); ++i) {
    borrower.parts[i] = i < held.size() ? Part{held[i].gpu, held[i].bytes, {}, 0, 0} : Part{};
  }
  for (const auto& [index, gpu] : gpus_) balance(index, now_ns, effects);
}

void NeighbourRooms::disconnect(LeaseId lease) {
  const auto found = borrowers_.find(lease);
  if (found == borrowers_.end()) return;
  found->second.connected = false;
  for (Part& part : found->second.parts) part.asked.reset();
}

void NeighbourRooms::close(LeaseId lease, uint64_t now_ns, Effects& effects) {
  if (borrowers_.erase(lease) == 0) return;
  for (const auto& [index, gpu] : gpus_) balance(index, now_ns, effects);
}

void NeighbourRooms::set_gpu(uint32_t index, uint64_t capacity, uint64_t taken, uint64_t now_ns,
                             Effects& effects) {
  gpus_[index] = {capacity, taken};
  balance(index, now_ns, effects);
}

Result<NeighbourRooms::Part*> NeighbourRooms::part_of(LeaseId lease, uint32_t device) {
  const auto found = borrowers_.find(lease);
  if (found == borrowers_.end()) return Status(Code::kInvalidData, "nothing is lent of other GPUs' memory");
  if (device >= found->second.parts.size())
    return Status::error(Code::kInvalidData, "device index %u is not in the slice", device);
  return &found->second.parts[device];
}

Result<uint64_t> NeighbourRooms::reserve(LeaseId lease, const ReserveMessage& message, uint32_t gpu) {
  TESSERA_ASSIGN_OR_RETURN(Part* const part, part_of(lease, message.device));
  const bool all_known =
      std::all_of(borrowers_.begin(), borrowers_.end(), [](const auto& entry) { return entry.second.known; });
  if (part->bytes != 0 && part->gpu != gpu)
    return Status(Code::kInvalidData, "the process has room on another GPU already");
  const uint64_t idle = idle_bytes(gpu), left = idle - std::min(idle, lent_bytes(gpu));
  if (!all_known || part->asked || message.bytes_needed == 0 || message.bytes_needed > left)
    return uint64_t{0};
  const uint64_t granted = std::min(message.bytes_wanted, left);
  part->gpu = gpu;
  part->bytes += granted;
  return granted;
}

Status NeighbourRooms::give_back(LeaseId lease, uint32_t device, uint64_t bytes, uint64_t now_ns) {
  TESSERA_ASSIGN_OR_RETURN(Part* const part, part_of(lease, device));
  if (bytes > part->bytes) {
    return Status::error(Code::kInvalidData, "%llu bytes of a neighbour are given back, %llu were lent",
                         static_cast<unsigned long long>(bytes),
                         static_cast<unsigned long long>(part->bytes));
  }
  part->bytes -= bytes;
  if (part->due_since_ns != 0) part->due_since_ns = now_ns;  // it does something
  return {};
}

// What goes by itself while it is asked for is not of what is asked for: that is told under its number.
Status NeighbourRooms::release(LeaseId lease, uint32_t device, uint64_t bytes, uint64_t now_ns,
                               Effects& effects) {
  TESSERA_RETURN_IF_ERROR(give_back(lease, device, bytes, now_ns));
  Part& part = *part_of(lease, device).value();
  if (part.asked) part.asked->bytes = std::min(part.asked->bytes, part.bytes);
  balance(part.gpu, now_ns, effects);
  return {};
}

Status NeighbourRooms::recalled(LeaseId lease, uint32_t number, const RecalledMessage& message,
                                uint64_t now_ns, Effects& effects) {
  TESSERA_ASSIGN_OR_RETURN(Part* const part, part_of(lease, message.device));
  if (!part->asked || part->asked->number != number)
    return Status::error(Code::kInvalidData, "Recalled %u answers no recall", number);
  TESSERA_RETURN_IF_ERROR(give_back(lease, message.device, message.bytes, now_ns));
  part->asked->bytes -= std::min(part->asked->bytes, message.bytes);
  part->asked->bytes = std::min(part->asked->bytes, part->bytes);
  if (!message.more) {
    if (part->asked->bytes > 0) part->not_before_ns = now_ns + kPauseNs;
    part->asked.reset();
    part->due_since_ns = 0;  // it has answered
  }
  balance(part->gpu, now_ns, effects);
  return {};
}

std::optional<NeighbourRooms::Place> NeighbourRooms::next_to_ask(uint32_t gpu, uint64_t now_ns) {
  std::optional<Place> most;
  visit_parts(borrowers_, gpu, [&](LeaseId lease, Borrower& borrower, Part& part) {
    if (!borrower.connected || part.asked || now_ns < part.not_before_ns) return;
    if (most && most->part->bytes >= part.bytes) return;
    most = {lease, static_cast<uint32_t>(&part - borrower.parts.data()), &part};
  });
  return most;
}

void NeighbourRooms::balance(uint32_t gpu, uint64_t now_ns, Effects& effects) {
  while (kept_bytes(gpu) > idle_bytes(gpu)) {
    const auto next = next_to_ask(gpu, now_ns);
    if (!next) break;
    const uint64_t bytes = std::min(next->part->bytes, kept_bytes(gpu) - idle_bytes(gpu));
    if (next_number_ == 0) next_number_ = 1;  // 0 means that no answer is wanted
    next->part->asked = Asked{next_number_, bytes};
    effects.recalls.push_back({next->lease, next_number_++, next->device, bytes, BudgetKind::kNeighbour});
  }
  mark_due(gpu, now_ns);
}

void NeighbourRooms::mark_due(uint32_t gpu, uint64_t now_ns) {
  const bool is_over = lent_bytes(gpu) > idle_bytes(gpu);
  if (is_over) {
    over_.insert(gpu);
  } else {
    over_.erase(gpu);
  }
  visit_parts(borrowers_, gpu, [&](LeaseId, Borrower& borrower, Part& part) {
    const bool is_due = is_over && (part.asked || !borrower.connected);
    if (!is_due) part.due_since_ns = 0;
    if (is_due && part.due_since_ns == 0) part.due_since_ns = std::max<uint64_t>(now_ns, 1);
  });
}

void NeighbourRooms::expire(uint64_t now_ns, Effects& effects) {
  expired_ns_ = now_ns;
  const std::set<uint32_t> over = over_;
  for (const uint32_t gpu : over) balance(gpu, now_ns, effects);
}

std::optional<uint64_t> NeighbourRooms::next_deadline_ns() const {
  std::optional<uint64_t> next;
  const auto sooner = [&](uint64_t moment) {
    if (!next || moment < *next) next = moment;
  };
  for (const uint32_t index : over_) {
    visit_parts(borrowers_, index, [&](LeaseId, const Borrower&, const Part& part) {
      if (part.not_before_ns > expired_ns_) sooner(part.not_before_ns);
      if (part.due_since_ns != 0)
        sooner(std::max(part.due_since_ns + kReturnPatienceNs, expired_ns_ + kPauseNs));
    });
  }
  return next;
}

std::vector<NeighbourRooms::Overdue> NeighbourRooms::overdue(uint64_t now_ns) const {
  std::vector<Overdue> found;
  for (const uint32_t index : over_) {
    visit_parts(borrowers_, index, [&](LeaseId lease, const Borrower&, const Part& part) {
      if (part.due_since_ns != 0 && now_ns >= part.due_since_ns + kReturnPatienceNs)
        found.push_back({lease, index});
    });
  }
  return found;
}

uint64_t NeighbourRooms::idle_bytes(uint32_t index) const {
  const auto gpu = gpus_.find(index);
  if (gpu == gpus_.end()) return 0;
  const auto& [capacity, taken] = gpu->second;
  const uint64_t left_alone =
      std::max(capacity / kLeavePart, std::min(kLeaveBytes, capacity / kMostLeftPart));
  const uint64_t left = capacity - std::min(capacity, taken);
  return left - std::min(left, left_alone);
}

uint64_t NeighbourRooms::lent_bytes(uint32_t gpu) const {
  uint64_t bytes = 0;
  visit_parts(borrowers_, gpu, [&](LeaseId, const Borrower&, const Part& part) { bytes += part.bytes; });
  return bytes;
}

uint64_t NeighbourRooms::coming_bytes(uint32_t gpu) const {
  uint64_t bytes = 0;
  visit_parts(borrowers_, gpu, [&](LeaseId, const Borrower&, const Part& part) {
    bytes += part.asked ? part.asked->bytes : 0;
  });
  return bytes;
}

uint64_t NeighbourRooms::kept_bytes(uint32_t gpu) const { return lent_bytes(gpu) - coming_bytes(gpu); }

Status NeighbourRooms::check() const {
  for (const auto& [index, gpu] : gpus_) {
    bool all_can_be_asked = true;
    visit_parts(borrowers_, index, [&](LeaseId, const Borrower& borrower, const Part& part) {
      all_can_be_asked &= borrower.connected && !part.asked && part.not_before_ns == 0;
    });
    if (all_can_be_asked && kept_bytes(index) > idle_bytes(index))
      return Status::error(Code::kInternal, "GPU %u: more is lent than is idle", index);
  }
  for (const auto& [lease, borrower] : borrowers_) {
    for (const Part& part : borrower.parts) {
      if (part.asked && part.asked->bytes > part.bytes)
        return Status(Code::kInternal, "a process is asked for more than it has");
    }
  }
  return {};
}

}  // namespace tessera::node
