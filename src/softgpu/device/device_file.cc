#include "softgpu/device/device_file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cassert>
#include <cerrno>
#include <climits>
#include <cstring>
#include <new>

#include "common/clock.h"
#include "common/futex.h"
#include "common/log.h"
#include "common/size.h"
#include "common/strings.h"
#include "softgpu/device/device_file_layout.h"

namespace tessera::softgpu {
namespace {

constexpr const char* kModule = "device";
// Looking for the dead reads /proc for every process, under the device's lock: not at every poll, and not by
// each of the waiters, who would keep the lock from those that work.
constexpr uint64_t kReapIntervalNs = 20'000'000;
constexpr const char* kControlSuffix = ".control";

// The folder is ours alone: what lies in it decides about memory and is written by every process of this
// user.
Status prepare_folder(const std::string& path) {
  if (mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) {
    return Status::from_errno(errno, "cannot make the folder %s (SOFTGPU_STATE_DIR)", path.c_str());
  }
  struct stat info {};
  if (lstat(path.c_str(), &info) != 0) return Status::from_errno(errno, "cannot look at %s", path.c_str());
  if (!S_ISDIR(info.st_mode) || info.st_uid != geteuid() || (info.st_mode & 022) != 0) {
    return Status::error(Code::kPermissionDenied,
                         "%s must be a folder that belongs to this user and that nobody else may write; "
                         "SOFTGPU_STATE_DIR names another",
                         path.c_str());
  }
  return {};
}

Result<UniqueFd> open_private(const std::string& path, int flags) {
  UniqueFd fd(::open(path.c_str(), flags | O_RDWR | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!fd) return Status::from_errno(errno, "cannot open %s", path.c_str());
  return fd;
}

// For the log: a line of the control file may hold anything, terminal escapes too.
std::string printable(std::string text) {
  constexpr size_t kShown = 80;
  if (text.size() > kShown) text.replace(kShown, std::string::npos, "...");
  std::replace_if(
      text.begin(), text.end(), [](char c) { return c < ' ' || c > '~'; }, '?');
  return text;
}

std::string executable_name() {
  char path[PATH_MAX];
  ssize_t length = readlink("/proc/self/exe", path, sizeof path);
  if (length <= 0) return "?";
  std::string_view text(path, static_cast<size_t>(length));
  return std::string(text.substr(text.rfind('/') + 1));
}

// What a new file takes over from the one it replaces: a device does not heal by changing its size.
struct Inheritance {
  Health health{};
  ControlPosition control;
};

void init_layout(DeviceFileLayout& layout, const Config& config, int physical_index,
                 const Inheritance& inherited) {
  layout.sm_count = static_cast<uint32_t>(config.sm_count);
  layout.capacity_bytes = config.memory_bytes;
  layout.uuid = device_uuid(physical_index);
  layout.health = inherited.health;
  layout.control = inherited.control;
  for (SlotEntry& slot : layout.slots) slot.owner = kNoProcess;
  // Another file's numbers are not this one's: in microseconds, no file gives as many as time passes.
  layout.next_unique = wall_ns() / 1000;
  pthread_mutexattr_t attributes;
  pthread_mutexattr_init(&attributes);
  pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
  pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
  pthread_mutex_init(&layout.mutex, &attributes);
  pthread_mutexattr_destroy(&attributes);
  layout.version = kLayoutVersion;
  layout.magic = kDeviceFileMagic;
}

bool usable(int fd, const DeviceFileLayout& layout) {
  struct stat info {};
  return fstat(fd, &info) == 0 && info.st_size == static_cast<off_t>(sizeof layout) &&
         layout.magic == kDeviceFileMagic && layout.version == kLayoutVersion && layout.sm_count >= 1 &&
         layout.sm_count <= kMaxSms && layout.processes_end <= kMaxProcesses &&
         layout.shared_memory_end <= kMaxSharedMemory && layout.shared_events_end <= kMaxSharedEvents;
}

DeviceFileLayout* map_file(int fd) {
  struct stat info {};
  if (fstat(fd, &info) != 0 || info.st_size != static_cast<off_t>(sizeof(DeviceFileLayout))) return nullptr;
  void* address = mmap(nullptr, sizeof(DeviceFileLayout), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  return address == MAP_FAILED ? nullptr : static_cast<DeviceFileLayout*>(address);
}

// Made under another name and moved into place, so that nobody ever maps half a file.
Status create_file(const std::string& path, const Config& config, int physical_index,
                   const Inheritance& inherited) {
  const std::string temporary = path + ".new";
  TESSERA_ASSIGN_OR_RETURN(UniqueFd fd, open_private(temporary, O_CREAT | O_TRUNC));
  if (ftruncate(fd.get(), sizeof(DeviceFileLayout)) != 0) {
    return Status::from_errno(errno, "cannot make %s of %zu bytes", path.c_str(), sizeof(DeviceFileLayout));
  }
  DeviceFileLayout* layout = map_file(fd.get());
  if (layout == nullptr) return Status::from_errno(errno, "cannot map %s", temporary.c_str());
  init_layout(*layout, config, physical_index, inherited);
  munmap(layout, sizeof *layout);
  if (rename(temporary.c_str(), path.c_str()) != 0)
    return Status::from_errno(errno, "cannot place %s", path.c_str());
  return {};
}

}  // namespace

DeviceFile::Lock::Lock(DeviceFile& file) : file_(file) {
  int error = pthread_mutex_lock(&file_.layout_->mutex);
  if (error == EOWNERDEAD) {
    // Whoever died in here left at most its own entry half written; that entry goes with it.
    pthread_mutex_consistent(&file_.layout_->mutex);
    file_.reap_locked();
    error = 0;
  }
  assert(error == 0);
}

DeviceFile::Lock::~Lock() { pthread_mutex_unlock(&file_.layout_->mutex); }

Result<std::unique_ptr<DeviceFile>> DeviceFile::open(const Config& config, int physical_index, bool attach) {
  TESSERA_RETURN_IF_ERROR(prepare_folder(config.state_dir));
  std::unique_ptr<DeviceFile> file(new DeviceFile());
  file->path_ = str_format("%s/gpu%d", config.state_dir.c_str(), physical_index);
  file->model_ = &model_of(config);
  Inheritance inherited;
  // Held while the file is made, replaced or joined: a file with a living process in it is never replaced.
  TESSERA_ASSIGN_OR_RETURN(UniqueFd gate, open_private(file->path_ + ".lock", O_CREAT));
  while (flock(gate.get(), LOCK_EX) != 0) {
    if (errno != EINTR) return Status::from_errno(errno, "cannot lock %s.lock", file->path_.c_str());
  }
  for (bool fresh = false;; fresh = true) {
    if (fresh) TESSERA_RETURN_IF_ERROR(create_file(file->path_, config, physical_index, inherited));
    auto fd = open_private(file->path_, 0);
    if (!fd.ok()) {
      if (fresh || fd.status().code() != Code::kNotFound) return fd.status();
      continue;
    }
    file->fd_ = std::move(fd).value();
    file->layout_ = map_file(file->fd_.get());
    if (file->layout_ == nullptr || !usable(file->fd_.get(), *file->layout_)) {
      if (file->layout_ != nullptr) munmap(std::exchange(file->layout_, nullptr), sizeof(DeviceFileLayout));
      if (fresh) return Status::error(Code::kInternal, "cannot map %s", file->path_.c_str());
      LOG_INFO(kModule, "%s is of another version; making a new one", file->path_.c_str());
      continue;
    }
    const bool same = file->capacity_bytes() == config.memory_bytes && file->sm_count() == config.sm_count;
    if (same || !attach || file->lived_in()) break;
    inherited = {file->layout_->health, file->layout_->control};
    munmap(std::exchange(file->layout_, nullptr), sizeof(DeviceFileLayout));
  }
  if (file->capacity_bytes() != config.memory_bytes || file->sm_count() != config.sm_count) {
    LOG_INFO(kModule, "device %d is in use with %s and %d SMs; this process takes it as it is",
             physical_index, format_size(file->capacity_bytes()).c_str(), file->sm_count());
  }
  struct stat info {};
  if (fstat(file->fd_.get(), &info) != 0)
    return Status::from_errno(errno, "cannot look at %s", file->path_.c_str());
  file->device_ = info.st_dev;
  file->inode_ = info.st_ino;
  if (attach) {
    Lock lock(*file);
    TESSERA_RETURN_IF_ERROR(file->attach_locked());
  }
  return file;
}

bool DeviceFile::lived_in() {
  Lock lock(*this);
  reap_locked();
  return std::any_of(layout_->processes, layout_->processes + kMaxProcesses,
                     [](const ProcessEntry& entry) { return entry.pid != 0; });
}

Status DeviceFile::attach_locked() {
  reap_locked();
  for (uint32_t i = 0; i < kMaxProcesses; ++i) {
    ProcessEntry& entry = layout_->processes[i];
    if (entry.pid != 0) continue;
    const ProcessIdentity self = this_process();
    entry.contexts = 0;
    entry.used_bytes = entry.busy_ns = entry.active_ns = 0;
    entry.slots_held = entry.waiting = entry.parked = entry.most_slots = 0;
    entry.sms = IndexSet::below(kMaxSms);
    entry.start_ticks = self.start_ticks;
    entry.history = UsageHistory();
    strncpy(entry.name, executable_name().c_str(), sizeof entry.name - 1);
    entry.pid = self.pid;
    layout_->processes_end = std::max(layout_->processes_end, i + 1);
    entry_ = i;
    attached_ = true;
    return {};
  }
  return Status::error(Code::kResourceExhausted, "%u processes are on the device already", kMaxProcesses);
}

DeviceFile::~DeviceFile() {
  if (layout_ == nullptr) return;
  if (attached_) {
    Lock lock(*this);
    leave_shared_locked(*layout_, entry_);
    leave_events_locked(*layout_, entry_);
    layout_->processes[entry_].pid = 0;
    for (SlotEntry& slot : layout_->slots) {
      if (slot.owner == entry_) slot.owner = kNoProcess;
    }
  }
  munmap(layout_, sizeof *layout_);
}

uint64_t DeviceFile::capacity_bytes() const { return layout_->capacity_bytes; }
int DeviceFile::sm_count() const { return static_cast<int>(layout_->sm_count); }
DeviceUuid DeviceFile::uuid() const { return layout_->uuid; }

bool DeviceFile::replaced() const {
  struct stat current {};
  return stat(path_.c_str(), &current) != 0 || current.st_ino != inode_ || current.st_dev != device_;
}

void DeviceFile::reap_locked() {
  layout_->reaped_ns = monotonic_ns();
  for (uint32_t i = 0; i < layout_->processes_end; ++i) {
    ProcessEntry& entry = layout_->processes[i];
    if (entry.pid == 0 || (attached_ && i == entry_)) continue;
    if (is_alive({entry.pid, entry.start_ticks})) continue;
    LOG_INFO(kModule, "process %d is gone; %s of device memory are free again", entry.pid,
             format_size(entry.used_bytes).c_str());
    for (uint32_t s = 0; s < layout_->sm_count; ++s) {
      if (layout_->slots[s].owner == i) layout_->slots[s].owner = kNoProcess;
    }
    leave_shared_locked(*layout_, i);  // before the entry is free for another process
    leave_events_locked(*layout_, i);
    entry.pid = 0;
    entry.used_bytes = 0;
    entry.waiting = 0;
  }
}

void DeviceFile::reap_now_and_then_locked(uint64_t now) {
  if (now - layout_->reaped_ns > kReapIntervalNs) reap_locked();
}

void DeviceFile::reap_now_and_then() {
  const uint64_t now = monotonic_ns();
  if (now - asked_ns_.load(std::memory_order_relaxed) < kReapIntervalNs) return;
  asked_ns_.store(now, std::memory_order_relaxed);
  Lock lock(*this);
  reap_now_and_then_locked(now);
}

uint64_t DeviceFile::used_locked() const {
  uint64_t used = shared_bytes_locked(*layout_);
  for (uint32_t i = 0; i < layout_->processes_end; ++i) {
    if (layout_->processes[i].pid != 0) used += layout_->processes[i].used_bytes;
  }
  return used;
}

Status DeviceFile::check_room_locked(uint64_t bytes) {
  if (bytes > layout_->capacity_bytes) {
    return Status::error(Code::kResourceExhausted, "%s of device memory asked for; the device has %s",
                         format_size(bytes).c_str(), format_size(layout_->capacity_bytes).c_str());
  }
  if (used_locked() + bytes > layout_->capacity_bytes) {
    reap_locked();
    const uint64_t used = used_locked();
    if (used + bytes > layout_->capacity_bytes) {
      return Status::error(
          Code::kResourceExhausted, "%llu bytes of device memory asked for, %llu are free",
          static_cast<unsigned long long>(bytes),
          static_cast<unsigned long long>(layout_->capacity_bytes - std::min(used, layout_->capacity_bytes)));
    }
  }
  return {};
}

Status DeviceFile::charge(uint64_t bytes) {
  assert(attached_);
  Lock lock(*this);
  TESSERA_RETURN_IF_ERROR(check_room_locked(bytes));
  layout_->processes[entry_].used_bytes += bytes;
  return {};
}

void DeviceFile::credit(uint64_t bytes) {
  Lock lock(*this);
  assert(layout_->processes[entry_].used_bytes >= bytes);
  layout_->processes[entry_].used_bytes -= bytes;
}

uint64_t DeviceFile::free_bytes() {
  Lock lock(*this);
  reap_locked();
  return layout_->capacity_bytes - std::min(used_locked(), layout_->capacity_bytes);
}

void DeviceFile::set_contexts(uint32_t contexts) {
  Lock lock(*this);
  layout_->processes[entry_].contexts = contexts;
}

void DeviceFile::take_commands_locked() {
  auto lines = take_lines(path_ + kControlSuffix, layout_->control);
  if (!lines.ok()) LOG_ERROR(kModule, "%s", lines.status().message().c_str());
  if (!lines.ok() || lines->empty()) return;
  for (const std::string& line : *lines) {
    auto command = parse_fault_command(line);
    Status status = command.status();
    if (command.ok()) status = apply(layout_->health, *command, *model_, {monotonic_ns(), wall_ns()});
    if (status.ok()) {
      LOG_WARN(kModule, "%s%s: %s", path_.c_str(), kControlSuffix, line.c_str());
    } else {
      LOG_ERROR(kModule, "%s%s: refused: %s: %s", path_.c_str(), kControlSuffix, printable(line).c_str(),
                status.message().c_str());
    }
  }
  changed_health_locked();
}

void DeviceFile::changed_health_locked() {
  ++layout_->health.changes;
  layout_->health_word.fetch_add(1);
  wake_all(layout_->health_word);
  // FolderWatch sees it. By name: the program may have closed all descriptors that it finds.
  utimensat(AT_FDCWD, path_.c_str(), nullptr, AT_SYMLINK_NOFOLLOW);
}

void DeviceFile::follow_health_locked() {
  if (control_stamp(path_ + kControlSuffix) != layout_->control.stamp) take_commands_locked();
  if (end_hang_when_due(layout_->health, {monotonic_ns(), wall_ns()})) changed_health_locked();
}

Health DeviceFile::health() {
  Lock lock(*this);
  follow_health_locked();
  return layout_->health;
}

bool DeviceFile::strike(uint64_t begin, uint64_t end) {
  Lock lock(*this);
  if (!tessera::softgpu::strike(layout_->health, *model_, getpid(), begin, end, wall_ns())) return false;
  changed_health_locked();
  return true;
}

void DeviceFile::report_xid(uint32_t xid) {
  Lock lock(*this);
  record_event(layout_->health, HealthEventKind::kXid, xid, wall_ns());
  changed_health_locked();
}

void DeviceFile::clear_error_counts(bool aggregate) {
  Lock lock(*this);
  (aggregate ? layout_->health.ever : layout_->health.since_clear) = {};
  changed_health_locked();
}

DeviceUse DeviceFile::use(uint64_t window_ns) {
  Lock lock(*this);
  reap_locked();
  follow_health_locked();
  const uint64_t now = monotonic_ns();
  DeviceUse use;
  use.health = layout_->health;
  use.capacity_bytes = layout_->capacity_bytes;
  use.sm_count = sm_count();
  use.used_bytes = used_locked();
  use.busy_ns = layout_->busy_ns;
  use.window_ns = std::min(window_ns, UsageHistory::kLongestWindowNs);
  use.window_busy_ns = layout_->history.busy_ns(now, use.window_ns);
  std::vector<ProcessUse> all(layout_->processes_end);
  for (uint32_t i = 0; i < layout_->processes_end; ++i) {
    const ProcessEntry& entry = layout_->processes[i];
    all[i] = {{entry.pid, entry.start_ticks},
              std::string(entry.name, strnlen(entry.name, sizeof entry.name)),
              entry.used_bytes + (entry.pid != 0 ? shared_bytes_locked(*layout_, i) : 0),
              entry.busy_ns,
              entry.history.busy_ns(now, use.window_ns),
              entry.contexts};
  }
  // What runs right now and is not charged yet.
  for (uint32_t s = 0; s < layout_->sm_count; ++s) {
    const SlotEntry& slot = layout_->slots[s];
    if (slot.owner >= layout_->processes_end || slot.claimed == 0 || slot.charged_ns >= now) continue;
    const uint64_t busy = now - slot.charged_ns;
    const uint64_t inside = std::min(busy, use.window_ns);
    use.busy_ns += busy;
    use.window_busy_ns += inside;
    all[slot.owner].busy_ns += busy;
    all[slot.owner].window_busy_ns += inside;
  }
  for (ProcessUse& process : all) {
    if (process.process.pid != 0 && process.contexts != 0) use.processes.push_back(std::move(process));
  }
  return use;
}

}  // namespace tessera::softgpu
