// Functions and kernels as the client knows them: enough to launch them without asking.
#pragma once

#include <atomic>
#include <string>
#include <vector>

#include "cuda/abi.h"
#include "remote/client/request.h"
#include "remote/wire/launch.h"

namespace tessera::remote {

struct ClientFunction {
  FunctionInfo info;
  LaunchLimits limits;  // once it has been launched
  std::atomic<bool> has_launched{false};
  bool is_known = false;  // how the parameters lie; not where the server's driver is older than CUDA 12.4
  std::string name;       // once it has been asked for
};

// From an answer that has the fields of a function's description next. Nothing is learnt of parameters that
// cannot be.
void learn_function(CUfunction function, Request& answer);
// Asks the server where it has not been told. Null where the handle is none.
ClientFunction* find_function(CUfunction function);
// Something that launches depend on has been set: each function's next one waits for its answer again.
void ask_at_next_launches();
// Its name: owned here, for as long as the process lives.
CUresult name_of_function(CUfunction function, const char** name);
// The library or the module is gone.
void forget_functions();

// Parameters as they lie in the kernel's parameter space, appended to `values`. CUDA_ERROR_INVALID_VALUE
// where they are not given in one of the two ways of cuLaunchKernel.
CUresult gather_parameters(const ClientFunction& function, void** parameters, void** extra,
                           std::vector<std::byte>& values);

}  // namespace tessera::remote
