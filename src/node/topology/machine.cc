#include "node/topology/machine.h"

#include <hwloc.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <memory>

#include "common/strings.h"
#include "node/topology/pci_address.h"

namespace tessera::node {

const char* path_name(PciPath path) {
  switch (path) {
    case PciPath::kSame:
      return "X";
    case PciPath::kOneBridge:
      return "PIX";
    case PciPath::kBridges:
      return "PXB";
    case PciPath::kHostBridge:
      return "PHB";
    case PciPath::kNode:
      return "NODE";
    case PciPath::kSystem:
      break;
  }
  return "SYS";
}

const PciDevice* Machine::find_pci(std::string_view address) const {
  const auto found = devices_.find(pci_address(address));
  return found == devices_.end() ? nullptr : &found->second;
}

PciPath Machine::path(std::string_view from, std::string_view to) const {
  if (pci_address(from) == pci_address(to)) return PciPath::kSame;
  const PciDevice *a = find_pci(from), *b = find_pci(to);
  if (a == nullptr || b == nullptr) return PciPath::kSystem;
  const auto shared =
      std::find_first_of(a->bridges.begin(), a->bridges.end(), b->bridges.begin(), b->bridges.end());
  if (shared == a->bridges.end()) return a->node && a->node == b->node ? PciPath::kNode : PciPath::kSystem;
  if (shared + 1 == a->bridges.end()) return PciPath::kHostBridge;
  const bool direct = shared == a->bridges.begin() && *shared == b->bridges.front();
  return direct ? PciPath::kOneBridge : PciPath::kBridges;
}

// Turns what hwloc has loaded into a Machine.
class MachineReader {
 public:
  ~MachineReader() {
    if (topology_ != nullptr) hwloc_topology_destroy(topology_);
  }

  template <typename Choose>
  Result<Machine> read(Choose choose) {
    if (hwloc_topology_init(&topology_) != 0) return failed("begin");
    hwloc_topology_set_type_filter(topology_, HWLOC_OBJ_PCI_DEVICE, HWLOC_TYPE_FILTER_KEEP_IMPORTANT);
    hwloc_topology_set_type_filter(topology_, HWLOC_OBJ_BRIDGE, HWLOC_TYPE_FILTER_KEEP_ALL);
    // Plug-ins that would load drivers into this process.
    for (const char* name : {"cuda", "nvml", "opencl", "rsmi", "levelzero", "gl"})
      hwloc_topology_set_components(topology_, HWLOC_TOPOLOGY_COMPONENTS_FLAG_BLACKLIST, name);
    if (choose(topology_) != 0) return failed("understand the description of");
    if (hwloc_topology_load(topology_) != 0) return failed("look at");
    Machine machine;
    machine.is_this_system_ = hwloc_topology_is_thissystem(topology_) != 0;
    read_packages(machine);
    read_nodes(machine);
    read_distances(machine);
    read_devices(machine);
    return machine;
  }

 private:
  static Status failed(const char* what) {
    return Status::from_errno(errno, "hwloc cannot %s the machine", what);
  }

  static std::string text_of(hwloc_const_cpuset_t set) {
    char* text = nullptr;
    if (set == nullptr || hwloc_bitmap_list_asprintf(&text, set) < 0) return {};
    const std::unique_ptr<char, decltype(&std::free)> owner(text, &std::free);
    return text;
  }

  void read_packages(Machine& machine) {
    for (hwloc_obj_t one = nullptr;
         (one = hwloc_get_next_obj_by_type(topology_, HWLOC_OBJ_PACKAGE, one)) != nullptr;) {
      const char* model = hwloc_obj_get_info_by_name(one, "CPUModel");
      machine.packages_.push_back({one->os_index, std::string(trim(model == nullptr ? "" : model))});
    }
  }

  void read_nodes(Machine& machine) {
    for (hwloc_obj_t one = nullptr;
         (one = hwloc_get_next_obj_by_type(topology_, HWLOC_OBJ_NUMANODE, one)) != nullptr;) {
      NumaNode node{one->os_index, std::nullopt, one->attr->numanode.local_memory, text_of(one->cpuset)};
      const hwloc_obj_t package = hwloc_get_ancestor_obj_by_type(topology_, HWLOC_OBJ_PACKAGE, one);
      if (package != nullptr) node.package = package->os_index;
      machine.nodes_.push_back(std::move(node));
    }
  }

  void read_distances(Machine& machine) {
    unsigned count = 1;
    hwloc_distances_s* found = nullptr;
    const int result = hwloc_distances_get_by_type(topology_, HWLOC_OBJ_NUMANODE, &count, &found,
                                                   HWLOC_DISTANCES_KIND_MEANS_LATENCY, 0);
    if (result != 0 || count == 0) return;
    const size_t nodes = machine.nodes_.size();
    if (found->nbobjs == nodes) {
      machine.distances_.assign(nodes, std::vector<uint64_t>(nodes));
      for (size_t i = 0; i < nodes; ++i)
        for (size_t j = 0; j < nodes; ++j)
          machine.distances_[found->objs[i]->logical_index][found->objs[j]->logical_index] =
              found->values[i * nodes + j];
    }
    hwloc_distances_release(topology_, found);
  }

  void read_devices(Machine& machine) {
    for (hwloc_obj_t one = nullptr; (one = hwloc_get_next_pcidev(topology_, one)) != nullptr;) {
      const auto& bus = one->attr->pcidev;
      PciDevice device;
      for (hwloc_obj_t above = one->parent; above->type == HWLOC_OBJ_BRIDGE; above = above->parent)
        device.bridges.push_back(std::to_string(above->gp_index));
      const hwloc_obj_t place = hwloc_get_non_io_ancestor_obj(topology_, one);
      device.cpus = text_of(place->cpuset);
      if (place->nodeset != nullptr && hwloc_bitmap_weight(place->nodeset) == 1)
        device.node = static_cast<uint32_t>(hwloc_bitmap_first(place->nodeset));
      machine.devices_[str_format("%04x:%02x:%02x.%x", bus.domain, bus.bus, bus.dev, bus.func)] =
          std::move(device);
    }
  }

  hwloc_topology_t topology_ = nullptr;
};

Result<Machine> Machine::read() {
  return MachineReader().read([](hwloc_topology_t) { return 0; });
}

Result<Machine> Machine::read_synthetic(const std::string& description) {
  return MachineReader().read(
      [&](hwloc_topology_t topology) { return hwloc_topology_set_synthetic(topology, description.c_str()); });
}

Result<Machine> Machine::read_xml(const std::string& xml) {
  return MachineReader().read([&](hwloc_topology_t topology) {
    return hwloc_topology_set_xmlbuffer(topology, xml.c_str(), static_cast<int>(xml.size() + 1));
  });
}

}  // namespace tessera::node
