// DeviceScheduler's widths: how much of the GPU each tenant fills, and what it pays for that.
#include <algorithm>
#include <cassert>

#include "scheduling/device_scheduler.h"

namespace tessera::scheduling {
namespace {

constexpr uint32_t kKernelMeanOver = 8;  // kernels, roughly

}  // namespace

// A grant of it ends: it goes on in the other lane.
void DeviceScheduler::set_own_width(TenantId id, uint32_t permille, Nanoseconds now) {
  assert(permille <= kWhole);
  note_grants(forward(now));
  Slot& slot = slots_[id];
  if (slot.granted && (slot.own_width == 0) != (permille == 0)) end_grant(id, forward(now));
  slot.own_width = permille;
}

void DeviceScheduler::set_width(TenantId id, uint32_t permille, Nanoseconds now) {
  assert(permille >= 1 && permille <= kWhole);
  Slot& slot = slots_[id];
  uint32_t& width = slot.tenant.spec.width_permille;
  if (width == permille) return;
  note_grants(forward(now));
  auto grant = std::find_if(grants_.begin(), grants_.end(), [id](const Grant& g) { return g.tenant == id; });
  if (grant != grants_.end() && slot.own_width == 0) {
    if (permille > width + free_width_) {
      end_grant(id, now_);
    } else {
      free_width_ = free_width_ + width - permille;
      grant->width_permille = permille;
    }
  }
  width = permille;
}

void DeviceScheduler::set_shared_width(uint32_t permille) {
  assert(permille >= 1 && permille <= kWhole);
  shared_width_ = permille;
}

// All of its own, or of what nobody else can have meanwhile.
bool DeviceScheduler::pays_whole(const Grant& grant, bool others_wait) const {
  if (slots_[grant.tenant].own_width != 0 || grant.width_permille == kWhole) return true;
  return others_wait && !grant.fills_gap;
}

// Grants and who waits have been the same since the last time.
void DeviceScheduler::note_grants(Nanoseconds now) {
  const Nanoseconds lasted = elapsed(noted_at_, now);
  noted_at_ = now;
  if (lasted == 0 || grants_.empty()) return;
  const bool others_wait = anyone_waits();
  for (const Grant& grant : grants_) {
    Slot& slot = slots_[grant.tenant];
    const bool whole = pays_whole(grant, others_wait);
    slot.had_ns += lasted;
    slot.had_whole_ns += whole ? lasted : 0;
    slot.had_width_ns += lasted * (whole ? kWhole : grant.width_permille);
  }
}

void DeviceScheduler::charge(TenantId id, Nanoseconds busy_ns, uint32_t kernels, Nanoseconds now) {
  assert(id < slots_.size() && slots_[id].in_use);
  Slot& slot = slots_[id];
  now = forward(now);
  Tenant& tenant = slot.tenant;
  if (kernels != 0) {
    const Nanoseconds each = busy_ns / kernels;
    tenant.kernel_ns =
        tenant.kernel_ns == 0 ? each : (tenant.kernel_ns * (kKernelMeanOver - 1) + each) / kKernelMeanOver;
  }
  note_grants(now);
  if (slot.had_ns != 0) {
    slot.charged_width = static_cast<uint32_t>(slot.had_width_ns / slot.had_ns);
    slot.whole_part = static_cast<uint32_t>(scaled(slot.had_whole_ns, kWhole, slot.had_ns));
  }
  slot.had_ns = slot.had_whole_ns = slot.had_width_ns = 0;
  const Nanoseconds of_lane = scaled(busy_ns, lane_permille(slot), kWhole);
  const Nanoseconds used = scaled(of_lane, slot.charged_width, kWhole);
  tenant.served_ns += used;
  slot.ceiling.advance(now);
  slot.ceiling.spend(of_lane);
  slot.credit.advance(now);
  slot.credit.spend(used);
  order(slot).charged(id, tenant, scaled(of_lane, slot.whole_part, kWhole));
}

}  // namespace tessera::scheduling
