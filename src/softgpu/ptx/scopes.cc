#include "softgpu/ptx/scopes.h"

namespace tessera::softgpu::ptx {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }

// Splits "%r12" into "%r" and 12; false where there is no number, or one written as no range member is
// ("%r012").
bool split_number(std::string_view name, std::string_view* prefix, uint32_t* number) {
  constexpr size_t kMaxDigits = 9;
  size_t begin = name.size();
  while (begin > 0 && is_digit(name[begin - 1])) --begin;
  const std::string_view digits = name.substr(begin);
  if (digits.empty() || digits.size() > kMaxDigits || (digits.size() > 1 && digits[0] == '0')) return false;
  *number = 0;
  for (const char c : digits) *number = *number * 10 + static_cast<uint32_t>(c - '0');
  *prefix = name.substr(0, begin);
  return true;
}

}  // namespace

void Scopes::leave() {
  while (entries_.size() > marks_.back()) {
    const Entry& entry = entries_.back();
    Map& map = entry.count == 0 ? names_ : ranges_;
    if (entry.shadowed < 0) {
      map.erase(entry.name);
    } else {
      map[entry.name] = entry.shadowed;
    }
    entries_.pop_back();
  }
  marks_.pop_back();
}

bool Scopes::add(Map& map, std::string_view name, Binding binding, uint32_t count) {
  const auto [position, inserted] = map.try_emplace(name, -1);
  const int64_t shadowed = position->second;
  if (!inserted && entries_[static_cast<size_t>(shadowed)].depth == depth()) return false;
  position->second = static_cast<int64_t>(entries_.size());
  entries_.push_back({name, binding, count, depth(), shadowed});
  return true;
}

bool Scopes::declare(std::string_view name, Binding binding) { return add(names_, name, binding, 0); }

bool Scopes::declare_range(std::string_view prefix, Binding binding, uint32_t count) {
  if (count == 0) return true;
  if (!is_digit(prefix.back())) return add(ranges_, prefix, binding, count);
  // "x1<3>" declares x10, x11, x12: where the number begins cannot be told from the name, so each is declared
  // alone.
  for (uint32_t i = 0; i < count; ++i, ++binding.index)
    if (!declare(expanded_.emplace_back(std::string(prefix) + std::to_string(i)), binding)) return false;
  return true;
}

bool Scopes::find(std::string_view name, Binding* binding) const {
  const auto single = names_.find(name);
  const Entry* found = single == names_.end() ? nullptr : &entries_[static_cast<size_t>(single->second)];
  std::string_view prefix;
  uint32_t number = 0;
  if (split_number(name, &prefix, &number)) {
    const auto range = ranges_.find(prefix);
    for (int64_t i = range == ranges_.end() ? -1 : range->second; i >= 0;
         i = entries_[static_cast<size_t>(i)].shadowed) {
      const Entry& entry = entries_[static_cast<size_t>(i)];
      if (number >= entry.count) continue;
      if (found != nullptr && found->depth >= entry.depth) break;
      *binding = entry.binding;
      binding->index += number;
      return true;
    }
  }
  if (found == nullptr) return false;
  *binding = found->binding;
  return true;
}

}  // namespace tessera::softgpu::ptx
