#include "common/process_identity.h"

#include <unistd.h>

#include <string_view>

#include "common/fd.h"
#include "common/strings.h"

namespace tessera {

Result<ProcessIdentity> identify_process(pid_t pid) {
  TESSERA_ASSIGN_OR_RETURN(std::string stat,
                           read_file(str_format("/proc/%d/stat", static_cast<int>(pid)), 4096));
  // The command name (field 2) may hold blanks and parentheses; fields are counted from its last ')'.
  size_t name_end = stat.rfind(')');
  if (name_end == std::string::npos)
    return Status::error(Code::kInvalidData, "/proc/%d/stat has no name", pid);
  auto fields = split(trim(std::string_view(stat).substr(name_end + 1)), ' ');
  constexpr size_t kState = 0;
  constexpr size_t kStartTime = 19;
  if (fields.size() <= kStartTime) return Status::error(Code::kInvalidData, "/proc/%d/stat is short", pid);
  if (fields[kState] == "Z" || fields[kState] == "X") {
    return Status::error(Code::kNotFound, "process %d has ended", pid);
  }
  auto ticks = parse_uint(fields[kStartTime]);
  if (!ticks) return Status::error(Code::kInvalidData, "/proc/%d/stat has no start time", pid);
  return ProcessIdentity{pid, *ticks};
}

ProcessIdentity this_process() {
  auto self = identify_process(getpid());
  return self.ok() ? self.value() : ProcessIdentity{getpid(), 0};
}

bool is_alive(const ProcessIdentity& process) {
  auto now = identify_process(process.pid);
  return now.ok() && now.value() == process;
}

}  // namespace tessera
