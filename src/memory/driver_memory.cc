#include "memory/driver_memory.h"

#include <algorithm>
#include <bit>

#include "cuda/result_names.h"

namespace tessera::memory {

using cuda::status_of;

Result<DriverMemory> DriverMemory::of_device(const cuda::DriverTable& driver, CUdevice device,
                                             bool exportable) {
  const bool complete = driver.cuMemAddressReserve != nullptr && driver.cuMemAddressFree != nullptr &&
                        driver.cuMemCreate != nullptr && driver.cuMemRelease != nullptr &&
                        driver.cuMemMap != nullptr && driver.cuMemUnmap != nullptr &&
                        driver.cuMemSetAccess != nullptr && driver.cuMemGetAllocationGranularity != nullptr;
  int supported = 0;
  if (complete) {
    TESSERA_RETURN_IF_ERROR(
        status_of(driver.cuDeviceGetAttribute(
                      &supported, CU_DEVICE_ATTRIBUTE_VIRTUAL_MEMORY_MANAGEMENT_SUPPORTED, device),
                  "cuDeviceGetAttribute"));
  }
  if (supported == 0) {
    return Status::error(Code::kUnsupported, "device %d has no virtual memory management", device);
  }
  CUmemAllocationProp properties{};
  properties.type = CU_MEM_ALLOCATION_TYPE_PINNED;
  properties.location = {CU_MEM_LOCATION_TYPE_DEVICE, device};
  if (exportable) properties.requestedHandleTypes = CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR;
  DriverMemory memory(driver, properties);
  size_t unit = 0;
  TESSERA_RETURN_IF_ERROR(
      status_of(driver.cuMemGetAllocationGranularity(&unit, &properties, CU_MEM_ALLOC_GRANULARITY_MINIMUM),
                "cuMemGetAllocationGranularity"));
  if (!std::has_single_bit(unit)) {
    return Status::error(Code::kUnsupported, "device %d maps memory in units of %zu bytes", device, unit);
  }
  memory.granularity_ = std::max<uint64_t>(unit, kLeastGranularity);
  return memory;
}

Result<DriverMemory> DriverMemory::of_peer(const cuda::DriverTable& driver, CUdevice device,
                                           CUdevice reader) {
  int reaches = 0;
  if (driver.cuDeviceCanAccessPeer != nullptr) {
    TESSERA_RETURN_IF_ERROR(
        status_of(driver.cuDeviceCanAccessPeer(&reaches, reader, device), "cuDeviceCanAccessPeer"));
  }
  if (reaches == 0)
    return Status::error(Code::kUnsupported, "device %d does not reach device %d's memory", reader, device);
  TESSERA_ASSIGN_OR_RETURN(DriverMemory memory, of_device(driver, device, false));
  memory.reader_.id = reader;
  return memory;
}

Result<uint64_t> DriverMemory::reserve(uint64_t bytes) {
  CUdeviceptr address = 0;
  TESSERA_RETURN_IF_ERROR(
      status_of(driver_.cuMemAddressReserve(&address, bytes, granularity_, 0, 0), "cuMemAddressReserve"));
  return address;
}

Status DriverMemory::unreserve(uint64_t address, uint64_t bytes) {
  return status_of(driver_.cuMemAddressFree(address, bytes), "cuMemAddressFree");
}

Result<DeviceMemory::Handle> DriverMemory::create() {
  CUmemGenericAllocationHandle handle = 0;
  TESSERA_RETURN_IF_ERROR(
      status_of(driver_.cuMemCreate(&handle, granularity_, &properties_, 0), "cuMemCreate"));
  return handle;
}

Status DriverMemory::release(Handle granule) {
  return status_of(driver_.cuMemRelease(granule), "cuMemRelease");
}

Status DriverMemory::map(uint64_t address, std::span<const Handle> granules) {
  Status status;
  uint64_t mapped = 0;
  while (status.ok() && mapped < granules.size()) {
    const uint64_t at = address + mapped * granularity_;
    status = status_of(driver_.cuMemMap(at, granularity_, 0, granules[mapped], 0), "cuMemMap");
    if (status.ok()) ++mapped;
  }
  if (status.ok()) {
    const CUmemAccessDesc access{reader_, CU_MEM_ACCESS_FLAGS_PROT_READWRITE};
    status = status_of(driver_.cuMemSetAccess(address, granules.size() * granularity_, &access, 1),
                       "cuMemSetAccess");
  }
  if (!status.ok() && mapped > 0) (void)driver_.cuMemUnmap(address, mapped * granularity_);
  return status;
}

Status DriverMemory::unmap(uint64_t address, uint64_t granules) {
  return status_of(driver_.cuMemUnmap(address, granules * granularity_), "cuMemUnmap");
}

}  // namespace tessera::memory
