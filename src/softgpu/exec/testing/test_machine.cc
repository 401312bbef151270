#include "softgpu/exec/testing/test_machine.h"

#include <algorithm>

namespace tessera::softgpu::exec {

Result<uint64_t> TestMemory::allocate(uint64_t size, uint32_t, bool) {
  return uint64_t{reinterpret_cast<uintptr_t>(allocate_bytes(size))};
}

void* TestMemory::allocate_bytes(uint64_t size, bool writable) {
  constexpr uint64_t kAlign = 256;
  blocks_.push_back(std::make_unique<std::byte[]>(size + 2 * kAlign));
  const uint64_t base = (reinterpret_cast<uintptr_t>(blocks_.back().get()) + kAlign - 1) / kAlign * kAlign;
  const Status inserted = map_.insert({base, base + size, writable});
  assert(inserted.ok());
  return reinterpret_cast<void*>(static_cast<uintptr_t>(base));
}

TestMachine::TestMachine(const std::string& ptx) {
  services_.print = [this](std::string text) { printed_ += text; };
  services_.assert_failed = [this](std::string text) { assertion_ += text; };
  auto module = ptx::parse(ptx);
  if (!module.ok()) {
    status_ = module.status();
    return;
  }
  auto program = Program::link(std::move(module).value(), memory_);
  if (!program.ok()) {
    status_ = program.status();
    return;
  }
  program_ = *program;
}

const Launch* TestMachine::prepare(const std::string& name, Dim3 grid, Dim3 block,
                                   const Parameters& parameters, uint32_t dynamic_shared, Dim3 cluster) {
  if (!status_.ok()) return nullptr;
  auto kernel = program_->kernel(name);
  if (!kernel.ok()) {
    status_ = kernel.status();
    return nullptr;
  }
  auto launch = std::make_unique<Launch>();
  launch->kernel = *kernel;
  launch->grid = grid;
  launch->block = block;
  launch->cluster = cluster;
  launch->explicit_cluster = cluster.count() > 1;
  launch->dynamic_shared_bytes = dynamic_shared;
  launch->parameters = parameters.bytes();
  launch->memory = &memory_.map();
  launch->services = &services_;
  launches_.push_back(std::move(launch));
  return launches_.back().get();
}

Outcome TestMachine::run(const std::string& name, Dim3 grid, Dim3 block, const Parameters& parameters,
                         uint32_t dynamic_shared, Dim3 cluster) {
  const Launch* launch = prepare(name, grid, block, parameters, dynamic_shared, cluster);
  if (launch == nullptr) return Outcome::kFaulted;
  std::vector<std::unique_ptr<BlockRun>> blocks;
  for (uint32_t z = 0; z < grid.z; z += cluster.z) {
    for (uint32_t y = 0; y < grid.y; y += cluster.y) {
      for (uint32_t x = 0; x < grid.x; x += cluster.x) blocks.push_back(BlockRun::create(*launch, {x, y, z}));
    }
  }
  const std::atomic<bool> stop{false};
  while (!blocks.empty()) {
    const Outcome outcome = blocks.front()->run(stop, 0);
    if (outcome == Outcome::kFaulted) {
      fault_ = blocks.front()->fault();
      return outcome;
    }
    if (outcome == Outcome::kFinished) {
      blocks.erase(blocks.begin());
    } else {
      std::rotate(blocks.begin(), blocks.begin() + 1, blocks.end());
    }
  }
  return Outcome::kFinished;
}

}  // namespace tessera::softgpu::exec
