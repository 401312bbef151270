// The ledger's page about what slices are promised of the GPUs' memory beside their limits.
#include <algorithm>

#include "common/size.h"
#include "common/strings.h"
#include "node/ledger.h"

namespace tessera::node {

using partitioning::MemoryTerms;

Status check_memory_terms(const MemoryTerms& terms, const SliceDevice& device) {
  if (terms.weight < 1 || terms.weight > MemoryTerms::kMostWeight) {
    return Status::error(Code::kInvalidArgument, "a weight of memory is from 1 to %u, not %u",
                         MemoryTerms::kMostWeight, terms.weight);
  }
  if (terms.copy_max != 0 && terms.copy_max < std::max(terms.copy_min, MemoryTerms::kLeastCopyRate)) {
    return Status::error(
        Code::kInvalidArgument, "copies cannot be held to %s a second (--copy-max): that is less than %s",
        format_size(terms.copy_max).c_str(),
        terms.copy_max < terms.copy_min ? "what is guaranteed (--copy-min)" : "1 MiB a second");
  }
  if (terms.min_bytes == 0) return Status();
  if (!device.reserved) {
    return Status(Code::kInvalidArgument,
                  "memory is guaranteed (--mem-min) of what is set aside: give a limit (--mem), too");
  }
  if (terms.min_bytes <= device.limit_bytes) return Status();
  return Status::error(Code::kInvalidArgument, "%s of memory cannot be guaranteed within a limit of %s",
                       format_size(terms.min_bytes).c_str(), format_size(device.limit_bytes).c_str());
}

uint64_t Ledger::unreserved_bytes(uint32_t gpu) const { return gpu_state(gpu).unreserved_bytes(); }

std::vector<uint64_t> Ledger::unreserved_bytes() const {
  std::vector<uint64_t> left;
  for (uint32_t gpu = 0; gpu < gpu_totals_.size(); ++gpu) left.push_back(promisable_bytes(gpu));
  for (const auto& [id, slice] : slices_) {
    for (const SliceDevice& device : slice.devices)
      left[device.gpu] -= std::min(left[device.gpu], set_aside_bytes(device));
  }
  return left;
}

// Or some slice would wait for ever: what others are guaranteed is not asked of them. A slice that has
// nothing set aside is told so when it asks for too much.
Status Ledger::check_minimum(const std::string& name, SliceId id, const SliceDevice& part) const {
  uint64_t minima = part.memory.min_bytes;
  const auto each_other = [&](auto visit) {
    for (const auto& [other, slice] : slices_) {
      if (other == id) continue;
      for (const SliceDevice& device : slice.devices) {
        if (device.gpu == part.gpu) visit(slice, device);
      }
    }
  };
  each_other([&](const Slice&, const SliceDevice& device) { minima += device.memory.min_bytes; });
  const uint64_t total = gpu_totals_.at(part.gpu);
  Status status;
  const auto check = [&](const std::string& whose, const SliceDevice& device) {
    const uint64_t others = minima - device.memory.min_bytes;
    if (!status.ok() || minima == 0 || !device.reserved) return;
    if (others <= total && device.limit_bytes <= total - others) return;
    status =
        Status::error(Code::kResourceExhausted,
                      "of GPU %u's %s others would be guaranteed %s: '%s' could never have its limit of %s "
                      "there; lower a --mem-min or the limit",
                      part.gpu, format_size(total).c_str(), format_size(others).c_str(), whose.c_str(),
                      format_size(device.limit_bytes).c_str());
  };
  check(name, part);
  each_other([&](const Slice& slice, const SliceDevice& device) { check(slice.name, device); });
  return status;
}

Status Ledger::check_minima() const {
  std::set<uint32_t> seen;  // GPUs: the check of one part of it looks at all
  for (const auto& [id, slice] : slices_) {
    for (const SliceDevice& device : slice.devices) {
      if (seen.insert(device.gpu).second) TESSERA_RETURN_IF_ERROR(check_minimum(slice.name, id, device));
    }
  }
  return Status();
}

uint64_t Ledger::set_aside_bytes(const SliceDevice& device) const {
  if (!device.reserved) return 0;
  const uint64_t held = device.lowered ? device.granted_bytes : 0;
  if (!counts_needs_ || !device.need_bytes) return std::max(device.limit_bytes, held);
  return std::max(std::min(device.limit_bytes, std::max(*device.need_bytes, device.memory.min_bytes)), held);
}

uint64_t Ledger::most_restored_bytes(const SliceDevice& device) const {
  const bool as_admitted = device.reserved && !counts_needs_;
  return as_admitted ? unreserved_bytes(device.gpu) : gpu_totals_.at(device.gpu);
}

std::string Ledger::needs_note(uint32_t gpu) const {
  if (!counts_needs_) return "";
  uint64_t needed = 0, limits = 0;
  size_t unknown = 0;
  for (const auto& [id, slice] : slices_) {
    for (const SliceDevice& device : slice.devices) {
      if (device.gpu != gpu || !device.reserved) continue;
      (device.need_bytes ? needed : limits) += set_aside_bytes(device);
      unknown += device.need_bytes ? 0 : 1;
    }
  }
  std::string text = str_format("; of GPU %u slices need %s as measured", gpu, format_size(needed).c_str());
  if (unknown > 0)
    text += str_format(", and %s are the limits of %zu whose need is not known yet: wait for that",
                       format_size(limits).c_str(), unknown);
  return text + (unknown > 0 ? "," : ":") + " ask for less (--mem), or raise tesserad --overcommit";
}

Status Ledger::with_needs(const Status& refusal) const {
  constexpr uint32_t kMost = 4;  // GPUs: a message is to be read
  std::string text = refusal.message();
  for (uint32_t gpu = 0; gpu < std::min<size_t>(gpu_totals_.size(), kMost); ++gpu) text += needs_note(gpu);
  return Status(refusal.code(), std::move(text));
}

uint64_t Ledger::take_recent_peak(SliceId id, size_t index) {
  SliceDevice& device = slices_.at(id).devices.at(index);
  return std::exchange(device.recent_peak_bytes, device.granted_bytes);
}

bool Ledger::set_need(SliceId id, size_t index, std::optional<uint64_t> bytes) {
  constexpr uint64_t kParts = 16;  // of its limit: what is less does not matter after a restart
  SliceDevice& device = slices_.at(id).devices.at(index);
  if (device.need_bytes == bytes) return false;
  const bool was_known = std::exchange(device.need_bytes, bytes).has_value();
  const uint64_t now = bytes.value_or(0), before = device.journalled_need_bytes;
  if (was_known && std::max(now, before) - std::min(now, before) <= device.limit_bytes / kParts) return false;
  device.journalled_need_bytes = now;
  touched_.slices.insert(id);
  return true;
}

Status Ledger::set_memory(SliceId id, std::optional<uint32_t> gpu, const MemoryChange& change) {
  Slice& slice = slices_.at(id);
  std::vector<std::pair<SliceDevice*, MemoryTerms>> changes;
  for (SliceDevice& device : slice.devices) {
    if (gpu && device.gpu != *gpu) continue;
    SliceDevice after = device;
    after.memory.min_bytes = change.min_bytes.value_or(device.memory.min_bytes);
    after.memory.weight = change.weight.value_or(device.memory.weight);
    after.memory.copy_min = change.copy_min.value_or(device.memory.copy_min);
    after.memory.copy_max = change.copy_max.value_or(device.memory.copy_max);
    TESSERA_RETURN_IF_ERROR(check_memory_terms(after.memory, after));
    TESSERA_RETURN_IF_ERROR(check_minimum(slice.name, id, after));
    changes.emplace_back(&device, after.memory);
  }
  if (changes.empty())
    return Status::error(Code::kNotFound, "slice '%s' has no part of GPU %u", slice.name.c_str(), *gpu);
  for (const auto& [device, terms] : changes) device->memory = terms;
  touched_.slices.insert(id);
  return Status();
}

}  // namespace tessera::node
