// The processes that hold leases, watched on each GPU: what they reported and were granted at some moments,
// so that a window of the driver's figures can be compared with it. Pure.
//
// A moment at or before the window's begin and the present are taken: a little too much time is compared,
// never too little.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <tuple>

#include "common/process_identity.h"
#include "node/gate_watch.h"

namespace tessera::node {

struct WatchedProcess {
  ProcessIdentity process;
  uint32_t gpu = 0;

  bool operator<(const WatchedProcess& other) const {
    return std::tie(process.pid, process.start_ticks, gpu) <
           std::tie(other.process.pid, other.process.start_ticks, other.gpu);
  }
};

class RoundWatch {
 public:
  // Sums since the process attached, over all its leases; see WatchedWindow.
  struct Figures {
    uint64_t reported_ns = 0;
    uint64_t free_ns = 0;
    uint64_t turn_ns = 0;
  };
  using AllFigures = std::map<WatchedProcess, Figures>;

  // These processes are there now; others are forgotten.
  void mark(const AllFigures& figures, uint64_t now_ns);

  struct Verdict {
    WatchedWindow window;
    GateStanding before;
    GateStanding now;
    bool over;  // in this window
  };
  // What the driver says of a window that ended at `end_ns`. Nothing where the process was not watched for so
  // long.
  std::optional<Verdict> judge(const WatchedProcess& process, const Figures& now, uint64_t end_ns,
                               uint64_t window_ns, uint64_t driver_ns);
  bool goes_round(const WatchedProcess& process) const;
  bool any_goes_round() const;

 private:
  static constexpr size_t kMarks = 8;
  struct Mark {
    uint64_t at_ns = 0;  // 0: none
    Figures figures;
  };
  struct Track {
    std::array<Mark, kMarks> marks;
    size_t next = 0;
    GateWatch watch;

    const Mark& newest() const { return marks[(next + kMarks - 1) % kMarks]; }
    const Mark* before(uint64_t then_ns) const;
  };
  static bool goes_back(const Figures& from, const Figures& to);

  std::map<WatchedProcess, Track> tracks_;
};

}  // namespace tessera::node
