#include "common/index_set.h"

#include <algorithm>
#include <bit>
#include <cassert>

#include "common/strings.h"

namespace tessera {

IndexSet IndexSet::below(uint32_t end) {
  IndexSet set;
  for (uint32_t i = 0; i < std::min(end, kMax); ++i) set.add(i);
  return set;
}

IndexSet IndexSet::of_words(const Words& words) {
  IndexSet set;
  set.words_ = words;
  return set;
}

Result<IndexSet> IndexSet::parse(std::string_view text) {
  IndexSet set;
  uint64_t least = 0;  // what may come next
  for (std::string_view part : split(text, ',')) {
    const size_t dash = part.find('-');
    const auto first = parse_uint(part.substr(0, dash));
    const auto last = dash == std::string_view::npos ? first : parse_uint(part.substr(dash + 1));
    if (!first || !last || *first < least || *last < *first || *last >= kMax) {
      return Status::error(Code::kInvalidArgument,
                           "\"%.*s\": numbers below %u in ascending order are needed, as in 0-3,6",
                           static_cast<int>(std::min<size_t>(text.size(), 200)), text.data(), kMax);
    }
    for (uint64_t i = *first; i <= *last; ++i) set.add(static_cast<uint32_t>(i));
    least = *last + 1;
  }
  return set;
}

void IndexSet::add(uint32_t index) {
  assert(index < kMax);
  words_[index / 64] |= uint64_t{1} << index % 64;
}

uint32_t IndexSet::count() const {
  uint32_t count = 0;
  for (uint64_t word : words_) count += static_cast<uint32_t>(std::popcount(word));
  return count;
}

std::vector<uint32_t> IndexSet::members() const {
  std::vector<uint32_t> members;
  for (size_t word = 0; word < kWords; ++word) {
    for (uint64_t left = words_[word]; left != 0; left &= left - 1) {
      members.push_back(static_cast<uint32_t>(word * 64) + static_cast<uint32_t>(std::countr_zero(left)));
    }
  }
  return members;
}

IndexSet IndexSet::lowest(uint32_t count) const {
  IndexSet set;
  for (uint32_t member : members()) {
    if (count-- == 0) break;
    set.add(member);
  }
  return set;
}

std::string IndexSet::text() const {
  std::string text;
  const std::vector<uint32_t> all = members();
  for (size_t i = 0; i < all.size();) {
    size_t end = i + 1;
    while (end < all.size() && all[end] == all[end - 1] + 1) ++end;
    if (!text.empty()) text += ',';
    text += std::to_string(all[i]);
    if (end - i > 1) text += '-' + std::to_string(all[end - 1]);
    i = end;
  }
  return text;
}

IndexSet IndexSet::operator|(const IndexSet& other) const {
  IndexSet set;
  for (size_t i = 0; i < kWords; ++i) set.words_[i] = words_[i] | other.words_[i];
  return set;
}

IndexSet IndexSet::operator&(const IndexSet& other) const {
  IndexSet set;
  for (size_t i = 0; i < kWords; ++i) set.words_[i] = words_[i] & other.words_[i];
  return set;
}

IndexSet IndexSet::operator-(const IndexSet& other) const {
  IndexSet set;
  for (size_t i = 0; i < kWords; ++i) set.words_[i] = words_[i] & ~other.words_[i];
  return set;
}

}  // namespace tessera
