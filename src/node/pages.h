// The two shared pages of the lease protocol. Both are sealed memory files of kPageBytes: they cannot shrink,
// so reading them can never fault, whatever the other end does.
#pragma once

#include <array>

#include "common/fd.h"
#include "common/status.h"
#include "node/gate_setting.h"
#include "virtualization/lease/protocol.h"

namespace tessera::node {

// What only grows, of a process or of a slice's processes together.
struct Counts {
  uint64_t refusals = 0;
  uint64_t allocations = 0;
  uint64_t launches = 0;
  uint64_t graph_launches = 0, cooperative_launches = 0;  // of the launches
  uint64_t busy_ns = 0;
  uint64_t kernels = 0;
  uint64_t evicted_bytes = 0;   // moved off the device, where limits are more than it has
  uint64_t restored_bytes = 0;  // and back
  uint64_t bytes_to_device = 0, bytes_from_device = 0, bytes_on_device = 0;  // copied
  uint64_t errors = 0;                                                       // calls that failed
  uint64_t gate_waits = 0, gate_wait_ns = 0;
  uint64_t copy_wait_ns = 0;  // of copies, for their part of the way to the device or back
  std::array<uint64_t, vgpu::kWaitBuckets> gate_wait_buckets{};
  uint64_t timed_kernels = 0, timed_kernel_ns = 0;  // that have ended and whose time is known
  std::array<uint64_t, cuda::kRunTimeBuckets> timed_kernel_buckets{};

  void add(const Counts& more);
};

// What the process last wrote about itself, read once and bounded; see CounterMapping::read.
struct CounterValues : Counts {
  uint64_t used_bytes = 0;
  uint64_t peak_bytes = 0;
  uint64_t fault = 0;  // a CUresult
  uint64_t ready_ns = 0;
  uint64_t ready_sm_ns = 0;
  uint64_t out_bytes = 0;
  uint64_t swap_host_bytes = 0;
  uint64_t swap_file_bytes = 0;
  uint64_t swap_neighbour_bytes = 0;
};

// Of these, what is asked at each turn's end.
struct WorkValues {
  uint64_t busy_ns = 0;
  uint64_t kernels = 0;
  uint64_t ready_ns = 0;
  uint64_t ready_sm_ns = 0;
};

// And at each round of copies' shares, by vgpu::HostCopy. What was brought back to the device is its
// process's own copying.
struct CopyValues {
  std::array<uint64_t, vgpu::kHostCopies> bytes{}, waits{};
};

// The daemon's view of a process's counter page: it only reads.
class CounterMapping {
 public:
  static Result<CounterMapping> create();
  CounterMapping(CounterMapping&&) noexcept;
  CounterMapping& operator=(CounterMapping&&) = delete;
  ~CounterMapping();

  int descriptor() const { return file_.get(); }
  // The mapping stays; a descriptor per process is one that others cannot have.
  void close_descriptor() { file_.reset(); }
  // Used is at most what is granted, peak at most the highest grant: a process cannot report more than it
  // could have. Counts stay below 2^53, which JSON readers hold exactly; SM-time, which none sees, is at most
  // the most SMs there can be in the time.
  WorkValues read_work(size_t device) const;
  CopyValues read_copies(size_t device) const;
  CounterValues read(size_t device, uint64_t granted_bytes, uint64_t peak_granted_bytes) const;

 private:
  CounterMapping(UniqueFd file, const vgpu::CounterPage* page) : file_(std::move(file)), page_(page) {}

  UniqueFd file_;
  const vgpu::CounterPage* page_;
};

// The daemon's view of a slice's grant page. The mapping here is the only writable one there can ever be: the
// file is sealed against further ones before its descriptor is given away.
class GrantMapping {
 public:
  static Result<GrantMapping> create();
  GrantMapping(GrantMapping&&) noexcept;
  GrantMapping& operator=(GrantMapping&&) = delete;
  ~GrantMapping();

  int descriptor() const { return file_.get(); }
  void set_limit(size_t device, uint64_t limit_bytes, bool lowered);
  void set_gate_copies(size_t device, bool on);
  using CopyRates = std::array<uint64_t, vgpu::kHostCopies>;
  void set_copy_rates(size_t device, const CopyRates& rates);
  void set_gate(size_t device, const GateSetting& gate);

 private:
  GrantMapping(UniqueFd file, vgpu::GrantPage* page) : file_(std::move(file)), page_(page) {}

  UniqueFd file_;
  vgpu::GrantPage* page_;
};

}  // namespace tessera::node
