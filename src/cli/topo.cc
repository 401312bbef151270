// tessera topo: where the GPUs are among the machine's processors and memory.
#include <algorithm>
#include <cstdio>
#include <string>
#include <vector>

#include "cli/commands.h"
#include "cli/table.h"
#include "common/size.h"
#include "node/inventory_json.h"
#include "node/topology/gpu_place.h"

namespace tessera::cli {
namespace {

using node::GpuPlace;
using node::Json;
using node::Machine;

struct PlacedGpu {
  std::string name, uuid, pci;
  GpuPlace place;
};

std::vector<PlacedGpu> placed_gpus(const Machine& machine, const Json& answer) {
  std::vector<PlacedGpu> gpus;
  for (const Json& gpu : node::json_array(answer, "gpus")) {
    PlacedGpu placed{
        node::json_string(gpu, "name"), node::json_string(gpu, "uuid"), node::json_string(gpu, "pci"), {}};
    placed.place = place_of(machine, node::json_string(gpu, "driver_kind"), placed.pci);
    gpus.push_back(std::move(placed));
  }
  return gpus;
}

// Software GPUs are on no bus: what they copy passes the host's memory alone.
std::string path_between(const Machine& machine, const PlacedGpu& from, const PlacedGpu& to) {
  if (&from == &to) return path_name(node::PciPath::kSame);
  const bool on_bus =
      from.place.kind != GpuPlace::Kind::kHostMemory && to.place.kind != GpuPlace::Kind::kHostMemory;
  return on_bus ? path_name(machine.path(from.pci, to.pci)) : "HOST";
}

Json to_json(const Machine& machine, const std::vector<PlacedGpu>& gpus) {
  Json answer;
  answer["packages"] = Json::array();
  for (const node::Package& package : machine.packages())
    answer["packages"].push_back({{"index", package.index}, {"model", package.model}});
  answer["nodes"] = Json::array();
  for (const node::NumaNode& node : machine.nodes()) {
    answer["nodes"].push_back({{"index", node.index},
                               {"package", node.package ? Json(*node.package) : Json(nullptr)},
                               {"bytes", node.bytes},
                               {"cpus", node.cpus}});
  }
  answer["distances"] = machine.distances().empty() ? Json(nullptr) : Json(machine.distances());
  answer["gpus"] = Json::array();
  answer["paths"] = Json::array();
  for (const PlacedGpu& gpu : gpus) {
    answer["gpus"].push_back({{"name", gpu.name},
                              {"uuid", gpu.uuid},
                              {"pci", gpu.pci.empty() ? Json(nullptr) : Json(gpu.pci)},
                              {"place", place_name(gpu.place.kind)},
                              {"node", gpu.place.node ? Json(*gpu.place.node) : Json(nullptr)},
                              {"cpus", gpu.place.cpus}});
    Json row = Json::array();
    for (const PlacedGpu& other : gpus) row.push_back(path_between(machine, gpu, other));
    answer["paths"].push_back(std::move(row));
  }
  return answer;
}

struct Branch {
  std::string text;
  std::vector<Branch> below{};
};

void print(const Branch& branch, const std::string& indent = "") {
  puts(branch.text.c_str());
  for (size_t i = 0; i < branch.below.size(); ++i) {
    const bool last = i + 1 == branch.below.size();
    fputs((indent + (last ? "`- " : "|- ")).c_str(), stdout);
    print(branch.below[i], indent + (last ? "   " : "|  "));
  }
}

std::string described(size_t index, const PlacedGpu& gpu) {
  std::string text = "GPU " + std::to_string(index) + ": " + gpu.name;
  if (!gpu.pci.empty()) text += ", " + gpu.pci;
  switch (gpu.place.kind) {
    case GpuPlace::Kind::kHostMemory:
      return text + " (software: its memory is the host's, of no node in particular)";
    case GpuPlace::Kind::kUnknown:
      return text + " (the system does not say where)";
    case GpuPlace::Kind::kSeveral:
      return text + " (no NUMA node is nearer to it than another)";
    case GpuPlace::Kind::kNode:
      break;
  }
  return text;
}

void print_tree(const Machine& machine, const std::vector<PlacedGpu>& gpus) {
  Branch root{"Machine"};
  auto gpus_at = [&](std::optional<uint32_t> node) {
    std::vector<Branch> found;
    for (size_t i = 0; i < gpus.size(); ++i)
      if (gpus[i].place.node == node) found.push_back({described(i, gpus[i])});
    return found;
  };
  auto nodes_of = [&](std::optional<uint32_t> package) {
    std::vector<Branch> found;
    for (const node::NumaNode& node : machine.nodes()) {
      if (node.package != package) continue;
      found.push_back({"NUMA node " + std::to_string(node.index) + ": " + format_size(node.bytes) +
                           (node.cpus.empty() ? ", no processors" : ", processors " + node.cpus),
                       gpus_at(node.index)});
    }
    return found;
  };
  for (const node::Package& package : machine.packages()) {
    const std::string model = package.model.empty() ? "" : ": " + package.model;
    root.below.push_back({"Package " + std::to_string(package.index) + model, nodes_of(package.index)});
  }
  for (Branch& branch : nodes_of(std::nullopt)) root.below.push_back(std::move(branch));
  for (Branch& branch : gpus_at(std::nullopt)) root.below.push_back(std::move(branch));
  print(root);
}

void print_matrix(const Machine& machine, const std::vector<PlacedGpu>& gpus) {
  using enum Table::Align;
  std::vector<std::string> titles;  // Table keeps the pointers
  for (size_t i = 0; i < gpus.size(); ++i) titles.push_back("GPU" + std::to_string(i));
  std::vector<Table::Column> columns{{"", kLeft}};
  for (const std::string& title : titles) columns.push_back({title.c_str(), kLeft});
  columns.push_back({"NODE", kRight});
  columns.push_back({"PROCESSORS", kLeft});
  Table table(columns);
  for (size_t i = 0; i < gpus.size(); ++i) {
    std::vector<std::string> row{titles[i]};
    for (const PlacedGpu& other : gpus) row.push_back(path_between(machine, gpus[i], other));
    row.push_back(gpus[i].place.node ? std::to_string(*gpus[i].place.node) : "-");
    row.push_back(gpus[i].place.cpus.empty() ? "-" : gpus[i].place.cpus);
    table.add(std::move(row));
  }
  table.print();
  if (gpus.size() > 1) {
    puts(
        "PIX: one PCIe switch, PXB: several, PHB: a PCIe root, NODE: roots of one NUMA node, SYS: between "
        "nodes,\n"
        "HOST: the host's memory");
  }
}

void print_distances(const Machine& machine) {
  using enum Table::Align;
  if (machine.distances().empty() || machine.nodes().size() < 2) return;
  std::vector<std::string> titles;
  for (const node::NumaNode& node : machine.nodes()) titles.push_back(std::to_string(node.index));
  std::vector<Table::Column> columns{{"DISTANCE", kLeft}};
  for (const std::string& title : titles) columns.push_back({title.c_str(), kRight});
  Table table(columns);
  for (size_t i = 0; i < titles.size(); ++i) {
    std::vector<std::string> row{titles[i]};
    for (const uint64_t distance : machine.distances()[i]) row.push_back(std::to_string(distance));
    table.add(std::move(row));
  }
  table.print();
}

void print_placement(const Machine& machine) {
  if (machine.nodes().size() < 2) {
    puts("One NUMA node: all of the machine's memory is as near to a GPU, and nothing is placed.");
  } else if (!machine.is_this_system()) {
    puts("Not this machine, but the one of HWLOC_XMLFILE or HWLOC_SYNTHETIC.");
  }
}

}  // namespace

int topo_command(const TopoOptions& options) {
  Result<Machine> machine = Machine::read();
  Result<Json> answer = machine.ok() ? ask_gpus(options.socket) : machine.status();
  if (!answer.ok()) {
    print_error("topo", answer.status());
    return kExitFailure;
  }
  const std::vector<PlacedGpu> gpus = placed_gpus(*machine, *answer);
  if (options.json) {
    puts(node::json_text(to_json(*machine, gpus), 2).c_str());
    return 0;
  }
  const bool both = options.tree == options.matrix;
  if (both || options.tree) print_tree(*machine, gpus);
  if (both) puts("");
  if (both || options.matrix) {
    print_matrix(*machine, gpus);
    print_distances(*machine);
  }
  print_placement(*machine);
  return 0;
}

}  // namespace tessera::cli
