// Puts processes on processors while they run: what they decided by the processors they began with stays so.
#pragma once

#include <sched.h>
#include <sys/types.h>

#include <filesystem>
#include <fstream>
#include <string>

namespace tessera::bench {

// All threads of `process`, and of those that it has begun. False where one could not be.
inline bool pin_with_children(pid_t process, int processor) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(processor, &set);
  bool is_done = true;
  const std::string tasks = "/proc/" + std::to_string(process) + "/task";
  for (const auto& task : std::filesystem::directory_iterator(tasks)) {
    const auto thread = static_cast<pid_t>(std::stol(task.path().filename().string()));
    is_done = sched_setaffinity(thread, sizeof set, &set) == 0 && is_done;
    std::ifstream children(task.path() / "children");
    for (pid_t child = 0; children >> child;) is_done = pin_with_children(child, processor) && is_done;
  }
  return is_done;
}

}  // namespace tessera::bench
