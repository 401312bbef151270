// Runs a kernel from PTX text over host memory, for tests and benchmarks.
#pragma once

#include <atomic>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "softgpu/exec/executor.h"
#include "softgpu/ptx/parser.h"

namespace tessera::softgpu::exec {

// Host memory as device memory. Each allocation is a range of its own.
class TestMemory final : public VariableMemory {
 public:
  Result<uint64_t> allocate(uint64_t size, uint32_t align, bool managed) override;
  uint64_t refer(const std::string&, bool) override { return next_reference_ += 16; }
  void* allocate_bytes(uint64_t size, bool writable = true);
  AddressMap& map() { return map_; }

 private:
  AddressMap map_;
  uint64_t next_reference_ = 0x10000;
  std::vector<std::unique_ptr<std::byte[]>> blocks_;
};

// Packs kernel parameters at their natural alignment.
class Parameters {
 public:
  template <class T>
  Parameters& add(const T& value) {
    static_assert(std::is_trivially_copyable_v<T>);
    const size_t at = (bytes_.size() + alignof(T) - 1) / alignof(T) * alignof(T);
    bytes_.resize(at + sizeof(T));
    std::memcpy(&bytes_[at], &value, sizeof(T));
    return *this;
  }
  const std::vector<std::byte>& bytes() const { return bytes_; }

 private:
  std::vector<std::byte> bytes_;
};

class TestMachine {
 public:
  // Parses and links. A test that expects success calls ok() first.
  explicit TestMachine(const std::string& ptx);

  const Status& status() const { return status_; }
  Program& program() { return *program_; }
  TestMemory& memory() { return memory_; }
  DeviceServices& services() { return services_; }
  template <class T>
  T* array(size_t count, bool writable = true) {
    return static_cast<T*>(memory_.allocate_bytes(count * sizeof(T), writable));
  }

  // A launch that the machine keeps alive; kernel() errors end up in status().
  const Launch* prepare(const std::string& kernel, Dim3 grid, Dim3 block, const Parameters& parameters,
                        uint32_t dynamic_shared = 0, Dim3 cluster = {});
  // Runs all blocks to their end, one after the other; rotates while one of them spins.
  Outcome run(const std::string& kernel, Dim3 grid, Dim3 block, const Parameters& parameters,
              uint32_t dynamic_shared = 0, Dim3 cluster = {});
  const Fault& fault() const { return fault_; }
  const std::string& printed() const { return printed_; }
  const std::string& assertion() const { return assertion_; }

 private:
  TestMemory memory_;
  std::shared_ptr<Program> program_;
  Status status_;
  DeviceServices services_;
  std::vector<std::unique_ptr<Launch>> launches_;
  Fault fault_;
  std::string printed_, assertion_;
};

}  // namespace tessera::softgpu::exec
