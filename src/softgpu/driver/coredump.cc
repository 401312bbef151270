#include "softgpu/driver/coredump.h"

#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <mutex>

#include "common/log.h"

namespace tessera::softgpu {
namespace {

constexpr size_t kMaxPath = 1023;  // cuda.h: "String of up to 1023 characters"

bool environment_says(const char* name, bool otherwise) {
  const char* value = getenv(name);
  return value != nullptr ? strcmp(value, "1") == 0 : otherwise;
}

CoredumpSettings settings_of_environment() {
  CoredumpSettings settings;
  settings.on_exception = environment_says("CUDA_ENABLE_COREDUMP_ON_EXCEPTION", false);
  settings.trigger_host = environment_says("CUDA_ENABLE_CPU_COREDUMP_ON_EXCEPTION", true);
  settings.lightweight = environment_says("CUDA_ENABLE_LIGHTWEIGHT_COREDUMP", false);
  if (const char* file = getenv("CUDA_COREDUMP_FILE")) settings.file.assign(file, strnlen(file, kMaxPath));
  return settings;
}

struct Global {
  std::mutex mutex;
  CoredumpSettings settings = settings_of_environment();
};

Global& global() {
  static auto* made = new Global();
  return *made;
}

std::string expanded(const std::string& pattern) {
  std::string path;
  for (size_t i = 0; i < pattern.size(); ++i) {
    const char next = pattern[i] == '%' && i + 1 < pattern.size() ? pattern[i + 1] : '\0';
    char host[256] = "localhost";
    if (next == 'h') {
      gethostname(host, sizeof(host) - 1);
      path += host;
    } else if (next == 'p') {
      path += std::to_string(getpid());
    } else if (next == 't') {
      path += std::to_string(time(nullptr));
    } else {
      path += pattern[i];
      continue;
    }
    ++i;
  }
  return path;
}

template <typename T>
CUresult give(const T& setting, void* value, size_t* size) {
  if (value == nullptr) {
    *size = sizeof(T);
    return CUDA_SUCCESS;
  }
  if (*size < sizeof(T)) return CUDA_ERROR_INVALID_VALUE;
  memcpy(value, &setting, sizeof(T));
  return CUDA_SUCCESS;
}

CUresult give(const std::string& setting, void* value, size_t* size) {
  if (value == nullptr) {
    *size = kMaxPath + 1;
    return CUDA_SUCCESS;
  }
  if (*size <= setting.size()) return CUDA_ERROR_INVALID_VALUE;
  memcpy(value, setting.c_str(), setting.size() + 1);
  return CUDA_SUCCESS;
}

template <typename T>
CUresult take(T* setting, const void* value, size_t* size) {
  if (value == nullptr) return give(*setting, nullptr, size);
  if (*size != sizeof(T)) return CUDA_ERROR_INVALID_VALUE;
  memcpy(setting, value, sizeof(T));
  return CUDA_SUCCESS;
}

CUresult take(std::string* setting, const void* value, size_t* size) {
  if (value == nullptr) return give(*setting, nullptr, size);
  const size_t length = strnlen(static_cast<const char*>(value), *size);
  if (length == 0 || length > kMaxPath) return CUDA_ERROR_INVALID_VALUE;
  setting->assign(static_cast<const char*>(value), length);
  return CUDA_SUCCESS;
}

// Calls `body` with the setting that the attribute names.
template <typename Settings, typename Body>
CUresult with_setting(Settings& settings, CUcoredumpSettings attribute, Body&& body) {
  switch (attribute) {
    case CU_COREDUMP_ENABLE_ON_EXCEPTION:
      return body(settings.on_exception);
    case CU_COREDUMP_TRIGGER_HOST:
      return body(settings.trigger_host);
    case CU_COREDUMP_LIGHTWEIGHT:
      return body(settings.lightweight);
    case CU_COREDUMP_ENABLE_USER_TRIGGER:
      return body(settings.user_trigger);
    case CU_COREDUMP_FILE:
      return body(settings.file);
    case CU_COREDUMP_PIPE:
      return body(settings.pipe);
    case CU_COREDUMP_GENERATION_FLAGS:
      return body(settings.generation_flags);
    default:
      return CUDA_ERROR_INVALID_VALUE;
  }
}

}  // namespace

CoredumpSettings global_coredump_settings() {
  std::lock_guard lock(global().mutex);
  return global().settings;
}

void set_global_coredump_settings(const CoredumpSettings& settings) {
  std::lock_guard lock(global().mutex);
  global().settings = settings;
}

CUresult read_coredump_setting(const CoredumpSettings& settings, CUcoredumpSettings attribute, void* value,
                               size_t* size) {
  if (size == nullptr) return CUDA_ERROR_INVALID_VALUE;
  return with_setting(settings, attribute, [&](const auto& setting) { return give(setting, value, size); });
}

CUresult write_coredump_setting(CoredumpSettings* settings, CUcoredumpSettings attribute, const void* value,
                                size_t* size) {
  if (size == nullptr) return CUDA_ERROR_INVALID_VALUE;
  return with_setting(*settings, attribute, [&](auto& setting) { return take(&setting, value, size); });
}

void dump_core(const CoredumpSettings& settings, const std::string& text) {
  if (!settings.on_exception) return;
  const std::string path = expanded(settings.file);
  FILE* file = fopen(path.c_str(), "we");
  if (file == nullptr || fprintf(file, "%s\n", text.c_str()) < 0) {
    LOG_ERROR("coredump", "%s cannot be written: %s", path.c_str(), strerror(errno));
  }
  if (file != nullptr) fclose(file);
  const bool skip_abort = (settings.generation_flags & CU_COREDUMP_SKIP_ABORT) != 0;
  if (settings.trigger_host && !skip_abort) abort();
}

}  // namespace tessera::softgpu
