#include "node/pages.h"

#include <fcntl.h>
#include <linux/memfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cassert>
#include <cerrno>
#include <utility>

#include "common/futex.h"

namespace tessera::node {
namespace {

constexpr int kSealFutureWrite = 0x10;  // F_SEAL_FUTURE_WRITE, Linux 5.1
constexpr uint64_t kLargestCount = (uint64_t{1} << 53) - 1;

uint64_t load(const std::atomic<uint64_t>& value, uint64_t most) {
  return std::min(value.load(std::memory_order_relaxed), most);
}

Result<UniqueFd> make_page_file(const char* name) {
  UniqueFd file(memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!file) return Status::from_errno(errno, "cannot make a memory file");
  if (ftruncate(file.get(), vgpu::kPageBytes) != 0) return Status::from_errno(errno, "cannot size a page");
  return file;
}

Result<void*> map_page(int file, int protection) {
  void* page = mmap(nullptr, vgpu::kPageBytes, protection, MAP_SHARED, file, 0);
  if (page == MAP_FAILED) return Status::from_errno(errno, "cannot map a page");
  return page;
}

}  // namespace

Result<CounterMapping> CounterMapping::create() {
  TESSERA_ASSIGN_OR_RETURN(UniqueFd file, make_page_file("tessera-counters"));
  if (fcntl(file.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0) {
    return Status::from_errno(errno, "cannot seal the counter page");
  }
  TESSERA_ASSIGN_OR_RETURN(void* page, map_page(file.get(), PROT_READ));
  return CounterMapping(std::move(file), static_cast<const vgpu::CounterPage*>(page));
}

CounterMapping::CounterMapping(CounterMapping&& other) noexcept
    : file_(std::move(other.file_)), page_(std::exchange(other.page_, nullptr)) {}

CounterMapping::~CounterMapping() {
  if (page_ != nullptr) munmap(const_cast<vgpu::CounterPage*>(page_), vgpu::kPageBytes);
}

WorkValues CounterMapping::read_work(size_t device) const {
  assert(device < vgpu::kMaxDevicesPerSlice);
  const vgpu::DeviceCounters& counters = page_->devices[device];
  WorkValues values;
  values.busy_ns = load(counters.busy_ns, kLargestCount);
  values.kernels = load(counters.kernels, kLargestCount);
  values.ready_ns = load(counters.ready_ns, kLargestCount);
  values.ready_sm_ns = load(counters.ready_sm_ns, values.ready_ns * IndexSet::kMax);
  return values;
}

void Counts::add(const Counts& more) {
  refusals += more.refusals;
  allocations += more.allocations;
  launches += more.launches;
  graph_launches += more.graph_launches;
  cooperative_launches += more.cooperative_launches;
  busy_ns += more.busy_ns;
  kernels += more.kernels;
  evicted_bytes += more.evicted_bytes;
  restored_bytes += more.restored_bytes;
  bytes_to_device += more.bytes_to_device;
  bytes_from_device += more.bytes_from_device;
  bytes_on_device += more.bytes_on_device;
  errors += more.errors;
  gate_waits += more.gate_waits;
  gate_wait_ns += more.gate_wait_ns;
  copy_wait_ns += more.copy_wait_ns;
  for (size_t i = 0; i < gate_wait_buckets.size(); ++i) gate_wait_buckets[i] += more.gate_wait_buckets[i];
  timed_kernels += more.timed_kernels;
  timed_kernel_ns += more.timed_kernel_ns;
  for (size_t i = 0; i < timed_kernel_buckets.size(); ++i)
    timed_kernel_buckets[i] += more.timed_kernel_buckets[i];
}

CopyValues CounterMapping::read_copies(size_t device) const {
  assert(device < vgpu::kMaxDevicesPerSlice);
  const vgpu::DeviceCounters& counters = page_->devices[device];
  CopyValues values;
  constexpr auto kTo = static_cast<size_t>(vgpu::HostCopy::kToDevice);
  constexpr auto kFrom = static_cast<size_t>(vgpu::HostCopy::kFromDevice);
  values.bytes[kTo] =
      load(counters.bytes_to_device, kLargestCount / 2) + load(counters.restored_bytes, kLargestCount / 2);
  values.bytes[kFrom] = load(counters.bytes_from_device, kLargestCount);
  for (const size_t way : {kTo, kFrom}) values.waits[way] = load(counters.copy_waits[way], kLargestCount);
  return values;
}

CounterValues CounterMapping::read(size_t device, uint64_t granted_bytes, uint64_t peak_granted_bytes) const {
  assert(device < vgpu::kMaxDevicesPerSlice);
  const vgpu::DeviceCounters& counters = page_->devices[device];
  const WorkValues work = read_work(device);
  CounterValues values;
  values.used_bytes = load(counters.used_bytes, granted_bytes);
  values.peak_bytes = std::max(values.used_bytes, load(counters.peak_bytes, peak_granted_bytes));
  values.refusals = load(counters.refusals, kLargestCount);
  values.allocations = load(counters.allocations, kLargestCount);
  values.launches = load(counters.launches, kLargestCount);
  values.busy_ns = work.busy_ns;
  values.kernels = work.kernels;
  values.fault = load(counters.fault, INT32_MAX);
  values.ready_ns = work.ready_ns;
  values.ready_sm_ns = work.ready_sm_ns;
  values.evicted_bytes = load(counters.evicted_bytes, kLargestCount);
  values.restored_bytes = load(counters.restored_bytes, kLargestCount);
  values.out_bytes = load(counters.out_bytes, kLargestCount);
  values.swap_host_bytes = load(counters.swap_host_bytes, kLargestCount);
  values.swap_file_bytes = load(counters.swap_file_bytes, kLargestCount);
  values.swap_neighbour_bytes = load(counters.swap_neighbour_bytes, kLargestCount);
  values.graph_launches = load(counters.graph_launches, values.launches);
  values.cooperative_launches = load(counters.cooperative_launches, values.launches);
  values.bytes_to_device = load(counters.bytes_to_device, kLargestCount);
  values.bytes_from_device = load(counters.bytes_from_device, kLargestCount);
  values.bytes_on_device = load(counters.bytes_on_device, kLargestCount);
  values.errors = load(counters.errors, kLargestCount);
  values.gate_waits = load(counters.gate_waits, kLargestCount);
  values.gate_wait_ns = load(counters.gate_wait_ns, kLargestCount);
  for (size_t i = 0; i < vgpu::kWaitBuckets; ++i)
    values.gate_wait_buckets[i] = load(counters.gate_wait_buckets[i], values.gate_waits);
  values.timed_kernels = load(counters.timed_kernels, kLargestCount);
  values.timed_kernel_ns = load(counters.timed_kernel_ns, kLargestCount);
  for (size_t i = 0; i < cuda::kRunTimeBuckets; ++i)
    values.timed_kernel_buckets[i] = load(counters.timed_kernel_buckets[i], values.timed_kernels);
  values.copy_wait_ns = load(counters.copy_wait_ns, kLargestCount);
  return values;
}

Result<GrantMapping> GrantMapping::create() {
  TESSERA_ASSIGN_OR_RETURN(UniqueFd file, make_page_file("tessera-grants"));
  TESSERA_ASSIGN_OR_RETURN(void* page, map_page(file.get(), PROT_READ | PROT_WRITE));
  GrantMapping mapping(std::move(file), static_cast<vgpu::GrantPage*>(page));
  if (fcntl(mapping.descriptor(), F_ADD_SEALS,
            kSealFutureWrite | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0) {
    return Status::from_errno(errno, "cannot seal the grant page (Linux 5.1 or newer is needed)");
  }
  return mapping;
}

GrantMapping::GrantMapping(GrantMapping&& other) noexcept
    : file_(std::move(other.file_)), page_(std::exchange(other.page_, nullptr)) {}

GrantMapping::~GrantMapping() {
  if (page_ != nullptr) munmap(page_, vgpu::kPageBytes);
}

void GrantMapping::set_limit(size_t device, uint64_t limit_bytes, bool lowered) {
  assert(device < vgpu::kMaxDevicesPerSlice);
  page_->devices[device].lowered.store(lowered ? 1 : 0, std::memory_order_release);
  page_->devices[device].limit_bytes.store(limit_bytes, std::memory_order_release);
}

void GrantMapping::set_gate_copies(size_t device, bool on) {
  assert(device < vgpu::kMaxDevicesPerSlice);
  page_->devices[device].gate_copies.store(on ? 1 : 0, std::memory_order_release);
}

void GrantMapping::set_copy_rates(size_t device, const CopyRates& rates) {
  assert(device < vgpu::kMaxDevicesPerSlice);
  for (size_t way = 0; way < rates.size(); ++way)
    page_->devices[device].copy_rates[way].store(rates[way], std::memory_order_relaxed);
}

void GrantMapping::set_gate(size_t device, const GateSetting& gate) {
  assert(device < vgpu::kMaxDevicesPerSlice);
  vgpu::DeviceGrant& grant = page_->devices[device];
  for (size_t i = 0; i < IndexSet::kWords; ++i) {
    grant.sms[i].store(gate.sms.words()[i], std::memory_order_relaxed);
  }
  grant.turn_ns.store(gate.turn_ns, std::memory_order_relaxed);
  grant.gate.store(gate.word, std::memory_order_release);
  if (gate.wakes) wake_all(grant.gate);
}

}  // namespace tessera::node
