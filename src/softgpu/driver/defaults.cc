#include "softgpu/driver/defaults.h"

#include <mutex>
#include <set>
#include <string>

#include "common/log.h"

namespace tessera::softgpu {
namespace {

thread_local int per_thread_depth = 0;

}  // namespace

void log_not_supported(const char* name) {
  static auto* mutex = new std::mutex();
  static auto* logged = new std::set<std::string>();
  std::lock_guard lock(*mutex);
  if (logged->insert(name).second) LOG_WARN("driver", "%s is not supported by the software GPU", name);
}

PerThreadDefaultStream::PerThreadDefaultStream() { ++per_thread_depth; }
PerThreadDefaultStream::~PerThreadDefaultStream() { --per_thread_depth; }
bool PerThreadDefaultStream::active() { return per_thread_depth > 0; }

}  // namespace tessera::softgpu
