// Several devices, each with a limit of its own, in the order that was asked for. Arguments: the totals that
// the devices must show, in bytes, in order; memory is then taken on each until the limit refuses it.
//
// The program starts itself again with other CUDA_VISIBLE_DEVICES: fewer devices, another order, by index, by
// UUID and by its beginning. A child shows the same devices under their new ordinals with the same limits.
#include <dlfcn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <memory>
#include <string>

#include "cuda/nvml.h"
#include "driver_check.h"

namespace {

constexpr const char* kChild = "--child";

struct Device {
  std::string uuid;
  size_t total = 0;
};

std::string uuid_of(CUdevice device) {
  CUuuid uuid{};
  CU_CHECK(cuDeviceGetUuid_v2(&uuid, device));
  std::string text = "GPU";
  for (size_t i = 0; i < sizeof uuid.bytes; ++i) {
    char digits[4];
    std::snprintf(digits, sizeof digits, "%02x", static_cast<unsigned char>(uuid.bytes[i]));
    if (i == 0 || (i >= 4 && i <= 10 && i % 2 == 0)) text += '-';
    text += digits;
  }
  return text;
}

// A device's primary context, current while this lives.
class OnDevice {
 public:
  explicit OnDevice(CUdevice device) : device_(device) {
    CUcontext context = nullptr;
    CU_CHECK(cuDevicePrimaryCtxRetain(&context, device_));
    CU_CHECK(cuCtxSetCurrent(context));
  }
  ~OnDevice() { (void)cuDevicePrimaryCtxRelease_v2(device_); }
  OnDevice(const OnDevice&) = delete;
  OnDevice& operator=(const OnDevice&) = delete;

 private:
  CUdevice device_;
};

std::vector<Device> devices() {
  int count = 0;
  CU_CHECK(cuDeviceGetCount(&count));
  std::vector<Device> found;
  for (int ordinal = 0; ordinal < count; ++ordinal) {
    CUdevice device = 0;
    CU_CHECK(cuDeviceGet(&device, ordinal));
    const OnDevice current(device);
    size_t total = 0, free = 0, by_info = 0;
    CU_CHECK(cuDeviceTotalMem_v2(&total, device));
    CU_CHECK(cuMemGetInfo_v2(&free, &by_info));
    REQUIRE(total == by_info, "device %d: cuDeviceTotalMem says %zu, cuMemGetInfo %zu", ordinal, total,
            by_info);
    found.push_back({uuid_of(device), total});
  }
  return found;
}

// NVML counts the devices of the slice whatever CUDA_VISIBLE_DEVICES says, and names the same ones by UUID.
void check_nvml(const std::vector<Device>& shown) {
  void* library = dlopen("libnvidia-ml.so.1", RTLD_NOW);
  REQUIRE(library != nullptr, "%s", dlerror());
  auto function = [&]<typename Function>(const char* name, Function*& entry) {
    entry = reinterpret_cast<Function*>(dlsym(library, name));
    REQUIRE(entry != nullptr, "no %s", name);
  };
  decltype(nvmlInit_v2)* init;
  decltype(nvmlDeviceGetHandleByUUID)* by_uuid;
  decltype(nvmlDeviceGetMemoryInfo)* memory_of;
  function("nvmlInit_v2", init);
  function("nvmlDeviceGetHandleByUUID", by_uuid);
  function("nvmlDeviceGetMemoryInfo", memory_of);
  REQUIRE(init() == NVML_SUCCESS, "nvmlInit");
  for (const Device& device : shown) {
    nvmlDevice_t handle = nullptr;
    nvmlMemory_t memory{};
    REQUIRE(by_uuid(device.uuid.c_str(), &handle) == NVML_SUCCESS, "NVML knows no %s", device.uuid.c_str());
    REQUIRE(memory_of(handle, &memory) == NVML_SUCCESS, "no figures of memory");
    REQUIRE(memory.total == device.total, "%s: NVML says %llu bytes, CUDA %zu", device.uuid.c_str(),
            static_cast<unsigned long long>(memory.total), device.total);
  }
}

// Half and half of the limit are granted, one byte more is refused, and no other device has less for it.
void check_limits(const std::vector<Device>& shown) {
  std::vector<CUdeviceptr> held;
  std::vector<std::unique_ptr<OnDevice>> contexts;  // destroyed, a context takes its memory along
  for (size_t i = 0; i < shown.size(); ++i) {
    contexts.push_back(std::make_unique<OnDevice>(static_cast<CUdevice>(i)));
    size_t free = 0, total = 0;
    CU_CHECK(cuMemGetInfo_v2(&free, &total));
    REQUIRE(free == total, "device %zu: %zu of %zu bytes are free before anything is taken", i, free, total);
    for (int half = 0; half < 2; ++half) {
      held.push_back(0);
      CU_CHECK(cuMemAlloc_v2(&held.back(), total / 2));
    }
    CUdeviceptr beyond = 0;
    CU_EXPECT(CUDA_ERROR_OUT_OF_MEMORY, cuMemAlloc_v2(&beyond, 1));
    CU_CHECK(cuMemGetInfo_v2(&free, &total));
    REQUIRE(free == 0, "device %zu: %zu bytes free at its limit", i, free);
  }
  for (const CUdeviceptr block : held) CU_CHECK(cuMemFree_v2(block));
}

// Starts this program with this CUDA_VISIBLE_DEVICES; the child must show `expected`, in order.
void check_visible(const std::string& value, const std::vector<Device>& expected) {
  const pid_t child = fork();
  REQUIRE(child >= 0, "fork");
  if (child == 0) {
    setenv("CUDA_VISIBLE_DEVICES", value.c_str(), 1);
    std::vector<std::string> words = {"several_devices", kChild};
    for (const Device& device : expected) {
      words.push_back(device.uuid);
      words.push_back(std::to_string(device.total));
    }
    std::vector<char*> arguments;
    for (std::string& word : words) arguments.push_back(word.data());
    arguments.push_back(nullptr);
    execv("/proc/self/exe", arguments.data());
    _exit(127);
  }
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child, "waitpid");
  REQUIRE(status == 0, "CUDA_VISIBLE_DEVICES=%s: wait status %d", value.c_str(), status);
}

int child_main(int argc, char** argv) {
  const auto expected = static_cast<size_t>(argc - 2) / 2;
  if (expected == 0) {
    CU_EXPECT(CUDA_ERROR_NO_DEVICE, cuInit(0));
    return 0;
  }
  CU_CHECK(cuInit(0));
  const std::vector<Device> shown = devices();
  REQUIRE(shown.size() == expected, "%zu devices, not %zu", shown.size(), expected);
  for (size_t i = 0; i < expected; ++i) {
    REQUIRE(shown[i].uuid == argv[2 + 2 * i], "device %zu is %s, not %s", i, shown[i].uuid.c_str(),
            argv[2 + 2 * i]);
    REQUIRE(shown[i].total == std::strtoull(argv[3 + 2 * i], nullptr, 10), "device %zu has %zu bytes, not %s",
            i, shown[i].total, argv[3 + 2 * i]);
  }
  check_nvml(shown);
  return 0;
}

void check_selections(const std::vector<Device>& all) {
  std::string indices, uuids;
  std::vector<Device> reversed(all.rbegin(), all.rend());
  for (size_t i = all.size(); i-- > 0;) {
    indices += std::to_string(i) + (i > 0 ? "," : "");
    uuids += all[i].uuid + (i > 0 ? "," : "");
  }
  check_visible(indices, reversed);
  check_visible(uuids, reversed);
  for (size_t i = 0; i < all.size(); ++i) {
    check_visible(std::to_string(i), {all[i]});
    check_visible(all[i].uuid, {all[i]});
  }
  // The list ends at the first entry that names no device.
  check_visible("0," + std::to_string(all.size()) + ",0", {all[0]});
  check_visible(all.back().uuid + ",GPU-00000000-dead", {all.back()});
  check_visible(std::to_string(all.size()), {});
}

}  // namespace

int main(int argc, char** argv) {
  if (argc > 1 && std::strcmp(argv[1], kChild) == 0) return child_main(argc, argv);
  CU_CHECK(cuInit(0));
  const std::vector<Device> all = devices();
  for (size_t i = 0; i < all.size(); ++i) {
    for (size_t j = 0; j < i; ++j) REQUIRE(all[i].uuid != all[j].uuid, "devices %zu and %zu are one", i, j);
  }
  check_nvml(all);
  check_selections(all);
  if (argc > 1) {
    REQUIRE(all.size() == static_cast<size_t>(argc - 1), "%zu devices, not %d", all.size(), argc - 1);
    for (size_t i = 0; i < all.size(); ++i) {
      const size_t expected = std::strtoull(argv[i + 1], nullptr, 10);
      REQUIRE(all[i].total == expected, "device %zu has %zu bytes, not %zu", i, all[i].total, expected);
    }
    check_limits(all);
  }
  return check::pass("%zu devices, in order, by index and UUID", all.size());
}
