// When kernels are loaded: CUDA_MODULE_LOADING decides, and cuFuncIsLoaded and cuFuncLoad tell and do it. The
// program runs itself once in each mode.
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>

#include "driver_check.h"

extern "C" const char memory_ptx[];

namespace {

bool is_loaded(CUfunction function) {
  CUfunctionLoadingState state = CU_FUNCTION_LOADING_STATE_MAX;
  CU_CHECK(cuFuncIsLoaded(&state, function));
  REQUIRE(state == CU_FUNCTION_LOADING_STATE_LOADED || state == CU_FUNCTION_LOADING_STATE_UNLOADED,
          "a loading state of %d", static_cast<int>(state));
  return state == CU_FUNCTION_LOADING_STATE_LOADED;
}

void check_mode(bool eager) {
  const check::Context context;
  CUmoduleLoadingMode mode{};
  CU_CHECK(cuModuleGetLoadingMode(&mode));
  REQUIRE(mode == (eager ? CU_MODULE_EAGER_LOADING : CU_MODULE_LAZY_LOADING), "a loading mode of %d",
          static_cast<int>(mode));
  const check::Module module(memory_ptx);
  const CUfunction launched = module.function("add_index"), loaded = module.function("look_up");
  REQUIRE(is_loaded(launched) == eager, "a kernel is %s before its first launch",
          eager ? "not loaded" : "loaded");
  check::DeviceArray<uint32_t> values(32);
  values.fill(0);
  check::launch(launched, {1}, {32}, nullptr, values.get(), uint32_t{32});
  CU_CHECK(cuCtxSynchronize());
  REQUIRE(is_loaded(launched), "a kernel is not loaded after its launch");
  REQUIRE(is_loaded(loaded) == eager, "another kernel of the module was loaded with it");
  CU_CHECK(cuFuncLoad(loaded));
  REQUIRE(is_loaded(loaded), "cuFuncLoad did not load");

  const char* name = nullptr;
  CU_CHECK(cuFuncGetName(&name, launched));
  REQUIRE(strcmp(name, "add_index") == 0, "a kernel named %s", name);
  size_t offset = 0, size = 0;
  CU_CHECK(cuFuncGetParamInfo(launched, 1, &offset, &size));
  REQUIRE(offset == 8 && size == 4, "parameter 1 at %zu, of %zu bytes", offset, size);
  CU_EXPECT(CUDA_ERROR_INVALID_VALUE, cuFuncGetParamInfo(launched, 2, &offset, &size));
  CU_CHECK(cuProfilerStart());
  CU_CHECK(cuProfilerStop());
}

void check_in_child(const char* mode) {
  const pid_t child = fork();
  if (child == 0) {
    if (mode != nullptr) {
      setenv("CUDA_MODULE_LOADING", mode, 1);
    } else {
      unsetenv("CUDA_MODULE_LOADING");
    }
    execl("/proc/self/exe", "lazy_loading", mode != nullptr ? mode : "DEFAULT", nullptr);
    _exit(127);
  }
  int status = 0;
  REQUIRE(child > 0 && waitpid(child, &status, 0) == child, "no child");
  REQUIRE(WIFEXITED(status) && WEXITSTATUS(status) == 0, "mode %s: status %#x",
          mode != nullptr ? mode : "not set", static_cast<unsigned>(status));
}

}  // namespace

int main(int argc, char** argv) {
  if (argc > 1) {
    check_mode(strcmp(argv[1], "EAGER") == 0);
    return 0;
  }
  for (const char* mode : {static_cast<const char*>(nullptr), "LAZY", "EAGER"}) check_in_child(mode);
  return check::pass("lazy by default, lazy, eager: as asked for");
}
