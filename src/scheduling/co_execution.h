// Which tenants of a GPU may run side by side: how many SMs each needs, by what its driver measured, and
// whether company does it good. Pure; DeviceScheduler packs what fits by the widths that come out of this.
//
// Width: the SMs that ready kernels could fill, on the average of a window in which some were ready. What a
// window needs is that rounded up, with a quarter to spare; where it is one SM there is no average to exceed.
// A tenant gets what its last windows needed at most: more at once, less only after several. One that has
// not been measured for long enough fills the whole GPU.
//
// Harm: kernels share more than SMs (caches, memory, power; on the software GPU the processors under it).
// A tenant whose kernels take longer in company than they did alone, by more than kHarmPermille in two
// windows in a row, is alone again for a while, and that while doubles each time; company that did no harm
// for as long as the last one was halves it. Only the one that is hurt goes: others may still fit together.
//
// All of this is what tenants say of themselves. Who claims to be narrow is kept to as many SMs where the
// driver can (so it has less, not more), and is charged like everybody; who claims to be hurt, or wide, has
// its turns alone, as if there were no company. Neither takes anything from another's share.
#pragma once

#include <vector>

#include "scheduling/tenant.h"

namespace tessera::scheduling {

class CoExecution {
 public:
  static constexpr Nanoseconds kWindowNs = 5 * kMillisecond;  // with work ready
  static constexpr uint32_t kWindowsToKnow = 3;
  static constexpr uint32_t kWindowsToShrink = 8;
  static constexpr uint64_t kWindowKernels = 16;  // whose lengths are judged
  static constexpr uint32_t kHarmPermille = 150;
  static constexpr Nanoseconds kFirstBackOffNs = kSecond, kLongestBackOffNs = 64 * kSecond;
  static constexpr uint32_t kMostSms = 1024;

  // What a tenant measured since it last said, as DeviceWork of the driver's scheduling table has it.
  struct Work {
    Nanoseconds busy_ns = 0;
    uint64_t kernels = 0;
    Nanoseconds ready_ns = 0;
    uint64_t ready_sm_ns = 0;  // both 0 where the driver does not measure it
  };

  void add(TenantId id);
  // Whether another tenant runs beside it from now on.
  void set_company(TenantId id, bool company);
  void measured(TenantId id, const Work& work, Nanoseconds now);

  // SMs that are enough for it, of `all`; all of them where it is to have no company.
  uint32_t sms(TenantId id, uint32_t all, Nanoseconds now) const;
  // 0: not known yet.
  uint32_t measured_sms(TenantId id) const { return states_[id].sms; }
  bool backs_off(TenantId id, Nanoseconds now) const { return now < states_[id].alone_until_ns; }
  // Whether sms() may say something else than when this was asked last.
  bool take_changed(Nanoseconds now);

 private:
  struct Lengths {  // of kernels, in one kind of company
    Nanoseconds busy_ns = 0;
    uint64_t kernels = 0;
  };
  struct State {
    // Width:
    Nanoseconds ready_ns = 0;  // of this window
    uint64_t ready_sm_ns = 0;
    uint32_t windows = 0;
    uint32_t sms = 0;
    uint32_t shrinks_to = 0;  // what the last windows needed, where that is less
    uint32_t shrinking = 0;   // for how many
    // Harm:
    bool company = false;
    bool company_changed = true;  // since it last said: what it says next is of both
    Lengths lengths;              // of this window
    Nanoseconds alone_ns = 0;     // a kernel's length, alone; 0: not known
    uint32_t harmed = 0;          // windows in a row
    Nanoseconds alone_until_ns = 0;
    Nanoseconds back_off_ns = kFirstBackOffNs;
    Nanoseconds unharmed_ns = 0;  // busy, in company
  };

  void note_width(State& state, const Work& work);
  void note_lengths(State& state, const Work& work, Nanoseconds now);
  void judge(State& state, Nanoseconds length_ns, Nanoseconds now);

  std::vector<State> states_;
  bool changed_ = true;
  Nanoseconds first_back_ns_ = kNever;  // when the first that backs off no longer does
};

}  // namespace tessera::scheduling
