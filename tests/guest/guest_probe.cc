// A program as users have them: it knows libcuda.so.1 by name only. Runs one scenario and prints what it saw.
#include <dirent.h>
#include <dlfcn.h>
#include <sys/auxv.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include "cuda/abi.h"

namespace {

void* library = nullptr;

template <typename Function>
Function* find(const char* name) {
  return reinterpret_cast<Function*>(dlsym(library, name));
}

int count_entries(const char* folder) {
  int count = 0;
  DIR* opened = opendir(folder);
  while (opened != nullptr && readdir(opened) != nullptr) ++count;
  closedir(opened);
  return count;
}

CUresult init() { return find<CUresult(unsigned int)>("cuInit")(0); }
CUresult alloc(CUdeviceptr* memory, size_t bytes) {
  return find<CUresult(CUdeviceptr*, size_t)>("cuMemAlloc_v2")(memory, bytes);
}

// Loading alone starts no thread and opens no file.
int idle() {
  int threads = count_entries("/proc/self/task");
  int files = count_entries("/proc/self/fd");
  library = dlopen("libcuda.so.1", RTLD_NOW);
  printf("loaded=%d threads=%d files=%d\n", library != nullptr, count_entries("/proc/self/task") - threads,
         count_entries("/proc/self/fd") - files);
  return 0;
}

int memory() {
  size_t total = 0;
  int count = -1;
  CUresult result = init();
  find<CUresult(int*)>("cuDeviceGetCount")(&count);
  find<CUresult(size_t*, CUdevice)>("cuDeviceTotalMem_v2")(&total, 0);
  CUdeviceptr address = 0;
  CUresult small = alloc(&address, 1 << 20);
  CUresult large = alloc(&address, 100 << 20);
  printf("init=%d devices=%d total=%zu alloc_1m=%d alloc_100m=%d\n", result, count, total, small, large);
  return 0;
}

// Forks before cuInit or after it; the child uses CUDA by itself.
int fork_around(bool init_first) {
  CUresult parent = init_first ? init() : CUDA_SUCCESS;
  CUdeviceptr address = 0;
  fflush(stdout);
  pid_t child = fork();
  if (child == 0) {
    CUresult early = alloc(&address, 1 << 20);
    CUresult launched = find<CUresult(CUfunction, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned,
                                      unsigned, CUstream, void**, void**)>("cuLaunchKernel")(
        nullptr, 1, 1, 1, 1, 1, 1, 0, nullptr, nullptr, nullptr);
    CUresult own = init();
    CUresult large = alloc(&address, 60 << 20);
    CUresult beyond = alloc(&address, 10 << 20);
    printf("child early=%d launch=%d init=%d alloc_60m=%d alloc_10m=%d\n", early, launched, own, large,
           beyond);
    fflush(stdout);
    _exit(0);
  }
  int status = 0;
  waitpid(child, &status, 0);
  if (!init_first) parent = init();
  printf("parent init=%d alloc=%d child_status=%d\n", parent, alloc(&address, 1 << 20), status);
  return 0;
}

// The pointers that cuGetProcAddress gives are the ones that dlsym gives, in either form.
int lookup() {
  auto get = find<CUresult(const char*, void**, int, cuuint64_t, CUdriverProcAddressQueryResult*)>(
      "cuGetProcAddress_v2");
  void* plain = nullptr;
  void* per_thread = nullptr;
  get("cuLaunchKernel", &plain, 13000, 0, nullptr);
  get("cuLaunchKernel", &per_thread, 13000, CU_GET_PROC_ADDRESS_PER_THREAD_DEFAULT_STREAM, nullptr);
  printf("plain=%d per_thread=%d\n", plain == dlsym(library, "cuLaunchKernel"),
         per_thread == dlsym(library, "cuLaunchKernel_ptsz"));
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  std::string scenario = argc >= 2 ? argv[1] : "";
  if (scenario == "idle") return idle();
  library = dlopen(argc == 3 ? argv[2] : "libcuda.so.1", RTLD_NOW);
  if (library == nullptr) {
    printf("no library: %s\n", dlerror());
    return 1;
  }
  if (scenario == "memory") return memory();
  if (scenario == "fork-before") return fork_around(false);
  if (scenario == "fork-after") return fork_around(true);
  if (scenario == "lookup") return lookup();
  if (scenario == "cleared") {
    clearenv();
    return memory();
  }
  if (scenario == "raised") {
    printf("secure=%lu ", getauxval(AT_SECURE));
    return memory();
  }
  return 2;
}
