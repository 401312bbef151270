// A set of small numbers, such as the SMs of a device or the processors of a machine. A plain value of fixed
// size, so that it can lie in shared memory.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "common/status.h"

namespace tessera {

class IndexSet {
 public:
  static constexpr uint32_t kMax = 1024;  // members are below it
  static constexpr size_t kWords = kMax / 64;
  using Words = std::array<uint64_t, kWords>;  // member i is bit i % 64 of word i / 64

  static IndexSet below(uint32_t end);
  static IndexSet of_words(const Words& words);
  // "0-3,6": in ascending order, no member twice. An error says what is wrong, not whose text it is.
  static Result<IndexSet> parse(std::string_view text);

  bool contains(uint32_t index) const { return index < kMax && (words_[index / 64] >> index % 64 & 1) != 0; }
  void add(uint32_t index);
  uint32_t count() const;
  bool empty() const { return *this == IndexSet(); }
  bool intersects(const IndexSet& other) const { return !(*this & other).empty(); }
  // Its least members, `count` of them or all.
  IndexSet lowest(uint32_t count) const;
  std::vector<uint32_t> members() const;
  std::string text() const;  // as parse() takes it; "" where it is empty
  const Words& words() const { return words_; }

  IndexSet operator|(const IndexSet& other) const;
  IndexSet operator&(const IndexSet& other) const;
  IndexSet operator-(const IndexSet& other) const;
  IndexSet& operator|=(const IndexSet& other) { return *this = *this | other; }
  IndexSet& operator-=(const IndexSet& other) { return *this = *this - other; }
  bool operator==(const IndexSet&) const = default;

 private:
  Words words_{};
};

// One whose size is asked for far more often than it changes.
class CountedSet {
 public:
  CountedSet() = default;
  CountedSet& operator=(const IndexSet& set) {
    set_ = set;
    count_ = set.count();
    return *this;
  }
  operator const IndexSet&() const { return set_; }
  const IndexSet& set() const { return set_; }
  uint32_t count() const { return count_; }
  bool empty() const { return count_ == 0; }
  bool operator==(const IndexSet& other) const { return set_ == other; }

 private:
  IndexSet set_;
  uint32_t count_ = 0;
};

}  // namespace tessera
