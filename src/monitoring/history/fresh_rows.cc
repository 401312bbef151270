#include "monitoring/history/fresh_rows.h"

namespace tessera::monitoring {

Result<FreshRows> FreshRows::open(Database& database) {
  FreshRows rows;
  TESSERA_ASSIGN_OR_RETURN(const int64_t tables,
                           database.number("SELECT count(*) FROM sqlite_master WHERE name='fresh'"));
  rows.is_there_ = tables != 0;
  if (!rows.is_there_) return rows;
  TESSERA_ASSIGN_OR_RETURN(rows.insert_, database.prepare("INSERT OR REPLACE INTO fresh VALUES(?,?,?)"));
  TESSERA_ASSIGN_OR_RETURN(rows.select_, database.prepare("SELECT time_ms, subject, figures FROM fresh"));
  return rows;
}

Status FreshRows::add(int64_t time_ms, int64_t subject, std::span<const std::byte> figures) {
  return insert_.bind(1, time_ms).bind(2, subject).bind(3, figures).run();
}

Status FreshRows::move(Database& database) {
  return database.execute(
      "INSERT OR REPLACE INTO points SELECT 0, subject, time_ms, figures FROM fresh ORDER BY subject, "
      "time_ms;"
      "DELETE FROM fresh");
}

Status FreshRows::read() {
  read_.clear();
  while (is_there_) {
    TESSERA_ASSIGN_OR_RETURN(const bool found, select_.step());
    if (!found) break;
    const auto figures = select_.bytes(2);
    read_[select_.integer(1)].emplace_back(select_.integer(0),
                                           std::vector<std::byte>(figures.begin(), figures.end()));
  }
  if (is_there_) select_.reset();
  return Status();
}

}  // namespace tessera::monitoring
