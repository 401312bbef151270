// All figures every kSampleNs, a few slices a step of the loop, for those who keep or judge them.
#pragma once

#include <functional>
#include <optional>
#include <set>
#include <vector>

#include "monitoring/history/history_store.h"
#include "node/control_service.h"
#include "node/slice_walk.h"

namespace tessera::node {

class FigureSampler {
 public:
  static constexpr uint64_t kSampleNs = 2'000'000'000;

  struct When {
    uint64_t wall_ms;  // at the beginning of the sample
    // Of a slice that was made since the sampler is there, in its first sample.
    std::optional<uint64_t> age_ms;
  };
  using Sink = std::function<void(const When& when, const monitoring::Subject& subject,
                                  const std::vector<monitoring::Figure>& figures)>;
  struct Sinks {
    Sink add;
    Sink add_last;  // of a slice that is about to end
    // `now_ns` is the loop's, `wall_ms` that at the beginning of the sample.
    std::function<void(uint64_t now_ns, uint64_t wall_ms)> commit;
  };
  FigureSampler(EventLoop& loop, ControlService& control, LeaseService& leases, Sinks sinks)
      : loop_(loop),
        control_(control),
        leases_(leases),
        sinks_(std::move(sinks)),
        started_ns_(loop.now_ns()) {}

  void tick(uint64_t now_ns);
  std::optional<uint64_t> next_deadline_ns() const { return walk_ ? 0 : next_ns_; }
  // What the slice, which is about to end, did since its latest sample.
  void look_last(const Slice& slice);

 private:
  static constexpr size_t kSlicesAStep = 16;
  void begin(uint64_t now_ns);
  std::optional<uint64_t> age_if_new(const Slice& slice);

  EventLoop& loop_;
  ControlService& control_;
  LeaseService& leases_;
  Sinks sinks_;
  const uint64_t started_ns_;
  std::set<SliceId> sampled_;  // those of them that there still are
  std::optional<SliceWalk> walk_;
  uint64_t next_ns_ = 0;
  uint64_t wall_ms_ = 0;
};

}  // namespace tessera::node
