// A node's NVML for the command line tests: two GPUs of 8 and 4 GiB, or what TESSERA_FAKE_NVML asks for:
// "hang", "crash", "none" (no GPU), "fail" (nvmlInit fails).
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string_view>

namespace {

std::string_view mode() {
  const char* value = getenv("TESSERA_FAKE_NVML");
  return value == nullptr ? "" : value;
}

unsigned long long total_bytes(void* device) {
  return device == reinterpret_cast<void*>(1) ? 8ULL << 30 : 4ULL << 30;
}

}  // namespace

#define FAKE_API extern "C" __attribute__((visibility("default")))

FAKE_API int nvmlInit_v2() {
  if (mode() == "hang") pause();
  if (mode() == "crash") abort();
  return mode() == "fail" ? 9 : 0;
}
FAKE_API int nvmlShutdown() { return 0; }
FAKE_API const char* nvmlErrorString(int result) { return result == 9 ? "Driver Not Loaded" : "Success"; }
FAKE_API int nvmlSystemGetDriverVersion(char* text, unsigned int size) {
  snprintf(text, size, "580.0");
  return 0;
}
FAKE_API int nvmlDeviceGetCount_v2(unsigned int* count) {
  *count = mode() == "none" ? 0 : 2;
  return 0;
}
FAKE_API int nvmlDeviceGetHandleByIndex_v2(unsigned int index, void** device) {
  *device = reinterpret_cast<void*>(static_cast<unsigned long>(index + 1));
  return 0;
}
FAKE_API int nvmlDeviceGetName(void*, char* text, unsigned int size) {
  snprintf(text, size, "Fake GPU");
  return 0;
}
FAKE_API int nvmlDeviceGetUUID(void* device, char* text, unsigned int size) {
  snprintf(text, size, "GPU-00000000-0000-0000-0000-%012lx", reinterpret_cast<unsigned long>(device));
  return 0;
}
FAKE_API int nvmlDeviceGetPciInfo_v3(void* device, void* info) {  // one at each of two_sockets.xml
  constexpr size_t kBusId = 36;                                   // in nvmlPciInfo_t
  snprintf(static_cast<char*>(info) + kBusId, 32, "00000000:%d0:00.0",
           device == reinterpret_cast<void*>(1) ? 2 : 3);
  return 0;
}
FAKE_API int nvmlDeviceGetMemoryInfo(void* device, unsigned long long* figures) {
  figures[0] = total_bytes(device);
  figures[1] = total_bytes(device);
  figures[2] = 0;
  return 0;
}
FAKE_API int nvmlDeviceGetUtilizationRates(void*, unsigned int* figures) {
  figures[0] = 25;
  figures[1] = 5;
  return 0;
}
FAKE_API int nvmlDeviceGetTotalEccErrors(void*, int, int, unsigned long long*) { return 3; }  // not supported
