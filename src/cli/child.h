// The program under `tessera run`: found, started in the foreground, its signals passed on, waited for.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "common/status.h"

namespace tessera::cli {

inline constexpr int kExitNotExecutable = 126;  // as shells have it
inline constexpr int kExitNotFound = 127;

struct Program {
  std::string path;
  std::vector<std::string> arguments;  // with the name as it was given
};

// The file that `name` means, searched in PATH as a shell does. Refused where the loader would ignore
// LD_LIBRARY_PATH (set-user-ID and the like): such a program would run outside its slice. The exit code comes
// along.
std::pair<Result<std::string>, int> find_program(const std::string& name);

struct ChildResult {
  int exit_code = 0;  // 128 + signal where one ended it
  int signal = 0;
};

// Runs the program to its end. It stays in our process group and keeps the terminal, so what the terminal
// sends (Ctrl-C, Ctrl-Z) it receives itself; signals sent to us alone are passed on. `daemon` is watched: the
// callback is called once if it is closed.
Result<ChildResult> run_child(const Program& program,
                              const std::vector<std::pair<std::string, std::string>>& environment, int daemon,
                              void (*daemon_gone)());

}  // namespace tessera::cli
