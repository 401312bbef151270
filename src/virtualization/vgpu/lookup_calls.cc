// cuGetProcAddress. The program never gets the driver's own pointers: they would go past us. Whether a
// function is there, and with which status, is the driver's answer; the pointer is our export of the same
// form.
#include <algorithm>

#include "virtualization/vgpu/calls.h"

namespace tessera::vgpu {
namespace {

using cuda::DriverTable;
using Query = CUdriverProcAddressQueryResult;

constexpr const char* kNoFunction = "cuTesseraNoSuchFunction";

const void* slot(const DriverTable& table, size_t index) {
  return reinterpret_cast<const void* const*>(&table)[index];
}

// Our export in the place of the driver's own function at that address, or null where the driver exports
// none.
void* exported_for(const void* drivers_own) {
  for (size_t index = 0; index < cuda::kDriverEntriesCount; ++index) {
    if (slot(lower(), index) == drivers_own) return const_cast<void*>(slot(active_vgpu->exported(), index));
  }
  return nullptr;
}

// Our export that means what the driver's answer means, or null where we have none.
void* exported_form(const char* symbol, int version, cuuint64_t flags) {
  int driver_version = 0;
  if (lower().cuDriverGetVersion(&driver_version) != CUDA_SUCCESS) return nullptr;
  // An older driver answers with the forms it knows.
  version = std::min(version, driver_version);
  auto form = (flags & CU_GET_PROC_ADDRESS_PER_THREAD_DEFAULT_STREAM) != 0 ? cuda::StreamForm::kPerThread
                                                                           : cuda::StreamForm::kLegacy;
  for (;;) {
    cuda::Lookup found = cuda::find_driver_entry(symbol, version, form);
    if (found.status != cuda::LookupStatus::kFound) return nullptr;
    if (slot(lower(), found.index) != nullptr) {
      return const_cast<void*>(slot(active_vgpu->exported(), found.index));
    }
    version = cuda::kDriverEntries[found.index].since - 1;
  }
}

template <typename Ask>
CUresult look_up(const char* symbol, void** pfn, int version, cuuint64_t flags, Ask ask) {
  if (symbol == nullptr || pfn == nullptr) return ask(symbol);
  CUresult result = ask(symbol);
  if (result != CUDA_SUCCESS || *pfn == nullptr) return result;
  void* exported = exported_form(symbol, version, flags);
  // A name that only the driver understands, as the empty one of the runtime's first question.
  if (exported == nullptr) exported = exported_for(*pfn);
  // Unknown to us: the answer is the one for a function that does not exist.
  if (exported == nullptr) {
    result = ask(kNoFunction);
    *pfn = nullptr;
    return result;
  }
  *pfn = exported;
  return CUDA_SUCCESS;
}

CUresult get_proc_address_v2(const char* symbol, void** pfn, int version, cuuint64_t flags, Query* status) {
  return look_up(symbol, pfn, version, flags, [&](const char* name) {
    return lower().cuGetProcAddress_v2(name, pfn, version, flags, status);
  });
}

CUresult get_proc_address(const char* symbol, void** pfn, int version, cuuint64_t flags) {
  return look_up(symbol, pfn, version, flags,
                 [&](const char* name) { return lower().cuGetProcAddress(name, pfn, version, flags); });
}

}  // namespace

void install_lookup_calls(DriverTable& upper, const DriverTable& lower) {
  replace<&DriverTable::cuGetProcAddress_v2, &get_proc_address_v2>(upper, lower);
  replace<&DriverTable::cuGetProcAddress, &get_proc_address>(upper, lower);
}

}  // namespace tessera::vgpu
