#include "demos/demo_driver.h"

#include <cstdio>
#include <cstdlib>

#include "guest/memory_space/program_driver.h"

namespace demo {
namespace {

using namespace tessera;

const char* program_name = "";

}  // namespace

void require(bool ok, const char* what) {
  if (ok) return;
  std::fprintf(stderr, "%s: %s failed\n", program_name, what);
  std::exit(1);
}

Result<cuda::DriverTable> start_driver(const char* program) {
  program_name = program;
  TESSERA_ASSIGN_OR_RETURN(cuda::DriverTable driver, guest::load_program_driver(nullptr));
  CUcontext context = nullptr;
  char name[256] = "";
  const bool started = driver.cuDevicePrimaryCtxRetain(&context, 0) == CUDA_SUCCESS &&
                       driver.cuCtxSetCurrent(context) == CUDA_SUCCESS &&
                       driver.cuDeviceGetName(name, sizeof name, 0) == CUDA_SUCCESS;
  if (!started) return Status(Code::kUnavailable, "the driver has no device to work on");
  std::printf("%s\n", name);
  return driver;
}

}  // namespace demo
