// The samples of the last minute or so, in the order in which they came. A row at a time each would go to its
// subject's place in the file, and a sample would write as many pages as there are subjects; here it writes a
// few, and later many rows of a subject go to its place at once.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <utility>
#include <vector>

#include "monitoring/history/database.h"

namespace tessera::monitoring {

class FreshRows {
 public:
  static constexpr const char* kTable =
      "CREATE TABLE IF NOT EXISTS fresh(time_ms INTEGER, subject INTEGER, figures BLOB NOT NULL,"
      " PRIMARY KEY(time_ms, subject)) WITHOUT ROWID;";

  // Needs the table. A file of a release that had none has no such rows where it is only read.
  static Result<FreshRows> open(Database& database);

  Status add(int64_t time_ms, int64_t subject, std::span<const std::byte> figures);
  // To the points of level 0.
  Status move(Database& database);
  // All that there are, for visit() until forget().
  Status read();
  void forget() { read_.clear(); }
  // visit(time_ms, figures) for what was read of a subject, in [from, to).
  template <typename Visit>
  void visit(int64_t subject, std::pair<int64_t, int64_t> times, Visit visit) const {
    const auto rows = read_.find(subject);
    if (rows == read_.end()) return;
    for (const auto& [time_ms, figures] : rows->second) {
      if (times.first <= time_ms && time_ms < times.second) visit(time_ms, std::span(figures));
    }
  }

 private:
  using Row = std::pair<int64_t, std::vector<std::byte>>;
  Statement insert_, select_;
  bool is_there_ = false;
  std::map<int64_t, std::vector<Row>> read_;  // by subject
};

}  // namespace tessera::monitoring
