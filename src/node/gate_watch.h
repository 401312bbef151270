// Does a process keep to the gate? What the driver says that it worked, against what it reported and what it
// was granted, window by window. Pure; one for each process on each GPU.
//
// A process that loads another copy of the driver, or whose gate does not run any more, works without
// reporting; one that reports and does not stop works beyond its turns. Neither shows in what it says itself.
//
// The driver's figures are percents of a window of about a second that lies a little aside of ours, kernels
// run out after a turn, and a gate's thread may come late to a busy processor: what is over must be so by
// more than a margin, and in several windows in a row.
#pragma once

#include <cstdint>

namespace tessera::node {

// Of one process in one window, in ns of the whole GPU. While its gate was Free it could have all of it, and
// reported late; `reported_ns` may include that time.
struct WatchedWindow {
  uint64_t end_ns = 0;  // when; windows come in order
  uint64_t window_ns = 0;
  uint64_t driver_ns = 0;    // that it worked, says the driver
  uint64_t reported_ns = 0;  // that it worked, said the process
  uint64_t free_ns = 0;      // that its gate was Free
  uint64_t turn_ns = 0;      // that it had its turn
};

enum class GateStanding : uint8_t {
  kFine,
  kSuspect,  // over in the latest window
  kRound,    // goes round the gate, or did so a while ago
};

class GateWatch {
 public:
  // Not reported: more than a tenth of the window, and 200 ms over two in a row.
  static constexpr uint64_t kUnreportedPercent = 10;
  static constexpr uint64_t kUnreportedNs = 200'000'000;
  static constexpr uint32_t kUnreportedWindows = 2;
  // Not granted: late stops are honest, so more than a quarter of it, in three in a row.
  static constexpr uint64_t kUngrantedPercent = 25;
  static constexpr uint32_t kUngrantedWindows = 3;
  // So long must it keep to the gate before it counts as fine again.
  static constexpr uint64_t kForgiveNs = 30'000'000'000;

  // Windows that begin well before the last one ended are passed over: they would count time twice.
  GateStanding judge(const WatchedWindow& window);
  GateStanding standing() const;
  // The latest window was.
  bool over() const { return unreported_.windows > 0 || ungranted_.windows > 0; }

 private:
  struct Run {  // of windows over the margin
    uint32_t windows = 0;
    uint64_t last_ns = 0;  // by how much, in the latest and the one before it
    uint64_t before_ns = 0;
  };
  static void extend(Run& run, uint64_t over_ns, uint64_t margin_ns);

  Run unreported_, ungranted_;
  bool round_ = false;
  uint64_t ended_ns_ = 0;  // the latest window
  uint64_t over_ns_ = 0;   // end of the latest that was over
};

}  // namespace tessera::node
