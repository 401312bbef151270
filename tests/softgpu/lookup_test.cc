// What a program finds in the software GPU's libcuda.so.1 before it makes a context: functions, versions,
// tables, errors.
#include <dlfcn.h>

#include <cstring>
#include <string>

#include "cuda/abi.h"
#include "cuda/driver_table.h"
#include "tests/softgpu/loaded_library.h"
#include "tests/softgpu/private_devices.h"

namespace tessera {
namespace {

const auto* const devices = testing::AddGlobalTestEnvironment(new PrivateDevices());

LoadedLibrary& driver() {
  static LoadedLibrary library(SOFTGPU_CUDA);
  return library;
}

struct Found {
  CUresult result;
  void* function = nullptr;
  CUdriverProcAddressQueryResult status = CU_GET_PROC_ADDRESS_SYMBOL_NOT_FOUND;
};

Found find(const char* name, int version, cuuint64_t flags = 0) {
  Found found{};
  found.function = reinterpret_cast<void*>(0x1);
  found.result = LOADED(driver(), cuGetProcAddress_v2)(name, &found.function, version, flags, &found.status);
  return found;
}

TEST(Lookup, EveryFunctionIsExportedAndFoundByName) {
  for (const cuda::ApiEntry& entry : cuda::kDriverEntries) {
    void* exported = driver().symbol(entry.symbol);
    ASSERT_NE(exported, nullptr) << entry.symbol;
    const cuuint64_t flags =
        entry.per_thread ? CU_GET_PROC_ADDRESS_PER_THREAD_DEFAULT_STREAM : CU_GET_PROC_ADDRESS_DEFAULT;
    const Found found = find(entry.name, entry.since, flags);
    EXPECT_EQ(found.result, CUDA_SUCCESS) << entry.symbol;
    EXPECT_EQ(found.function, exported) << entry.symbol;
  }
}

TEST(Lookup, TheVersionDecidesWhatANameMeans) {
  EXPECT_EQ(find("cuMemAlloc", 2000).function, driver().symbol("cuMemAlloc"));
  EXPECT_EQ(find("cuMemAlloc", 13000).function, driver().symbol("cuMemAlloc_v2"));
  const Found early = find("cuMemAllocAsync", 11000);
  EXPECT_EQ(early.result, CUDA_ERROR_NOT_FOUND);
  EXPECT_EQ(early.status, CU_GET_PROC_ADDRESS_VERSION_NOT_SUFFICIENT);
  EXPECT_EQ(early.function, nullptr);
}

TEST(Lookup, TheFlagDecidesWhatStreamZeroMeans) {
  EXPECT_EQ(find("cuLaunchKernel", 13000, CU_GET_PROC_ADDRESS_PER_THREAD_DEFAULT_STREAM).function,
            driver().symbol("cuLaunchKernel_ptsz"));
  EXPECT_EQ(find("cuLaunchKernel", 13000, CU_GET_PROC_ADDRESS_LEGACY_STREAM).function,
            driver().symbol("cuLaunchKernel"));
  EXPECT_EQ(find("cuInit", 13000, CU_GET_PROC_ADDRESS_PER_THREAD_DEFAULT_STREAM).function,
            driver().symbol("cuInit"));
}

TEST(Lookup, AnswersTheRuntimesFirstQuestion) {
  const Found first = find("", 0);
  EXPECT_EQ(first.result, CUDA_SUCCESS);
  EXPECT_EQ(first.function, driver().symbol("cuGetProcAddress_v2"));
}

TEST(Lookup, RefusesWhatItDoesNotKnow) {
  const Found unknown = find("cuNoSuchFunction", 13000);
  EXPECT_EQ(unknown.result, CUDA_ERROR_NOT_FOUND);
  EXPECT_EQ(unknown.status, CU_GET_PROC_ADDRESS_SYMBOL_NOT_FOUND);
  EXPECT_EQ(unknown.function, nullptr);
  EXPECT_EQ(find("cuInit", 13000, 3).result, CUDA_ERROR_INVALID_VALUE);
  EXPECT_EQ(find(nullptr, 13000).result, CUDA_ERROR_INVALID_VALUE);
}

TEST(Version, IsThatOfCuda13) {
  int version = 0;
  EXPECT_EQ(LOADED(driver(), cuDriverGetVersion)(&version), CUDA_SUCCESS);
  EXPECT_EQ(version, 13000);
  EXPECT_EQ(LOADED(driver(), cuDriverGetVersion)(nullptr), CUDA_ERROR_INVALID_VALUE);
}

TEST(Errors, HaveNamesAndTexts) {
  const char* text = nullptr;
  EXPECT_EQ(LOADED(driver(), cuGetErrorName)(CUDA_ERROR_OUT_OF_MEMORY, &text), CUDA_SUCCESS);
  EXPECT_STREQ(text, "CUDA_ERROR_OUT_OF_MEMORY");
  EXPECT_EQ(LOADED(driver(), cuGetErrorString)(CUDA_ERROR_OUT_OF_MEMORY, &text), CUDA_SUCCESS);
  EXPECT_STREQ(text, "out of memory");
  EXPECT_EQ(LOADED(driver(), cuGetErrorName)(static_cast<CUresult>(12345), &text), CUDA_ERROR_INVALID_VALUE);
  EXPECT_EQ(text, nullptr);
}

CUuuid table_id(std::initializer_list<int> bytes) {
  CUuuid id{};
  size_t i = 0;
  for (int byte : bytes) id.bytes[i++] = static_cast<char>(byte);
  return id;
}

// c693336e-1121-df11-a8c3-68f355d89593
struct ContextStorage {
  CUresult (*put)(CUcontext, void*, void*, void (*)(CUcontext, void*, void*));
  CUresult (*remove)(CUcontext, void*);
  CUresult (*get)(void**, CUcontext, void*);
};

const ContextStorage* context_storage() {
  const CUuuid id = table_id(
      {0xc6, 0x93, 0x33, 0x6e, 0x11, 0x21, 0xdf, 0x11, 0xa8, 0xc3, 0x68, 0xf3, 0x55, 0xd8, 0x95, 0x93});
  const void* table = nullptr;
  EXPECT_EQ(LOADED(driver(), cuGetExportTable)(&table, &id), CUDA_SUCCESS);
  return static_cast<const ContextStorage*>(table);
}

TEST(ExportTables, OneThatIsNotOfferedIsRefused) {
  const void* table = nullptr;
  const CUuuid unknown = table_id({1, 2, 3});
  EXPECT_EQ(LOADED(driver(), cuGetExportTable)(&table, &unknown), CUDA_ERROR_INVALID_VALUE);
}

TEST(ExportTables, ValuesLiveAsLongAsTheContext) {
  static int destroyed;
  destroyed = 0;
  ASSERT_EQ(LOADED(driver(), cuInit)(0), CUDA_SUCCESS);
  const ContextStorage* storage = context_storage();
  int first_key = 0, second_key = 0, value = 0;
  void* read = nullptr;
  EXPECT_EQ(storage->get(&read, nullptr, &first_key), CUDA_ERROR_INVALID_CONTEXT);

  CUcontext context = nullptr;
  ASSERT_EQ(LOADED(driver(), cuCtxCreate_v2)(&context, 0, 0), CUDA_SUCCESS);
  EXPECT_EQ(storage->get(&read, nullptr, &first_key), CUDA_ERROR_INVALID_HANDLE);
  auto count = [](CUcontext, void*, void*) { ++destroyed; };
  EXPECT_EQ(storage->put(nullptr, &first_key, &value, count), CUDA_SUCCESS);
  EXPECT_EQ(storage->put(context, &second_key, &value, count), CUDA_SUCCESS);
  for (int repeated = 0; repeated < 3; ++repeated) {
    EXPECT_EQ(storage->get(&read, context, &first_key), CUDA_SUCCESS);
    EXPECT_EQ(read, &value);
  }
  EXPECT_EQ(storage->remove(context, &second_key), CUDA_SUCCESS);
  EXPECT_EQ(storage->get(&read, nullptr, &second_key), CUDA_ERROR_INVALID_HANDLE);
  EXPECT_EQ(destroyed, 0);

  ASSERT_EQ(LOADED(driver(), cuCtxDestroy_v2)(context), CUDA_SUCCESS);
  EXPECT_EQ(destroyed, 1);  // the one that was not removed
  EXPECT_NE(storage->get(&read, context, &first_key), CUDA_SUCCESS);
}

TEST(Devices, AnswerWhatTheyAreAsked) {
  ASSERT_EQ(LOADED(driver(), cuInit)(0), CUDA_SUCCESS);
  int count = 0, value = 0;
  EXPECT_EQ(LOADED(driver(), cuDeviceGetCount)(&count), CUDA_SUCCESS);
  EXPECT_EQ(count, 2);
  char text[64] = {};
  EXPECT_EQ(LOADED(driver(), cuDeviceGetName)(text, sizeof text, 0), CUDA_SUCCESS);
  EXPECT_STREQ(text, "Tesla T4");
  EXPECT_EQ(LOADED(driver(), cuDeviceGetPCIBusId)(text, sizeof text, 1), CUDA_SUCCESS);
  CUdevice device = -1;
  EXPECT_EQ(LOADED(driver(), cuDeviceGetByPCIBusId)(&device, text), CUDA_SUCCESS);
  EXPECT_EQ(device, 1);
  auto attribute = LOADED(driver(), cuDeviceGetAttribute);
  EXPECT_EQ(attribute(&value, CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT, 1), CUDA_SUCCESS);
  EXPECT_EQ(value, 2);
  EXPECT_EQ(attribute(&value, static_cast<CUdevice_attribute>(9999), 0), CUDA_ERROR_INVALID_VALUE);
  EXPECT_EQ(attribute(&value, CU_DEVICE_ATTRIBUTE_WARP_SIZE, 2), CUDA_ERROR_INVALID_DEVICE);
  EXPECT_EQ(LOADED(driver(), cuDeviceCanAccessPeer)(&value, 0, 1), CUDA_SUCCESS);
  EXPECT_EQ(value, 1);
  EXPECT_EQ(LOADED(driver(), cuDeviceGetLuid)(text, nullptr, 0), CUDA_ERROR_NOT_SUPPORTED);
}

}  // namespace
}  // namespace tessera
