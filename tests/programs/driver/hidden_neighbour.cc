// A program in a slice of one GPU, whose driver knows a second one in whose memory something may be kept: no
// call shows it, or takes its number.
#include <cstdlib>
#include <string>

#include "driver_check.h"

namespace {

constexpr CUdevice kOther = 1;  // as the driver would number it

void check_queries() {
  int count = 0, value = 0, major = 0;
  size_t bytes = 0;
  CUdevice device = 0;
  CUuuid uuid{};
  char text[64];
  CU_CHECK(cuDeviceGetCount(&count));
  REQUIRE(count == 1, "%d devices are seen", count);
  CU_EXPECT(CUDA_ERROR_INVALID_DEVICE, cuDeviceGet(&device, kOther));
  CU_EXPECT(CUDA_ERROR_INVALID_DEVICE, cuDeviceGetName(text, sizeof text, kOther));
  CU_EXPECT(CUDA_ERROR_INVALID_DEVICE, cuDeviceGetUuid_v2(&uuid, kOther));
  CU_EXPECT(CUDA_ERROR_INVALID_DEVICE, cuDeviceTotalMem_v2(&bytes, kOther));
  CU_EXPECT(CUDA_ERROR_INVALID_DEVICE,
            cuDeviceGetAttribute(&value, CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT, kOther));
  CU_EXPECT(CUDA_ERROR_INVALID_DEVICE, cuDeviceComputeCapability(&major, &value, kOther));
  CU_EXPECT(CUDA_ERROR_INVALID_DEVICE, cuDeviceCanAccessPeer(&value, 0, kOther));
  const char* visible = getenv("CUDA_VISIBLE_DEVICES");
  REQUIRE(visible != nullptr && std::string(visible).find(',') == std::string::npos, "it shows: %s",
          visible != nullptr ? visible : "everything");
}

void check_contexts() {
  CUcontext context = nullptr;
  CU_EXPECT(CUDA_ERROR_INVALID_DEVICE, cuCtxCreate_v2(&context, 0, kOther));
  CU_EXPECT(CUDA_ERROR_INVALID_DEVICE, cuDevicePrimaryCtxRetain(&context, kOther));
}

void check_memory() {
  CUmemAllocationProp properties{};
  properties.type = CU_MEM_ALLOCATION_TYPE_PINNED;
  properties.location = {CU_MEM_LOCATION_TYPE_DEVICE, kOther};
  CUmemGenericAllocationHandle granule = 0;
  size_t unit = 0;
  CU_EXPECT(CUDA_ERROR_INVALID_DEVICE, cuMemCreate(&granule, size_t{2} << 20, &properties, 0));
  CU_EXPECT(CUDA_ERROR_INVALID_DEVICE,
            cuMemGetAllocationGranularity(&unit, &properties, CU_MEM_ALLOC_GRANULARITY_MINIMUM));
  CUmemPoolProps pool_properties{};
  pool_properties.allocType = CU_MEM_ALLOCATION_TYPE_PINNED;
  pool_properties.location = properties.location;
  CUmemoryPool pool = nullptr;
  CU_EXPECT(CUDA_ERROR_INVALID_DEVICE, cuMemPoolCreate(&pool, &pool_properties));
  CU_EXPECT(CUDA_ERROR_INVALID_DEVICE, cuDeviceGetDefaultMemPool(&pool, kOther));

  // On its own device, for both.
  properties.location.id = 0;
  CUdeviceptr address = 0;
  CU_CHECK(cuMemCreate(&granule, size_t{2} << 20, &properties, 0));
  CU_CHECK(cuMemAddressReserve(&address, size_t{2} << 20, 0, 0, 0));
  CU_CHECK(cuMemMap(address, size_t{2} << 20, 0, granule, 0));
  const CUmemAccessDesc both[] = {
      {{CU_MEM_LOCATION_TYPE_DEVICE, 0}, CU_MEM_ACCESS_FLAGS_PROT_READWRITE},
      {{CU_MEM_LOCATION_TYPE_DEVICE, kOther}, CU_MEM_ACCESS_FLAGS_PROT_READWRITE}};
  CU_EXPECT(CUDA_ERROR_INVALID_DEVICE, cuMemSetAccess(address, size_t{2} << 20, both, 2));
  CU_CHECK(cuMemSetAccess(address, size_t{2} << 20, both, 1));
  CU_CHECK(cuMemUnmap(address, size_t{2} << 20));
  CU_CHECK(cuMemRelease(granule));
  CU_CHECK(cuMemAddressFree(address, size_t{2} << 20));
}

}  // namespace

int main() {
  const check::Context context;
  check_queries();
  check_contexts();
  check_memory();
  return check::pass("no call knows of the other device");
}
