#include "node/journal.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>

#include "common/failpoint.h"
#include "common/log.h"
#include "common/strings.h"

namespace tessera::node {
namespace {

constexpr uint64_t kFormat = 1;
constexpr size_t kChecksumDigits = 8;
constexpr size_t kSlackBytes = 256 * 1024;  // of outdated records, before the file is written anew
constexpr const char* kHeaderKey = "journal";

// CRC-32 of IEEE 802.3 (reflected polynomial 0xEDB88320), as in gzip.
uint32_t crc32(std::string_view bytes) {
  uint32_t crc = ~0U;
  for (char byte : bytes) {
    crc ^= static_cast<uint8_t>(byte);
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) != 0 ? 0xEDB88320U : 0);
  }
  return ~crc;
}

std::string checksum(std::string_view record) { return str_format("%08x", crc32(record)); }

bool take_line(std::string_view line, JournalText& into) {
  if (line.size() <= kChecksumDigits + 1 || line[kChecksumDigits] != ' ') return false;
  std::string_view record = line.substr(kChecksumDigits + 1);
  if (line.substr(0, kChecksumDigits) != checksum(record)) return false;
  auto object = parse_json_object(record);
  if (!object) return false;
  std::string key = json_string(*object, "key");
  auto value = object->find("value");
  if (key.empty() || value == object->end()) return false;
  if (value->is_null()) {
    into.values.erase(key);
  } else {
    into.values[key] = *value;
  }
  return true;
}

std::string boot_id() {
  auto id = read_file("/proc/sys/kernel/random/boot_id", 256);
  return id.ok() ? std::string(trim(*id)) : std::string();
}

Json header() {
  Json value;
  value["format"] = kFormat;
  value["boot"] = boot_id();
  return value;
}

Status check_private(int file, const std::string& path) {
  struct stat info {};
  if (fstat(file, &info) != 0) return Status::from_errno(errno, "cannot look at %s", path.c_str());
  if (S_ISREG(info.st_mode) && info.st_uid == geteuid() && (info.st_mode & 0077) == 0) return Status();
  return Status::error(
      Code::kPermissionDenied,
      "%s is not a file of ours alone (user %u, mode %04o): it decides what is granted; remove it",
      path.c_str(), info.st_uid, info.st_mode & 07777);
}

}  // namespace

JournalText read_journal(std::string_view text) {
  JournalText result;
  while (!text.empty()) {
    size_t end = text.find('\n');
    bool whole = end != std::string_view::npos;
    bool taken = whole && take_line(text.substr(0, end), result);
    text.remove_prefix(whole ? end + 1 : text.size());
    if (taken) continue;
    if (text.empty()) {
      result.torn = true;
    } else {
      ++result.damaged;
    }
  }
  return result;
}

std::string journal_line(std::string_view key, const Json& value) {
  Json record;
  record["key"] = key;
  record["value"] = value;
  std::string text = json_text(record);
  return checksum(text) + " " + text + "\n";
}

Result<Journal> Journal::open(const std::string& path) {
  Values values;
  UniqueFd file(::open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  if (!file && errno != ENOENT) return Status::from_errno(errno, "cannot open %s", path.c_str());
  if (file) {
    TESSERA_RETURN_IF_ERROR(check_private(file.get(), path));
    TESSERA_ASSIGN_OR_RETURN(std::string text, read_file(path, kMaxJournalBytes));
    JournalText read = read_journal(text);
    if (read.damaged > 0) {
      LOG_WARN("journal", "%s: %zu records do not check and are passed over", path.c_str(), read.damaged);
    }
    auto written_by = read.values.find(kHeaderKey);
    if (written_by != read.values.end() && written_by->second == header()) {
      values = std::move(read.values);
    } else if (!read.values.empty()) {
      LOG_WARN("journal", "%s is of another boot or release: it is emptied", path.c_str());
    }
  }
  values.erase(kHeaderKey);
  Journal journal(path, std::move(values));
  TESSERA_RETURN_IF_ERROR(journal.rewrite());
  return journal;
}

void Journal::put(const std::string& key, Json value) {
  unsaved_ += journal_line(key, value);
  values_[key] = std::move(value);
}

void Journal::remove(const std::string& key) {
  if (values_.erase(key) > 0) unsaved_ += journal_line(key, Json(nullptr));
}

Status Journal::write_all(int file, std::string_view text) {
  while (!text.empty()) {
    ssize_t count = write(file, text.data(), text.size());
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return Status::from_errno(count < 0 ? errno : ENOSPC, "cannot write %s", path_.c_str());
    text.remove_prefix(static_cast<size_t>(count));
  }
  return Status();
}

Status Journal::append() {
#ifdef TESSERA_FAILPOINTS
  // In two halves, so that a test can leave a torn record.
  std::string_view text = unsaved_;
  TESSERA_RETURN_IF_ERROR(write_all(file_.get(), text.substr(0, text.size() / 2)));
  failpoint("daemon.journal.torn");
  return write_all(file_.get(), text.substr(text.size() / 2));
#else
  return write_all(file_.get(), unsaved_);
#endif
}

Status Journal::rewrite() {
  std::string text = journal_line(kHeaderKey, header());
  for (const auto& [key, value] : values_) text += journal_line(key, value);
  std::string fresh = path_ + ".new";
  unlink(fresh.c_str());  // left by one that was killed here
  UniqueFd file(::open(fresh.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!file) return Status::from_errno(errno, "cannot make %s", fresh.c_str());
  Status written = write_all(file.get(), text);
  failpoint("daemon.journal.written_anew");
  if (written.ok() && rename(fresh.c_str(), path_.c_str()) != 0) {
    written = Status::from_errno(errno, "cannot rename %s", fresh.c_str());
  }
  if (!written.ok()) {
    unlink(fresh.c_str());
    return written;
  }
  file_ = std::move(file);
  file_bytes_ = compact_bytes_ = text.size();
  unsaved_.clear();
  return Status();
}

Status Journal::save() {
  if (unsaved_.empty()) return Status();
  Status saved;
  if (!file_ || file_bytes_ + unsaved_.size() > 2 * compact_bytes_ + kSlackBytes) {
    saved = rewrite();
  } else {
    saved = append();
    file_bytes_ += unsaved_.size();
    unsaved_.clear();
    if (!saved.ok()) saved = rewrite();  // smaller, so there may be room for it
  }
  if (saved.ok()) return saved;
  unsaved_.clear();
  file_.reset();
  unlink(path_.c_str());
  return saved;
}

void Journal::close() {
  file_.reset();
  if (values_.empty()) unlink(path_.c_str());
}

}  // namespace tessera::node
