// LeaseService's eye on the gate: what the driver says that processes worked, against what they reported and
// were granted, and what follows for those that go round.
#include <signal.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cassert>
#include <cerrno>
#include <cstring>

#include "common/log.h"
#include "common/strings.h"
#include "node/lease_service.h"

namespace tessera::node {
namespace {

unsigned long long milliseconds(uint64_t ns) {
  constexpr uint64_t kNsPerMs = 1'000'000;
  return ns / kNsPerMs;
}

uint32_t percent_of(const Gpu& gpu, pid_t pid) {
  auto found = std::find_if(gpu.processes.begin(), gpu.processes.end(), [pid](const GpuProcess& process) {
    return process.pid == static_cast<uint32_t>(pid);
  });
  return found == gpu.processes.end() ? 0 : found->percent;
}

}  // namespace

// Where nobody else could have the time, nobody is robbed.
// Asked in each step: what is mostly so comes first, and is seen by the first two slices of a GPU.
bool LeaseService::wants_watch() const {
  std::set<uint32_t> seen;
  for (const auto& [id, slice] : ledger_.slices()) {
    if (ledger_.leases().empty()) break;
    for (const SliceDevice& device : slice.devices) {
      if (device.compute.cap_permille < scheduling::kWhole || !seen.insert(device.gpu).second) return true;
    }
  }
  const bool confined = std::any_of(slices_.begin(), slices_.end(),
                                    [](const auto& entry) { return entry.second.confined_until_ns != 0; });
  return confined || round_watch_.any_goes_round();
}

// A process of an earlier daemon has no counts here until it has attached again. Where the driver cannot stop
// kernels, they run on beyond a turn however honest the process: all time is its turn, and only what it does
// not report shows.
RoundWatch::AllFigures LeaseService::watched_figures(uint64_t now_ns) const {
  RoundWatch::AllFigures all;
  for (const auto& [id, lease] : ledger_.leases()) {
    if (lease.life == LeaseLife::kAwaited) continue;
    const Slice& slice = *ledger_.find_slice(lease.slice);
    for (uint32_t i = 0; i < slice.devices.size(); ++i) {
      const ComputeBroker::Granted granted = compute_.granted(slice.id, i, now_ns);
      RoundWatch::Figures& figures = all[{lease.process, slice.devices[i].gpu}];
      figures.reported_ns += leases_.at(id).counters.read_work(i).busy_ns;
      figures.free_ns += granted.free_ns;
      const bool stops = ledger_.gpu_facts(slice.devices[i].gpu).stops_kernels();
      figures.turn_ns += stops ? granted.turn_ns : now_ns;
    }
  }
  return all;
}

void LeaseService::mark_use(uint64_t now_ns) {
  if (wants_watch()) round_watch_.mark(watched_figures(now_ns), now_ns);
}

void LeaseService::hear_memory(const Inventory& inventory) {
  driver_memory_.clear();
  for (const Gpu& gpu : inventory.gpus) {
    const auto uuid = std::find(gpu_uuids_.begin(), gpu_uuids_.end(), gpu.uuid);
    if (uuid == gpu_uuids_.end() || !gpu.memory) continue;
    auto& processes = driver_memory_[static_cast<uint32_t>(uuid - gpu_uuids_.begin())];
    for (const GpuMemory& one : *gpu.memory) processes[static_cast<pid_t>(one.pid)] = one.bytes;
  }
}

// A process that closed its lease and attached again has two.
std::optional<uint64_t> LeaseService::driver_bytes(const Slice& slice, size_t device) const {
  const auto told = driver_memory_.find(slice.devices[device].gpu);
  if (told == driver_memory_.end()) return std::nullopt;
  std::set<pid_t> pids;
  for (const LeaseId lease : slice.leases) pids.insert(ledger_.find_lease(lease)->process.pid);
  uint64_t bytes = 0;
  for (const pid_t pid : pids) {
    const auto found = told->second.find(pid);
    if (found != told->second.end()) bytes += found->second;
  }
  return bytes;
}

void LeaseService::hear_driver(const Inventory& inventory, uint64_t now_ns) {
  hear_memory(inventory);
  const RoundWatch::AllFigures all = watched_figures(now_ns);
  std::vector<std::pair<WatchedProcess, RoundWatch::Verdict>> verdicts;
  for (const auto& [process, figures] : all) {
    for (const Gpu& gpu : inventory.gpus) {
      if (gpu.uuid != gpu_uuids_.at(process.gpu) || gpu.processes_ns == 0 || gpu.processes_ns > now_ns)
        continue;
      const uint64_t driver_ns = kProcessWindowNs / 100 * percent_of(gpu, process.process.pid);
      auto verdict = round_watch_.judge(process, figures, gpu.processes_ns, kProcessWindowNs, driver_ns);
      if (verdict) verdicts.emplace_back(process, *verdict);
    }
  }
  for (const auto& [process, verdict] : verdicts) act_on(process, verdict, now_ns);
  release_confined(now_ns);
}

void LeaseService::act_on(const WatchedProcess& process, const RoundWatch::Verdict& verdict,
                          uint64_t now_ns) {
  const bool round = verdict.now == GateStanding::kRound;
  if (round == (verdict.before == GateStanding::kRound) && !(round && verdict.over)) return;
  std::set<SliceId> slices;
  std::vector<LeaseId> leases;
  for (const auto& [id, lease] : ledger_.leases()) {
    if (lease.process != process.process) continue;
    slices.insert(lease.slice);
    leases.push_back(id);
  }
  const auto pid = static_cast<int>(process.process.pid);
  for (SliceId id : slices) {
    const std::string& name = ledger_.find_slice(id)->name;
    if (!round) {
      LOG_WARN("gate", "process %d of '%s' keeps to the gate again", pid, name.c_str());
      continue;
    }
    if (verdict.before != GateStanding::kRound) {
      ++slices_.at(id).round_the_gate;
      const WatchedWindow& window = verdict.window;
      LOG_WARN(
          "gate",
          "process %d of '%s' goes round the gate of GPU %u: of %llu ms it worked %llu, says the driver; "
          "it reported %llu and was granted %llu",
          pid, name.c_str(), process.gpu, milliseconds(window.window_ns), milliseconds(window.driver_ns),
          milliseconds(window.reported_ns), milliseconds(window.free_ns + window.turn_ns));
      tell(monitoring::Severity::kWarning, "round_the_gate", name,
           str_format("process %d works beside its turns on GPU %u", pid, process.gpu),
           {{"pid", static_cast<uint64_t>(pid)}, {"gpu", uint64_t{process.gpu}}});
    }
    if (round_policy_ == RoundPolicy::kHard) confine(id, now_ns);
  }
  if (round && round_policy_ == RoundPolicy::kStop && !leases.empty()) stop_process(leases.front());
}

SliceDevice LeaseService::effective_part(SliceId id, uint32_t device) const {
  const SliceDevice& part = ledger_.find_slice(id)->devices[device];
  return slices_.at(id).confined_until_ns != 0 ? confined_part(part) : part;
}

void LeaseService::update_compute(SliceId id, uint32_t device, GateOrders& orders) {
  // The ledger has checked it.
  [[maybe_unused]] const Status updated =
      compute_.update(id, device, effective_part(id, device), loop_.now_ns(), orders);
  assert(updated.ok());
}

void LeaseService::update_all_compute(SliceId id) {
  GateOrders orders;
  for (uint32_t i = 0; i < ledger_.find_slice(id)->devices.size(); ++i) update_compute(id, i, orders);
  apply(orders);
}

void LeaseService::confine(SliceId id, uint64_t now_ns) {
  uint64_t& until_ns = slices_.at(id).confined_until_ns;
  const bool begins = until_ns == 0;
  until_ns = now_ns + GateWatch::kForgiveNs;
  if (!begins) return;
  update_all_compute(id);
  LOG_WARN("gate", "'%s' is confined: its share is its ceiling, or without one it comes last, for %llu s",
           ledger_.find_slice(id)->name.c_str(), milliseconds(GateWatch::kForgiveNs) / 1000);
  tell(monitoring::Severity::kWarning, "slice_confined", ledger_.find_slice(id)->name,
       "for going round the gate");
}

void LeaseService::release_confined(uint64_t now_ns) {
  for (auto& [id, record] : slices_) {
    if (record.confined_until_ns == 0 || now_ns < record.confined_until_ns) continue;
    record.confined_until_ns = 0;
    update_all_compute(id);
    LOG_WARN("gate", "'%s' is no longer confined", ledger_.find_slice(id)->name.c_str());
  }
}

// Of the slice's owner only: root may have put a process of another user into it. The pidfd names the process
// whose user was looked at, as it still lives.
void LeaseService::stop_process(LeaseId id) {
  const Lease& lease = *ledger_.find_lease(id);
  const auto pid = static_cast<int>(lease.process.pid);
  struct stat info {};
  if (stat(str_format("/proc/%d", pid).c_str(), &info) != 0) return;
  const Slice& slice = *ledger_.find_slice(lease.slice);
  if (info.st_uid != slice.owner) {
    LOG_WARN("gate", "process %d is not stopped: it is user %u's, '%s' user %u's", pid, info.st_uid,
             slice.name.c_str(), slice.owner);
    return;
  }
  if (syscall(SYS_pidfd_send_signal, leases_.at(id).pidfd.get(), SIGKILL, nullptr, 0) != 0) {
    LOG_ERROR("gate", "process %d cannot be stopped: %s", pid, strerror(errno));
    return;
  }
  LOG_WARN("gate", "process %d of '%s' is stopped", pid, slice.name.c_str());
  tell(monitoring::Severity::kCritical, "process_stopped", slice.name, str_format("process %d", pid),
       {{"pid", static_cast<uint64_t>(pid)}});
}

bool LeaseService::goes_round(const Lease& lease) const {
  const Slice& slice = *ledger_.find_slice(lease.slice);
  return std::any_of(slice.devices.begin(), slice.devices.end(), [&](const SliceDevice& device) {
    return round_watch_.goes_round({lease.process, device.gpu});
  });
}

LeaseService::RoundFigures LeaseService::round_figures(SliceId id) const {
  const SliceRecord& record = slices_.at(id);
  return {record.round_the_gate, record.confined_until_ns != 0};
}

bool LeaseService::holds_lease(pid_t pid) const {
  return std::any_of(ledger_.leases().begin(), ledger_.leases().end(),
                     [pid](const auto& entry) { return entry.second.process.pid == pid; });
}

}  // namespace tessera::node
