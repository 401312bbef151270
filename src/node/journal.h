// What must outlive the daemon's process: a small store of keys and JSON values in one file, appended to
// before what it says becomes true for anybody. Knows nothing of slices; see journal_records.h.
//
// Each line is one record: the CRC-32 of the rest as 8 hexadecimal digits, a blank, and {"key":...,
// "value":...}. The last record of a key holds; a null value removes it. A write that was cut short leaves a
// last line that does not check: it is dropped, and nobody was told of what it said. A line in the middle
// that does not check was altered by somebody else: it is passed over and counted. The file belongs to one
// boot of the machine, as pids do: another boot's is emptied.
//
// It survives the end of the process, however sudden, not of the machine: it is not synced to the disk, for
// after a boot there is no process that could hold anything.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "common/fd.h"
#include "common/status.h"
#include "node/json.h"

namespace tessera::node {

inline constexpr size_t kMaxJournalBytes = 64 * 1024 * 1024;

// The records of a journal's text.
struct JournalText {
  std::map<std::string, Json, std::less<>> values;
  size_t damaged = 0;  // lines before the last that do not check
  bool torn = false;   // the last line does not check
};
JournalText read_journal(std::string_view text);
std::string journal_line(std::string_view key, const Json& value);

class Journal {
 public:
  using Values = std::map<std::string, Json, std::less<>>;

  // Opens or makes `path` (0600), refused where it is not ours alone, and writes it anew without what is
  // outdated.
  static Result<Journal> open(const std::string& path);

  const Values& values() const { return values_; }
  void put(const std::string& key, Json value);
  void remove(const std::string& key);
  // Writes what was put and removed since the last time, in one write. An error: what was put may be lost
  // with this process. Afterwards the file is gone, so that nothing outdated is ever believed.
  Status save();
  // Removes the file where nothing is in it.
  void close();

 private:
  Journal(std::string path, Values values) : path_(std::move(path)), values_(std::move(values)) {}
  Status append();
  Status rewrite();
  Status write_all(int file, std::string_view text);

  std::string path_;
  Values values_;
  std::string unsaved_;
  UniqueFd file_;
  size_t file_bytes_ = 0;
  size_t compact_bytes_ = 0;  // of the file when it was last written anew
};

}  // namespace tessera::node
