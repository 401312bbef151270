// Initialisation and devices: answered from what the server said at the beginning.
#include <algorithm>
#include <cstring>

#include "cuda/result_names.h"
#include "remote/client/connection.h"
#include "remote/client/installs.h"
#include "remote/client/request.h"
#include "remote/client/servers.h"
#include "remote/rpc.h"

namespace tessera::remote {
namespace {

CUresult init(unsigned int flags) {
  if (is_forked_from_one_with_cuda()) return CUDA_ERROR_NOT_INITIALIZED;
  const ServerInfo* info = server_info();
  if (info == nullptr) return CUDA_ERROR_NO_DEVICE;
  if (flags != 0) return CUDA_ERROR_INVALID_VALUE;
  if (info->init_result == CUDA_SUCCESS) set_initialised();
  return info->init_result;
}

CUresult driver_get_version(int* version) {
  if (version == nullptr) return CUDA_ERROR_INVALID_VALUE;
  const ServerInfo* info = server_info();
  if (info == nullptr || info->init_result != CUDA_SUCCESS) return CUDA_ERROR_NO_DEVICE;
  *version = info->driver_version;
  return CUDA_SUCCESS;
}

template <typename Answer>
CUresult with_device(const void* place, CUdevice device, Answer answer) {
  if (!is_initialised()) return CUDA_ERROR_NOT_INITIALIZED;
  const RemoteDevice* found = server_info()->device(device);
  if (found == nullptr) return CUDA_ERROR_INVALID_DEVICE;
  if (place == nullptr) return CUDA_ERROR_INVALID_VALUE;
  return answer(*found);
}

CUresult device_get(CUdevice* device, int ordinal) {
  return with_device(device, ordinal, [&](const RemoteDevice&) {
    *device = ordinal;
    return CUDA_SUCCESS;
  });
}

CUresult device_get_count(int* count) {
  if (!is_initialised()) return CUDA_ERROR_NOT_INITIALIZED;
  if (count == nullptr) return CUDA_ERROR_INVALID_VALUE;
  *count = static_cast<int>(server_info()->devices.size());
  return CUDA_SUCCESS;
}

CUresult device_get_name(char* name, int length, CUdevice device) {
  return with_device(name, device, [&](const RemoteDevice& found) -> CUresult {
    if (length <= 0) return CUDA_ERROR_INVALID_VALUE;
    const size_t bytes = std::min<size_t>(found.name.size(), static_cast<size_t>(length) - 1);
    memcpy(name, found.name.data(), bytes);
    name[bytes] = '\0';
    return CUDA_SUCCESS;
  });
}

CUresult device_get_uuid(CUuuid* uuid, CUdevice device) {
  return with_device(uuid, device, [&](const RemoteDevice& found) {
    *uuid = found.uuid;
    return CUDA_SUCCESS;
  });
}

CUresult device_total_mem(size_t* bytes, CUdevice device) {
  return with_device(bytes, device, [&](const RemoteDevice& found) {
    *bytes = found.total_bytes;
    return CUDA_SUCCESS;
  });
}

// What holds on one machine only is said as it is across the wire.
int over_the_wire(CUdevice_attribute attribute, int value) {
  switch (attribute) {
    case CU_DEVICE_ATTRIBUTE_CONCURRENT_MANAGED_ACCESS:  // coherent at synchronisation points
    case CU_DEVICE_ATTRIBUTE_PAGEABLE_MEMORY_ACCESS:     // the program's memory is elsewhere
    case CU_DEVICE_ATTRIBUTE_PAGEABLE_MEMORY_ACCESS_USES_HOST_PAGE_TABLES:
    case CU_DEVICE_ATTRIBUTE_DIRECT_MANAGED_MEM_ACCESS_FROM_HOST:
    case CU_DEVICE_ATTRIBUTE_HOST_NATIVE_ATOMIC_SUPPORTED:
    case CU_DEVICE_ATTRIBUTE_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR_SUPPORTED:  // descriptors do not travel
      return 0;
    case CU_DEVICE_ATTRIBUTE_COOPERATIVE_MULTI_DEVICE_LAUNCH:  // devices of two servers share no memory
      return has_several_servers() ? 0 : value;
    default:
      return value;
  }
}

CUresult device_get_attribute(int* value, CUdevice_attribute attribute, CUdevice device) {
  return with_device(value, device, [&](const RemoteDevice& found) -> CUresult {
    const auto index = static_cast<size_t>(attribute);
    if (index >= found.attributes.size() || found.has_attribute[index] == 0) return CUDA_ERROR_INVALID_VALUE;
    *value = over_the_wire(attribute, found.attributes[index]);
    return CUDA_SUCCESS;
  });
}

CUresult device_compute_capability(int* major, int* minor, CUdevice device) {
  if (minor == nullptr) return CUDA_ERROR_INVALID_VALUE;
  const CUresult result = device_get_attribute(major, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, device);
  return result != CUDA_SUCCESS
             ? result
             : device_get_attribute(minor, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR, device);
}

// Devices of two servers are no peers: copies between them go through the program's machine.
CUresult can_access_peer(int* can, CUdevice device, CUdevice peer) {
  return with_device(can, device, [&](const RemoteDevice& found) -> CUresult {
    const RemoteDevice* other = server_info()->device(peer);
    if (other == nullptr) return CUDA_ERROR_INVALID_DEVICE;
    if (other->server == found.server) return rpc::cuDeviceCanAccessPeer(false, can, device, peer);
    *can = 0;
    return CUDA_SUCCESS;
  });
}

CUresult get_p2p_attribute(int* value, CUdevice_P2PAttribute attribute, CUdevice device, CUdevice peer) {
  return with_device(value, device, [&](const RemoteDevice& found) -> CUresult {
    const RemoteDevice* other = server_info()->device(peer);
    if (other == nullptr) return CUDA_ERROR_INVALID_DEVICE;
    if (other->server == found.server)
      return rpc::cuDeviceGetP2PAttribute(false, value, attribute, device, peer);
    *value = 0;
    return CUDA_SUCCESS;
  });
}

// The first that has it.
CUresult device_get_by_pci_bus_id(CUdevice* device, const char* id) {
  if (!is_initialised()) return CUDA_ERROR_NOT_INITIALIZED;
  if (device == nullptr || id == nullptr) return CUDA_ERROR_INVALID_VALUE;
  CUresult result = CUDA_ERROR_INVALID_DEVICE;
  for (unsigned server = 0; server < server_count(); ++server) {
    Request request(Op::cuDeviceGetByPCIBusId, false);
    result = request.to(server).want(device).text(id).run();
    request.take_device(device);
    if (result == CUDA_SUCCESS) break;
  }
  return result;
}

CUresult get_error_name(CUresult error, const char** name) {
  if (name == nullptr) return CUDA_ERROR_INVALID_VALUE;
  *name = cuda::result_name(error);
  return *name == nullptr ? CUDA_ERROR_INVALID_VALUE : CUDA_SUCCESS;
}

CUresult get_error_string(CUresult error, const char** text) {
  if (text == nullptr) return CUDA_ERROR_INVALID_VALUE;
  *text = cuda::result_description(error);
  return *text == nullptr ? CUDA_ERROR_INVALID_VALUE : CUDA_SUCCESS;
}

}  // namespace

void install_device_calls(cuda::DriverTable& table) {
  table.cuInit = init;
  table.cuDriverGetVersion = driver_get_version;
  table.cuDeviceGet = device_get;
  table.cuDeviceGetCount = device_get_count;
  table.cuDeviceGetName = device_get_name;
  table.cuDeviceGetUuid = device_get_uuid;
  table.cuDeviceGetUuid_v2 = device_get_uuid;
  table.cuDeviceTotalMem_v2 = device_total_mem;
  table.cuDeviceGetAttribute = device_get_attribute;
  table.cuDeviceCanAccessPeer = can_access_peer;
  table.cuDeviceGetP2PAttribute = get_p2p_attribute;
  table.cuDeviceGetByPCIBusId = device_get_by_pci_bus_id;
  table.cuDeviceComputeCapability = device_compute_capability;
  table.cuGetErrorName = get_error_name;
  table.cuGetErrorString = get_error_string;
}

}  // namespace tessera::remote
