// Where in the machine a GPU is: which NUMA node's memory and processors are nearest to it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "node/inventory.h"
#include "node/topology/machine.h"

namespace tessera::node {

struct GpuPlace {
  enum class Kind : uint8_t {
    kNode,        // nearest to one node
    kSeveral,     // no node is nearer than another
    kHostMemory,  // a software GPU: its memory is the host's, wherever the system puts it
    kUnknown,     // the machine has no PCI device of that address, as in some containers
  };
  Kind kind = Kind::kUnknown;
  std::optional<uint32_t> node;  // kNode
  std::string cpus;              // that are nearest; empty: no choice of them
};
// Stable name of a kind: "node", "several", "host_memory", "unknown".
const char* place_name(GpuPlace::Kind kind);

// Gpu::pci, of a driver of that kind (Inventory::driver_kind).
GpuPlace place_of(const Machine& machine, const std::string& driver_kind, const std::string& pci);

// The node on which a process that uses the GPU best has its buffers and the threads that copy; none where
// it makes no difference: on one node, or where no node is nearer.
std::optional<int32_t> node_to_use(const Machine& machine, const std::string& driver_kind,
                                   const std::string& pci);

}  // namespace tessera::node
