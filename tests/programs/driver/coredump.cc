// Core dumps: their settings, for the process and for a context, and the text that a failing kernel leaves.
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <fstream>
#include <iterator>
#include <string>

#include "driver_check.h"

extern "C" const char fault_ptx[];

namespace {

template <typename T>
void set(CUcoredumpSettings attribute, T value) {
  size_t size = sizeof(value);
  CU_CHECK(cuCoredumpSetAttribute(attribute, &value, &size));
}

void set_file(const std::string& path) {
  std::string value = path;
  size_t size = value.size() + 1;
  CU_CHECK(cuCoredumpSetAttribute(CU_COREDUMP_FILE, value.data(), &size));
}

void check_settings() {
  bool on = true, global = true;
  size_t size = sizeof(on);
  CU_CHECK(cuCoredumpGetAttribute(CU_COREDUMP_ENABLE_ON_EXCEPTION, &on, &size));
  REQUIRE(!on, "dumps are on by themselves");
  CU_CHECK(cuCoredumpGetAttribute(CU_COREDUMP_ENABLE_ON_EXCEPTION, nullptr, &size));
  REQUIRE(size == sizeof(bool), "a switch of %zu bytes", size);
  set(CU_COREDUMP_ENABLE_ON_EXCEPTION, true);
  CU_CHECK(cuCoredumpGetAttribute(CU_COREDUMP_ENABLE_ON_EXCEPTION, &on, &size));
  CU_CHECK(cuCoredumpGetAttributeGlobal(CU_COREDUMP_ENABLE_ON_EXCEPTION, &global, &size));
  REQUIRE(on && !global, "the context's switch is %d, the process's %d", on, global);
  set_file("/tmp/some file");
  char path[1024] = "";
  size = sizeof(path);
  CU_CHECK(cuCoredumpGetAttribute(CU_COREDUMP_FILE, path, &size));
  REQUIRE(strcmp(path, "/tmp/some file") == 0, "the file is %s", path);
  size = 4;
  CU_EXPECT(CUDA_ERROR_INVALID_VALUE, cuCoredumpGetAttribute(CU_COREDUMP_FILE, path, &size));
  CU_EXPECT(CUDA_ERROR_NOT_PERMITTED, cuCoredumpSetAttribute(CU_COREDUMP_PIPE, path, &size));
  CU_EXPECT(CUDA_ERROR_INVALID_VALUE, cuCoredumpSetAttribute(CU_COREDUMP_MAX, path, &size));
}

// In a child: a kernel fails, with dumps on.
[[noreturn]] void fail_with_dump(const std::string& path, bool abort_host) {
  const check::Context context;
  set(CU_COREDUMP_ENABLE_ON_EXCEPTION, true);
  set(CU_COREDUMP_TRIGGER_HOST, abort_host);
  set_file(path + ".%p");
  const check::Module module(fault_ptx);
  const check::DeviceArray<uint32_t> good(32);
  check::launch(module.function("store_at"), {1}, {32}, nullptr, good.get(), CUdeviceptr{64});
  CU_EXPECT(CUDA_ERROR_ILLEGAL_ADDRESS, cuCtxSynchronize());
  std::_Exit(0);
}

void check_dump(const std::string& path, bool abort_host) {
  const pid_t child = fork();
  if (child == 0) fail_with_dump(path, abort_host);
  int status = 0;
  REQUIRE(child > 0 && waitpid(child, &status, 0) == child, "no child");
  if (abort_host) {
    REQUIRE(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT, "status %#x, not an abort",
            static_cast<unsigned>(status));
  } else {
    REQUIRE(WIFEXITED(status) && WEXITSTATUS(status) == 0, "status %#x", static_cast<unsigned>(status));
  }
  const std::string file = path + "." + std::to_string(child);
  std::ifstream in(file);
  const std::string text{std::istreambuf_iterator<char>(in), {}};
  REQUIRE(text.find("store_at") != std::string::npos, "no kernel in %s: %s", file.c_str(), text.c_str());
  REQUIRE(text.find("block (0,0,0), thread (0,0,0)") != std::string::npos, "no place in it: %s",
          text.c_str());
  unlink(file.c_str());
}

}  // namespace

int main() {
  char folder[] = "/tmp/coredump_XXXXXX";
  REQUIRE(mkdtemp(folder) != nullptr, "no folder");
  const std::string path = std::string(folder) + "/core";
  check_dump(path, false);
  check_dump(path, true);
  REQUIRE(rmdir(folder) == 0, "something is left in %s", folder);
  const check::Context context;
  check_settings();
  return check::pass("settings kept, a text for a failed kernel, the host aborted where asked");
}
