// Where the parts of this installation lie, seen from this program: a build tree (bin/, lib/) or an installed
// one.
#pragma once

#include <string>

#include "common/status.h"

namespace tessera::cli {

// The folder with the guest's libcuda.so.1. Recognised by the mark inside the library, not by its name: a
// real driver may lie in lib/ as well.
Result<std::string> find_guest_folder();

// tesserad, beside this program.
Result<std::string> find_daemon();

}  // namespace tessera::cli
