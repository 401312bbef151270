// The program under `tessera run`: found, started in the foreground, its signals passed on, waited for.
#pragma once

#include <functional>
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

// The daemon behind the program, watched while it runs; empty: there is none.
struct DaemonWatch {
  int connection = -1;
  std::function<void()> gone;  // the connection has ended
  // Tries once to have a connection again; -1 where there is none yet.
  std::function<int()> regain;
};

// Runs the program to its end. It stays in our process group and keeps the terminal, so what the terminal
// sends (Ctrl-C, Ctrl-Z) it receives itself; signals sent to us alone are passed on. `daemon` is watched:
// where it ends, a connection is tried for again once a second.
Result<ChildResult> run_child(const Program& program,
                              const std::vector<std::pair<std::string, std::string>>& environment,
                              const DaemonWatch& daemon);

}  // namespace tessera::cli
