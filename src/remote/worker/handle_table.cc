#include "remote/worker/handle_table.h"

#include <algorithm>

namespace tessera::remote {

uint64_t HandleTable::find(uint64_t id) const {
  std::lock_guard lock(lock_);
  auto found = entries_.find(id);
  return found == entries_.end() ? 0 : found->second.real;
}

void HandleTable::add(uint64_t id, uint64_t real, uint64_t parent) {
  auto above = entries_.find(parent);
  if (above != entries_.end()) above->second.children.push_back(id);
  entries_[id] = {real, above == entries_.end() ? 0 : parent, 1, {}};
  ids_[{kind_of(id), real}] = id;
}

uint64_t HandleTable::id_of(HandleKind kind, uint64_t real, uint64_t parent) {
  std::lock_guard lock(lock_);
  if (auto found = ids_.find({kind, real}); found != ids_.end()) {
    ++entries_[found->second].references;
    return found->second;
  }
  if (entries_.size() >= kMost) return 0;
  const uint64_t id = handle_id(kind, next_number_++);
  add(id, real, parent);
  return id;
}

bool HandleTable::bind(uint64_t id, uint64_t real, uint64_t parent) {
  std::lock_guard lock(lock_);
  if (!is_of_client(id) || entries_.contains(id) || entries_.size() >= kMost) return false;
  add(id, real, parent);
  return true;
}

bool HandleTable::rename(uint64_t from, uint64_t to) {
  std::lock_guard lock(lock_);
  const auto found = entries_.find(from);
  const bool can =
      found != entries_.end() && is_handle_id(to) && kind_of(to) == kind_of(from) && !entries_.contains(to);
  if (!can) return false;
  Entry entry = std::move(found->second);
  entries_.erase(found);
  if (auto above = entries_.find(entry.parent); above != entries_.end())
    std::replace(above->second.children.begin(), above->second.children.end(), from, to);
  for (const uint64_t child : entry.children) {
    if (auto below = entries_.find(child); below != entries_.end()) below->second.parent = to;
  }
  ids_[{kind_of(to), entry.real}] = to;
  entries_[to] = std::move(entry);
  return true;
}

void HandleTable::forget_one(uint64_t id) {
  auto found = entries_.find(id);
  if (found == entries_.end()) return;
  // Another object may have the driver's handle by now.
  auto reverse = ids_.find({kind_of(id), found->second.real});
  if (reverse != ids_.end() && reverse->second == id) ids_.erase(reverse);
  entries_.erase(found);
}

void HandleTable::forget(uint64_t id) {
  std::lock_guard lock(lock_);
  forget_all_of(id);
}

// And of what came from it.
void HandleTable::forget_all_of(uint64_t id) {
  auto found = entries_.find(id);
  if (found == entries_.end()) return;
  if (auto above = entries_.find(found->second.parent); above != entries_.end()) {
    std::erase(above->second.children, id);
  }
  std::vector<uint64_t> gone = {id};
  while (!gone.empty()) {
    const uint64_t one = gone.back();
    gone.pop_back();
    if (auto entry = entries_.find(one); entry != entries_.end()) {
      gone.insert(gone.end(), entry->second.children.begin(), entry->second.children.end());
    }
    forget_one(one);
  }
}

void HandleTable::begin_at(uint64_t first) {
  std::lock_guard lock(lock_);
  next_number_ = first;
}

void HandleTable::move_below(uint64_t id, uint64_t parent) {
  std::lock_guard lock(lock_);
  auto found = entries_.find(id), above = entries_.find(parent);
  if (found == entries_.end() || above == entries_.end() || id == parent) return;
  if (auto before = entries_.find(found->second.parent); before != entries_.end())
    std::erase(before->second.children, id);
  found->second.parent = parent;
  above->second.children.push_back(id);
}

void HandleTable::release(uint64_t id) {
  std::lock_guard lock(lock_);
  auto found = entries_.find(id);
  if (found == entries_.end() || found->second.references == 0 || --found->second.references > 0) return;
  released_.push_back(id);
  if (released_.size() <= kMostReleased) return;
  const uint64_t oldest = released_.front();
  released_.pop_front();
  found = entries_.find(oldest);
  if (found != entries_.end() && found->second.references == 0) forget_all_of(oldest);
}

size_t HandleTable::size() const {
  std::lock_guard lock(lock_);
  return entries_.size();
}

}  // namespace tessera::remote
