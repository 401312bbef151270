// The machine's processor packages, NUMA nodes and PCI devices, as hwloc finds them. Plain data: nothing of
// hwloc stays open.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/status.h"

namespace tessera::node {

struct Package {
  uint32_t index = 0;
  std::string model;  // of its processors; empty where the system does not tell
};

struct NumaNode {
  uint32_t index = 0;               // the system's number, from which holes may be missing
  std::optional<uint32_t> package;  // index; none where it serves several
  uint64_t bytes = 0;
  std::string cpus;  // "0-15,64-79"
};

struct PciDevice {
  std::optional<uint32_t> node;      // index; none where no node is nearer to it than others
  std::string cpus;                  // that are nearest
  std::vector<std::string> bridges;  // from the device up to the host bridge
};

// What data between two PCI devices passes, nearest first; nvidia-smi's names for it in path_name().
enum class PciPath : uint8_t {
  kSame,
  kOneBridge,   // a PCIe switch
  kBridges,     // several
  kHostBridge,  // a PCIe root
  kNode,        // between roots of one NUMA node
  kSystem,      // between NUMA nodes, or it is not known
};
const char* path_name(PciPath path);

class Machine {
 public:
  // This one, or what hwloc's own variables (HWLOC_XMLFILE, HWLOC_SYNTHETIC) put in its place.
  static Result<Machine> read();
  // hwloc's description of one that may not exist, "pack:2 [numa] core:8 pu:2", or what lstopo wrote down.
  static Result<Machine> read_synthetic(const std::string& description);
  static Result<Machine> read_xml(const std::string& xml);

  bool is_this_system() const { return is_this_system_; }
  const std::vector<Package>& packages() const { return packages_; }
  const std::vector<NumaNode>& nodes() const { return nodes_; }
  // From nodes()[i] to nodes()[j], 10 within a node; empty where the system does not tell.
  const std::vector<std::vector<uint64_t>>& distances() const { return distances_; }

  // Of any form that pci_address() knows; null where there is none.
  const PciDevice* find_pci(std::string_view address) const;
  PciPath path(std::string_view from, std::string_view to) const;

 private:
  friend class MachineReader;

  bool is_this_system_ = false;
  std::vector<Package> packages_;
  std::vector<NumaNode> nodes_;
  std::vector<std::vector<uint64_t>> distances_;
  std::map<std::string, PciDevice> devices_;  // by address
};

}  // namespace tessera::node
