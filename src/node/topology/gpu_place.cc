#include "node/topology/gpu_place.h"

#include "virtualization/driver_locator.h"

namespace tessera::node {

const char* place_name(GpuPlace::Kind kind) {
  switch (kind) {
    case GpuPlace::Kind::kNode:
      return "node";
    case GpuPlace::Kind::kSeveral:
      return "several";
    case GpuPlace::Kind::kHostMemory:
      return "host_memory";
    case GpuPlace::Kind::kUnknown:
      break;
  }
  return "unknown";
}

// A software GPU has a PCI address for programs to tell GPUs apart by, and is on no bus.
GpuPlace place_of(const Machine& machine, const std::string& driver_kind, const std::string& pci) {
  if (driver_kind == vgpu::driver_kind_name(vgpu::DriverKind::kSoftware))
    return {GpuPlace::Kind::kHostMemory, std::nullopt, ""};
  const PciDevice* device = machine.find_pci(pci);
  if (device == nullptr) return {GpuPlace::Kind::kUnknown, std::nullopt, ""};
  return {device->node ? GpuPlace::Kind::kNode : GpuPlace::Kind::kSeveral, device->node, device->cpus};
}

std::optional<int32_t> node_to_use(const Machine& machine, const std::string& driver_kind,
                                   const std::string& pci) {
  if (machine.nodes().size() < 2 || !machine.is_this_system()) return std::nullopt;
  const std::optional<uint32_t> node = place_of(machine, driver_kind, pci).node;
  return node ? std::optional<int32_t>(static_cast<int32_t>(*node)) : std::nullopt;
}

}  // namespace tessera::node
