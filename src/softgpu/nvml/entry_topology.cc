// How devices lie among each other, processors and memory.
#include <unistd.h>

#include <algorithm>

#include "common/fd.h"
#include "common/index_set.h"
#include "common/strings.h"
#include "softgpu/nvml/entry.h"

namespace tessera::softgpu {
namespace {

// Runs `body(first, second)`.
template <typename Body>
nvmlReturn_t on_pair(nvmlDevice_t first, nvmlDevice_t second, Body&& body) {
  return on_device(first, [&](const ObservedDevice& one) {
    return on_device(second, [&](const ObservedDevice& other) { return body(one, other); });
  });
}

// As `words` words of one bit for each member.
nvmlReturn_t give_set(const IndexSet& set, unsigned int words, unsigned long* to) {
  constexpr uint32_t kBits = 8 * sizeof(unsigned long);
  const std::vector<uint32_t> members = set.members();
  if (to == nullptr || words == 0) return NVML_ERROR_INVALID_ARGUMENT;
  if (uint64_t{words} * kBits <= members.back()) return NVML_ERROR_INSUFFICIENT_SIZE;
  std::fill_n(to, words, 0ul);
  for (uint32_t member : members) to[member / kBits] |= 1ul << (member % kBits);
  return NVML_SUCCESS;
}

IndexSet processors() {
  return IndexSet::below(static_cast<uint32_t>(std::max(sysconf(_SC_NPROCESSORS_CONF), 1L)));
}

// Of the machine; one where it does not say.
IndexSet memory_nodes() {
  constexpr size_t kMostBytes = 4096;
  auto text = read_file("/sys/devices/system/node/online", kMostBytes);
  if (!text.ok()) return IndexSet::below(1);
  auto nodes = IndexSet::parse(trim(*text));
  return nodes.ok() && !nodes->empty() ? *nodes : IndexSet::below(1);
}

bool is_scope(unsigned int scope) {
  return scope == NVML_AFFINITY_SCOPE_NODE || scope == NVML_AFFINITY_SCOPE_SOCKET;
}

// All devices, and how many there are; the array may be too small for them.
nvmlReturn_t give_all_devices(unsigned int* count, nvmlDevice_t* devices) {
  if (count == nullptr || (*count > 0 && devices == nullptr)) return NVML_ERROR_INVALID_ARGUMENT;
  unsigned int all = 0;
  const nvmlReturn_t result = Observer::instance().count(&all);
  if (result != NVML_SUCCESS) return result;
  const unsigned int given = std::min(*count, all);
  for (unsigned int i = 0; i < given; ++i) Observer::instance().handle(i, &devices[i]);
  *count = *count == 0 ? all : given;
  return NVML_SUCCESS;
}

}  // namespace
}  // namespace tessera::softgpu

using namespace tessera::softgpu;  // NOLINT(google-build-using-namespace): the definitions below are C
                                   // functions

extern "C" {

nvmlReturn_t nvmlDeviceOnSameBoard(nvmlDevice_t device1, nvmlDevice_t device2, int* onSameBoard) {
  return on_pair(device1, device2, [&](const ObservedDevice& one, const ObservedDevice& other) {
    return give(onSameBoard, one.index == other.index ? 1 : 0);
  });
}

// All devices lie in the memory of the machine, none nearer to another than the rest.
nvmlReturn_t nvmlDeviceGetTopologyCommonAncestor(nvmlDevice_t device1, nvmlDevice_t device2,
                                                 nvmlGpuTopologyLevel_t* pathInfo) {
  return on_pair(device1, device2, [&](const ObservedDevice& one, const ObservedDevice& other) {
    return give(pathInfo, one.index == other.index ? NVML_TOPOLOGY_INTERNAL : NVML_TOPOLOGY_SYSTEM);
  });
}

nvmlReturn_t nvmlDeviceGetTopologyNearestGpus(nvmlDevice_t device, nvmlGpuTopologyLevel_t level,
                                              unsigned int* count, nvmlDevice_t* deviceArray) {
  return on_device(device, [&](const ObservedDevice& found) -> nvmlReturn_t {
    if (count == nullptr || (*count > 0 && deviceArray == nullptr)) return NVML_ERROR_INVALID_ARGUMENT;
    unsigned int devices = 0;
    const nvmlReturn_t result = Observer::instance().count(&devices);
    if (result != NVML_SUCCESS) return result;
    const unsigned int near = level == NVML_TOPOLOGY_SYSTEM ? devices - 1 : 0;
    const unsigned int room = *count;
    unsigned int given = 0;
    for (unsigned int i = 0; i < devices && given < std::min(room, near); ++i) {
      if (i == static_cast<unsigned int>(found.index)) continue;
      Observer::instance().handle(i, &deviceArray[given++]);
    }
    *count = room == 0 ? near : given;
    return NVML_SUCCESS;
  });
}

// Devices read, write and lock each other's memory; there is no NVLink.
nvmlReturn_t nvmlDeviceGetP2PStatus(nvmlDevice_t device1, nvmlDevice_t device2,
                                    nvmlGpuP2PCapsIndex_t p2pIndex, nvmlGpuP2PStatus_t* p2pStatus) {
  return on_pair(device1, device2, [&](const ObservedDevice&, const ObservedDevice&) {
    if (p2pIndex >= NVML_P2P_CAPS_INDEX_UNKNOWN) return NVML_ERROR_INVALID_ARGUMENT;
    const bool can = p2pIndex == NVML_P2P_CAPS_INDEX_READ || p2pIndex == NVML_P2P_CAPS_INDEX_WRITE ||
                     p2pIndex == NVML_P2P_CAPS_INDEX_ATOMICS;
    return give(p2pStatus, can ? NVML_P2P_STATUS_OK : NVML_P2P_STATUS_NOT_SUPPORTED);
  });
}

// Every device is as near to a processor as any other.
nvmlReturn_t nvmlSystemGetTopologyGpuSet(unsigned int cpuNumber, unsigned int* count,
                                         nvmlDevice_t* deviceArray) {
  if (!tessera::softgpu::processors().contains(cpuNumber)) return NVML_ERROR_INVALID_ARGUMENT;
  return give_all_devices(count, deviceArray);
}

nvmlReturn_t nvmlDeviceGetCpuAffinity(nvmlDevice_t device, unsigned int cpuSetSize, unsigned long* cpuSet) {
  return on_device(device, [&](const ObservedDevice&) { return give_set(processors(), cpuSetSize, cpuSet); });
}

nvmlReturn_t nvmlDeviceGetCpuAffinityWithinScope(nvmlDevice_t device, unsigned int cpuSetSize,
                                                 unsigned long* cpuSet, unsigned int scope) {
  return on_device(device, [&](const ObservedDevice&) {
    return is_scope(scope) ? give_set(processors(), cpuSetSize, cpuSet) : NVML_ERROR_INVALID_ARGUMENT;
  });
}

// Device memory is the machine's, wherever that lies.
nvmlReturn_t nvmlDeviceGetMemoryAffinity(nvmlDevice_t device, unsigned int nodeSetSize,
                                         unsigned long* nodeSet, unsigned int scope) {
  return on_device(device, [&](const ObservedDevice&) {
    return is_scope(scope) ? give_set(memory_nodes(), nodeSetSize, nodeSet) : NVML_ERROR_INVALID_ARGUMENT;
  });
}

}  // extern "C"
