#include "node/topology/machine.h"

#include <gtest/gtest.h>

#include "common/fd.h"
#include "node/topology/gpu_place.h"
#include "node/topology/pci_address.h"

namespace tessera::node {
namespace {

// Two packages of one node each. Two GPUs behind one switch of package 0, a third behind another switch of
// the same root, a fourth behind a second root of package 0, a fifth at package 1, a sixth at no package.
Machine two_sockets() {
  const auto xml = read_file(TWO_SOCKETS, 1 << 16);
  EXPECT_TRUE(xml.ok()) << xml.status().message();
  Result<Machine> machine = Machine::read_xml(xml.ok() ? *xml : "");
  EXPECT_TRUE(machine.ok()) << machine.status().message();
  return machine.ok() ? *machine : Machine();
}

TEST(Machine, OfADescription) {
  const Result<Machine> machine = Machine::read_synthetic("pack:4 [numa(memory=2147483648)] core:2 pu:2");
  ASSERT_TRUE(machine.ok()) << machine.status().message();
  EXPECT_FALSE(machine->is_this_system());
  ASSERT_EQ(machine->nodes().size(), 4u);
  EXPECT_EQ(machine->packages().size(), 4u);
  EXPECT_EQ(machine->nodes()[2].package, 2u);
  EXPECT_EQ(machine->nodes()[2].cpus, "8-11");
  EXPECT_EQ(machine->nodes()[2].bytes, 2147483648u);
  EXPECT_TRUE(machine->distances().empty());
  EXPECT_EQ(machine->find_pci("0000:11:00.0"), nullptr);
}

TEST(Machine, SeveralNodesInAPackage) {
  const Result<Machine> machine = Machine::read_synthetic("pack:2 group:2 [numa] core:2 pu:1");
  ASSERT_TRUE(machine.ok());
  ASSERT_EQ(machine->nodes().size(), 4u);
  EXPECT_EQ(machine->nodes()[1].package, 0u);
  EXPECT_EQ(machine->nodes()[3].package, 1u);
}

TEST(Machine, WhatDescribesNoneIsRefused) {
  EXPECT_FALSE(Machine::read_synthetic("pack:two").ok());
  EXPECT_FALSE(Machine::read_xml("<topology").ok());
  EXPECT_FALSE(Machine::read_xml("").ok());
}

TEST(Machine, ThisOne) {
  const Result<Machine> machine = Machine::read();
  ASSERT_TRUE(machine.ok()) << machine.status().message();
  EXPECT_TRUE(machine->is_this_system());
  ASSERT_FALSE(machine->nodes().empty());
  EXPECT_GT(machine->nodes()[0].bytes, 0u);
}

TEST(Machine, OfXml) {
  const Machine machine = two_sockets();
  ASSERT_EQ(machine.nodes().size(), 2u);
  EXPECT_EQ(machine.packages()[0].model, "A processor");
  EXPECT_EQ(machine.packages()[1].model, "");
  EXPECT_EQ(machine.distances(), (std::vector<std::vector<uint64_t>>{{10, 21}, {22, 10}}));
}

TEST(Machine, DevicesAreNearANode) {
  const Machine machine = two_sockets();
  const PciDevice* device = machine.find_pci("00000000:12:00.0");
  ASSERT_NE(device, nullptr);
  EXPECT_EQ(device->node, 0u);
  EXPECT_EQ(device->cpus, "0-1");
  EXPECT_EQ(device->bridges.size(), 2u);
  ASSERT_NE(machine.find_pci("0000:30:00.0"), nullptr);
  EXPECT_EQ(machine.find_pci("0000:30:00.0")->node, 1u);
  ASSERT_NE(machine.find_pci("0001:00:00.0"), nullptr);
  EXPECT_EQ(machine.find_pci("0001:00:00.0")->node, std::nullopt);
  EXPECT_EQ(machine.find_pci("0000:11:00.1"), nullptr);
}

TEST(Machine, PathsBetweenDevices) {
  const Machine machine = two_sockets();
  const char* const first = "0000:11:00.0";
  EXPECT_EQ(machine.path(first, "00000000:11:00.0"), PciPath::kSame);
  EXPECT_EQ(machine.path(first, "0000:12:00.0"), PciPath::kOneBridge);
  EXPECT_EQ(machine.path(first, "0000:13:00.0"), PciPath::kHostBridge);
  EXPECT_EQ(machine.path(first, "0000:20:00.0"), PciPath::kNode);
  EXPECT_EQ(machine.path(first, "0000:30:00.0"), PciPath::kSystem);
  EXPECT_EQ(machine.path(first, "0001:00:00.0"), PciPath::kSystem);
  EXPECT_EQ(machine.path(first, "0000:77:00.0"), PciPath::kSystem);
  EXPECT_STREQ(path_name(PciPath::kHostBridge), "PHB");
}

TEST(Machine, AddressesOfAllForms) {
  EXPECT_EQ(pci_address("00000000:3B:00.0"), "0000:3b:00.0");
  EXPECT_EQ(pci_address("0001:3b:1f.7"), "0001:3b:1f.7");
  for (const char* wrong : {"", "3b:00.0", "0000:3b:00.0x", "0000:100:00.0", "0000:00:20.0", "0000:00:00.8"})
    EXPECT_EQ(pci_address(wrong), "") << wrong;
}

TEST(GpuPlace, NearANodeOrNot) {
  const Machine machine = two_sockets();
  const GpuPlace near = place_of(machine, "nvidia", "00000000:30:00.0");
  EXPECT_EQ(near.kind, GpuPlace::Kind::kNode);
  EXPECT_EQ(near.node, 1u);
  EXPECT_EQ(near.cpus, "2-3");
  EXPECT_EQ(place_of(machine, "nvidia", "0001:00:00.0").kind, GpuPlace::Kind::kSeveral);
  EXPECT_EQ(place_of(machine, "nvidia", "0000:77:00.0").kind, GpuPlace::Kind::kUnknown);
  EXPECT_EQ(place_of(machine, "nvidia", "").kind, GpuPlace::Kind::kUnknown);
  EXPECT_EQ(place_of(machine, "software", "0000:11:00.0").kind, GpuPlace::Kind::kHostMemory);
}

TEST(GpuPlace, AMachineOnPaperIsNotUsed) {
  EXPECT_EQ(node_to_use(two_sockets(), "nvidia", "0000:11:00.0"), std::nullopt);
  setenv("HWLOC_THISSYSTEM", "1", 1);  // hwloc: take it for this one
  const Machine machine = two_sockets();
  unsetenv("HWLOC_THISSYSTEM");
  EXPECT_EQ(node_to_use(machine, "nvidia", "0000:30:00.0"), 1);
  EXPECT_EQ(node_to_use(machine, "nvidia", "0001:00:00.0"), std::nullopt);
  EXPECT_EQ(node_to_use(machine, "software", "0000:30:00.0"), std::nullopt);
}

}  // namespace
}  // namespace tessera::node
