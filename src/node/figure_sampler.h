// All figures every kSampleNs, a few slices a step of the loop, for those who keep or judge them.
#pragma once

#include <functional>
#include <optional>
#include <vector>

#include "monitoring/history/history_store.h"
#include "node/control_service.h"
#include "node/slice_walk.h"

namespace tessera::node {

class FigureSampler {
 public:
  static constexpr uint64_t kSampleNs = 2'000'000'000;

  struct Sinks {
    // Times are the loop's; the wall's are its `wall_ms` at the beginning of the sample.
    std::function<void(const monitoring::Subject& subject, const std::vector<monitoring::Figure>& figures)>
        add;
    std::function<void(uint64_t now_ns, uint64_t wall_ms)> commit;
  };
  FigureSampler(EventLoop& loop, ControlService& control, LeaseService& leases, Sinks sinks)
      : loop_(loop), control_(control), leases_(leases), sinks_(std::move(sinks)) {}

  void tick(uint64_t now_ns);
  std::optional<uint64_t> next_deadline_ns() const { return walk_ ? 0 : next_ns_; }
  // Of the sample that is being taken.
  uint64_t wall_ms() const { return wall_ms_; }

 private:
  static constexpr size_t kSlicesAStep = 16;
  void begin(uint64_t now_ns);
  void add_slice(const Slice& slice);

  EventLoop& loop_;
  ControlService& control_;
  LeaseService& leases_;
  Sinks sinks_;
  std::optional<SliceWalk> walk_;
  uint64_t next_ns_ = 0;
  uint64_t wall_ms_ = 0;
};

}  // namespace tessera::node
