#include "tests/remote/trace/trace.h"

#include <fcntl.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>

#include "cuda/driver_api.h"
#include "virtualization/driver_loader.h"
#include "virtualization/library_file.h"

// Whoever looks for the driver does not take this one for it.
TESSERA_MARK_AS_GUEST();

namespace tessera::trace {
namespace {

int trace_file() {
  const char* path = getenv("TRACE_FILE");
  return path == nullptr ? -1 : open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}

cuda::DriverTable load() {
  const char* path = getenv("TRACED_DRIVER");
  auto driver = vgpu::load_program_driver(std::string(path == nullptr ? "" : path));
  if (driver.ok()) return *driver;
  fprintf(stderr, "trace: %s\n", driver.status().message().c_str());
  abort();
}

// Our function in the place of the driver's.
void replace(void** found) {
  const auto* theirs = reinterpret_cast<void* const*>(&traced());
  const auto* ours = reinterpret_cast<void* const*>(&exported());
  for (size_t i = 0; i < cuda::kDriverEntriesCount; ++i) {
    if (theirs[i] == *found && *found != nullptr) {
      *found = ours[i];
      return;
    }
  }
}

}  // namespace

const cuda::DriverTable& traced() {
  static const auto* const table = new cuda::DriverTable(load());
  return *table;
}

// One write a line: lines of threads and of forked processes do not mix.
CUresult tell(const char* name, CUresult result) {
  static const int file = trace_file();
  char line[160];
  const int bytes = snprintf(line, sizeof line, "%d %d %s %d\n", getpid(), gettid(), name, result);
  if (file >= 0 && write(file, line, static_cast<size_t>(bytes)) != bytes) abort();
  return result;
}

template <>
CUresult missing<CUresult>() {
  return CUDA_ERROR_NOT_SUPPORTED;
}

}  // namespace tessera::trace

extern "C" {

CUresult cuGetProcAddress_v2(const char* symbol, void** found, int version, cuuint64_t flags,
                             CUdriverProcAddressQueryResult* status) {
  const CUresult result = tessera::trace::traced().cuGetProcAddress_v2(symbol, found, version, flags, status);
  if (result == CUDA_SUCCESS && found != nullptr) tessera::trace::replace(found);
  return tessera::trace::tell("cuGetProcAddress_v2", result);
}

CUresult cuGetProcAddress(const char* symbol, void** found, int version, cuuint64_t flags) {
  const CUresult result = tessera::trace::traced().cuGetProcAddress(symbol, found, version, flags);
  if (result == CUDA_SUCCESS && found != nullptr) tessera::trace::replace(found);
  return tessera::trace::tell("cuGetProcAddress", result);
}

}  // extern "C"
