#include "softgpu/device/health.h"

#include <algorithm>

namespace tessera::softgpu {
namespace {

constexpr uint32_t kXidStoppedProcessing = 8;
constexpr uint32_t kXidDoubleBit = 48;
constexpr uint32_t kXidPageRecorded = 63;
constexpr uint32_t kXidContained = 94;
constexpr uint32_t kXidUncontained = 95;
constexpr uint32_t kNormalSpeed = 1000;

// The file could have been written by anything.
uint32_t latent_count(const Health& health) { return std::min(health.latent_count, kMaxLatentErrors); }

void end_slowness(Health& health, uint64_t monotonic_ns) {
  for (const SlowReason reason : {SlowReason::kThermal, SlowReason::kPower}) {
    health.slowed_ns[static_cast<int>(reason)] = slowed_ns(health, reason, monotonic_ns);
  }
  health.slow_permille = kNormalSpeed;
}

void slow_down(Health& health, const FaultCommand& command, uint64_t monotonic_ns) {
  end_slowness(health, monotonic_ns);
  health.slow_permille = command.permille;
  health.slow_reason = static_cast<uint32_t>(command.reason);
  health.slow_since_ns = monotonic_ns;
}

void clear(Health& health, uint64_t monotonic_ns) {
  end_slowness(health, monotonic_ns);
  health.lost = health.hung = health.reset_required = health.remap_pending = 0;
  health.latent_count = 0;
  health.since_clear = {};
}

Status add_latent(Health& health, const FaultCommand& command) {
  const uint32_t count = latent_count(health);
  if (count == kMaxLatentErrors) {
    return Status::error(Code::kResourceExhausted, "%u double-bit errors wait already to be touched", count);
  }
  health.latent[count] = {command.address / kErrorPageBytes * kErrorPageBytes, command.pid,
                          command.uncontained ? 1u : 0u};
  health.latent_count = count + 1;
  return {};
}

// The page of the error that is taken out, if [begin, end) touches one.
std::optional<LatentError> take_latent(Health& health, pid_t pid, uint64_t begin, uint64_t end) {
  const uint32_t count = latent_count(health);
  LatentError* const last = health.latent + count;
  LatentError* found = std::find_if(health.latent, last, [&](const LatentError& error) {
    const bool there = error.address == 0 || (error.address < end && begin < error.address + kErrorPageBytes);
    return there && (error.pid == 0 || error.pid == pid);
  });
  if (found == last) return std::nullopt;
  LatentError taken = *found;
  if (taken.address == 0) taken.address = begin / kErrorPageBytes * kErrorPageBytes;
  *found = *(last - 1);
  health.latent_count = count - 1;
  return taken;
}

void retire(Health& health, const DeviceModel& model, uint64_t page, uint64_t wall_ns) {
  if (model.remaps_rows) {
    ++health.remapped_rows;
  } else {
    const uint32_t count = std::min(health.retired_count, kMaxRetiredPages - 1);
    health.retired[count] = {page, wall_ns};
    health.retired_count = count + 1;
  }
  health.remap_pending = 1;
}

}  // namespace

bool is_slow(const Health& health) { return health.slow_permille > kNormalSpeed; }

uint64_t slowed_ns(const Health& health, SlowReason reason, uint64_t monotonic_ns) {
  const bool now = is_slow(health) && health.slow_reason == static_cast<uint32_t>(reason) &&
                   monotonic_ns > health.slow_since_ns;
  return health.slowed_ns[static_cast<int>(reason)] + (now ? monotonic_ns - health.slow_since_ns : 0);
}

void record_event(Health& health, HealthEventKind kind, uint32_t xid, uint64_t wall_ns) {
  health.events[health.events_end++ % kKeptEvents] = {kind, xid, wall_ns};
}

Status apply(Health& health, const FaultCommand& command, const DeviceModel& model, HealthTime now) {
  using Kind = FaultCommand::Kind;
  const bool of_memory = command.kind == Kind::kSingleBit || command.kind == Kind::kDoubleBit;
  if (of_memory && !model.ecc)
    return Status::error(Code::kFailedPrecondition, "the model %s has no error correction", model.key);
  switch (command.kind) {
    case Kind::kXid:
      record_event(health, HealthEventKind::kXid, static_cast<uint32_t>(command.number), now.wall_ns);
      break;
    case Kind::kSingleBit:
      health.since_clear.corrected += command.number;
      health.ever.corrected += command.number;
      record_event(health, HealthEventKind::kSingleBit, 0, now.wall_ns);
      break;
    case Kind::kDoubleBit:
      return add_latent(health, command);
    case Kind::kHang:
      health.hung = 1;
      health.hang_deadline_ns = command.timeout_ns != 0 ? now.monotonic_ns + command.timeout_ns : 0;
      break;
    case Kind::kSlow:
      slow_down(health, command, now.monotonic_ns);
      break;
    case Kind::kLost:
      health.lost = 1;
      record_event(health, HealthEventKind::kXid, kXidOffTheBus, now.wall_ns);
      break;
    case Kind::kClear:
      clear(health, now.monotonic_ns);
      break;
  }
  return {};
}

bool strike(Health& health, const DeviceModel& model, pid_t pid, uint64_t begin, uint64_t end,
            uint64_t wall_ns) {
  const auto error = take_latent(health, pid, begin, end);
  if (!error) return false;
  ++health.since_clear.uncorrected;
  ++health.ever.uncorrected;
  retire(health, model, error->address, wall_ns);
  record_event(health, HealthEventKind::kDoubleBit, 0, wall_ns);
  record_event(health, HealthEventKind::kXid, kXidDoubleBit, wall_ns);
  record_event(health, HealthEventKind::kXid, kXidPageRecorded, wall_ns);
  if (model.contains_errors) {
    const bool uncontained = error->uncontained != 0;
    record_event(health, HealthEventKind::kXid, uncontained ? kXidUncontained : kXidContained, wall_ns);
    if (!uncontained) return true;
    health.reset_required = 1;
  }
  ++health.all_struck;
  return true;
}

bool end_hang_when_due(Health& health, HealthTime now) {
  if (health.hung == 0 || health.hang_deadline_ns == 0 || now.monotonic_ns < health.hang_deadline_ns)
    return false;
  health.hung = 0;
  ++health.hangs_timed_out;
  record_event(health, HealthEventKind::kXid, kXidStoppedProcessing, now.wall_ns);
  return true;
}

}  // namespace tessera::softgpu
