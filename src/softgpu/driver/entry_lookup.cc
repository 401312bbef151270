// Finding functions and tables, versions, names of errors: what works without cuInit.
#include <cstring>

#include "cuda/abi.h"
#include "cuda/api_entry.h"
#include "cuda/driver_table.h"
#include "cuda/result_names.h"
#include "softgpu/device/version.h"
#include "softgpu/driver/entry.h"
#include "softgpu/driver/export_tables.h"

namespace tessera::softgpu {

extern const cuda::DriverTable
    kOwnDriverTable;  // generated: our own functions, in the order of kDriverEntries

namespace {

const void* own_function(size_t index) {
  void* address = nullptr;  // all members are function pointers
  memcpy(&address, reinterpret_cast<const char*>(&kOwnDriverTable) + index * sizeof(void*), sizeof address);
  return address;
}

cuda::Lookup look_up(const char* symbol, int version, cuda::StreamForm form) {
  // The runtime asks for "" at version 0 to learn how to ask: with this very function.
  if (*symbol == '\0' && version == 0) return cuda::find_driver_symbol("cuGetProcAddress_v2");
  return cuda::find_driver_entry(symbol, version, form);
}

CUdriverProcAddressQueryResult status_of(cuda::LookupStatus status) {
  switch (status) {
    case cuda::LookupStatus::kFound:
      return CU_GET_PROC_ADDRESS_SUCCESS;
    case cuda::LookupStatus::kNotFound:
      return CU_GET_PROC_ADDRESS_SYMBOL_NOT_FOUND;
    case cuda::LookupStatus::kVersionTooOld:
      return CU_GET_PROC_ADDRESS_VERSION_NOT_SUFFICIENT;
  }
  return CU_GET_PROC_ADDRESS_SYMBOL_NOT_FOUND;
}

CUresult get_proc_address(const char* symbol, void** function, int version, cuuint64_t flags,
                          CUdriverProcAddressQueryResult* status) {
  if (symbol == nullptr || function == nullptr || flags > CU_GET_PROC_ADDRESS_PER_THREAD_DEFAULT_STREAM) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  if (version > kDriverVersion) return CUDA_ERROR_INVALID_VALUE;  // as cuda.h has it: the driver is too old
  const cuda::Lookup found = look_up(symbol, version, static_cast<cuda::StreamForm>(flags));
  const bool ok = found.status == cuda::LookupStatus::kFound;
  *function = ok ? const_cast<void*>(own_function(found.index)) : nullptr;
  if (status != nullptr) *status = status_of(found.status);
  // Who asks for the status reads the outcome there, but CUDA returns the error all the same.
  return ok ? CUDA_SUCCESS : CUDA_ERROR_NOT_FOUND;
}

CUresult give_text(const char* text, const char** result) {
  if (result == nullptr) return CUDA_ERROR_INVALID_VALUE;
  *result = text;  // null for an error that CUDA does not define
  return text != nullptr ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

}  // namespace
}  // namespace tessera::softgpu

using namespace tessera::softgpu;  // NOLINT(google-build-using-namespace): the definitions below are C
                                   // functions

extern "C" {

CUresult cuGetProcAddress_v2(const char* symbol, void** pfn, int cudaVersion, cuuint64_t flags,
                             CUdriverProcAddressQueryResult* symbolStatus) {
  return guarded([&] { return get_proc_address(symbol, pfn, cudaVersion, flags, symbolStatus); });
}

CUresult cuGetProcAddress(const char* symbol, void** pfn, int cudaVersion, cuuint64_t flags) {
  return guarded([&] { return get_proc_address(symbol, pfn, cudaVersion, flags, nullptr); });
}

CUresult cuDriverGetVersion(int* driverVersion) {
  if (driverVersion == nullptr) return CUDA_ERROR_INVALID_VALUE;
  *driverVersion = kDriverVersion;
  return CUDA_SUCCESS;
}

CUresult cuGetErrorName(CUresult error, const char** pStr) {
  return give_text(tessera::cuda::result_name(error), pStr);
}

CUresult cuGetErrorString(CUresult error, const char** pStr) {
  return give_text(tessera::cuda::result_description(error), pStr);
}

CUresult cuGetExportTable(const void** ppExportTable, const CUuuid* pExportTableId) {
  return guarded([&] {
    if (ppExportTable == nullptr || pExportTableId == nullptr) return CUDA_ERROR_INVALID_VALUE;
    const void* table = export_table(*pExportTableId);
    if (table == nullptr) return CUDA_ERROR_INVALID_VALUE;
    *ppExportTable = table;
    return CUDA_SUCCESS;
  });
}

}  // extern "C"
