// Finding functions and tables. All pointers are our own exports; what the server's driver lacks is not
// there.
#include <cstring>

#include "cuda/api_entry.h"
#include "cuda/runtime_tables.h"
#include "remote/client/connection.h"
#include "remote/client/contexts.h"
#include "remote/client/installs.h"
#include "remote/client/request.h"
#include "remote/rpc.h"

namespace tessera::remote {
namespace {

constinit const cuda::DriverTable* our_exports = nullptr;

// The newest form that the server's driver has, too.
cuda::Lookup look_up(const char* symbol, int version, cuda::StreamForm form, const ServerInfo& info) {
  // The runtime asks for "" at version 0 to learn how to ask: with this very function.
  if (*symbol == '\0' && version == 0) return cuda::find_driver_symbol("cuGetProcAddress_v2");
  for (;;) {
    const cuda::Lookup found = cuda::find_driver_entry(symbol, version, form);
    if (found.status != cuda::LookupStatus::kFound || info.entries[found.index] != 0) return found;
    const int older = cuda::kDriverEntries[found.index].since - 1;
    if (older <= 0 || older >= version) return {};
    version = older;
  }
}

CUresult get_proc_address_v2(const char* symbol, void** function, int version, cuuint64_t flags,
                             CUdriverProcAddressQueryResult* status) {
  const ServerInfo* info = server_info();
  if (info == nullptr || info->entries.empty()) return CUDA_ERROR_NO_DEVICE;
  if (symbol == nullptr || function == nullptr || flags > CU_GET_PROC_ADDRESS_PER_THREAD_DEFAULT_STREAM ||
      version > info->driver_version) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  const cuda::Lookup found = look_up(symbol, version, static_cast<cuda::StreamForm>(flags), *info);
  const bool is_there = found.status == cuda::LookupStatus::kFound;
  *function = is_there ? reinterpret_cast<void* const*>(our_exports)[found.index] : nullptr;
  if (status != nullptr) {
    *status = is_there ? CU_GET_PROC_ADDRESS_SUCCESS
              : found.status == cuda::LookupStatus::kVersionTooOld
                  ? CU_GET_PROC_ADDRESS_VERSION_NOT_SUFFICIENT
                  : CU_GET_PROC_ADDRESS_SYMBOL_NOT_FOUND;
  }
  return is_there ? CUDA_SUCCESS : CUDA_ERROR_NOT_FOUND;
}

CUresult get_proc_address(const char* symbol, void** function, int version, cuuint64_t flags) {
  return get_proc_address_v2(symbol, function, version, flags, nullptr);
}

// --- What is behind the runtime's tables.

CUresult primary_context(CUcontext* context, CUdevice device) {
  if (context == nullptr) return CUDA_ERROR_INVALID_VALUE;
  return primary_context_of(device, context);
}

template <typename Body>
CUresult with_number(CUcontext context, Body body) {
  if (!is_initialised()) return CUDA_ERROR_NOT_INITIALIZED;
  if (context == nullptr) context = this_thread().current();
  CUdevice device = 0;
  uint64_t number = 0;
  if (context == nullptr || !find_context(context, &device, &number)) return CUDA_ERROR_INVALID_CONTEXT;
  return body(number);
}

CUresult put(CUcontext context, void* key, void* value, cuda::StorageDestructor destructor) {
  return with_number(context, [&](uint64_t number) {
    (void)cuda::put_context_value(number, key, value, destructor);
    return CUDA_SUCCESS;
  });
}

CUresult remove(CUcontext context, void* key) {
  return with_number(context, [&](uint64_t number) { return cuda::remove_context_value(number, key); });
}

CUresult get(void** value, CUcontext context, void* key) {
  return with_number(context, [&](uint64_t number) {
    return value == nullptr ? CUDA_ERROR_INVALID_VALUE : cuda::get_context_value(number, key, value);
  });
}

int driver_version() {
  const ServerInfo* info = server_info();
  return info == nullptr ? 0 : info->driver_version;
}

int attribute_of(const RemoteDevice& device, CUdevice_attribute attribute) {
  const auto index = static_cast<size_t>(attribute);
  return index < device.attributes.size() ? device.attributes[index] : 0;
}

std::vector<cuda::HandshakeDevice> handshake_devices() {
  std::vector<cuda::HandshakeDevice> known;
  const ServerInfo* info = server_info();
  for (size_t i = 0; info != nullptr && i < info->devices.size(); ++i) {
    const RemoteDevice& device = info->devices[i];
    cuda::HandshakeDevice told;
    memcpy(told.uuid.data(), device.uuid.bytes, sizeof device.uuid.bytes);
    told.pci_domain = attribute_of(device, CU_DEVICE_ATTRIBUTE_PCI_DOMAIN_ID);
    told.pci_bus = attribute_of(device, CU_DEVICE_ATTRIBUTE_PCI_BUS_ID);
    told.pci_device = attribute_of(device, CU_DEVICE_ATTRIBUTE_PCI_DEVICE_ID);
    known.push_back(told);
  }
  return known;
}

constexpr cuda::RuntimeHooks kHooks = {primary_context, put, remove, get, driver_version, handshake_devices};

CUresult get_export_table(const void** table, const CUuuid* id) {
  if (table == nullptr || id == nullptr) return CUDA_ERROR_INVALID_VALUE;
  *table = cuda::runtime_table(*id, kHooks);
  return *table == nullptr ? CUDA_ERROR_INVALID_VALUE : CUDA_SUCCESS;
}

}  // namespace

void install_lookup_calls(cuda::DriverTable& table, const cuda::DriverTable& exported) {
  our_exports = &exported;
  table.cuGetProcAddress = get_proc_address;
  table.cuGetProcAddress_v2 = get_proc_address_v2;
  table.cuGetExportTable = get_export_table;
}

}  // namespace tessera::remote
