// What `tessera top` shows, as lines of text. Pure: what the daemon told and the size of the screen go in.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "node/json.h"

namespace tessera::cli {

// One look at the node.
struct TopSnapshot {
  node::Json gpus = node::Json::array();
  node::Json slices = node::Json::array();
  node::Json events = node::Json::array();
  node::Json alerts = node::Json::array();
  std::string problem;  // why the latest look failed; what is shown is of before
  std::string clock;    // "13:05:01"
  uint64_t at_ns = 0;
  uint64_t wall_ms = 0;  // of the clock that events are told by
};

enum class TopOrder : uint8_t { kName, kMemory, kShare, kWait, kLaunches };
inline constexpr size_t kTopOrders = 5;
const char* top_order_name(TopOrder order);

// What keys have made of the view.
struct TopView {
  TopOrder order = TopOrder::kShare;
  bool reversed = false;
  bool colour = true;
  bool typing = false;  // the filter
  bool help = false;
  bool paused = false;
  std::string filter;    // a part of the slice's name
  std::string selected;  // the slice that the cursor is on; empty: the first
  std::string drilled;   // the slice whose details are shown; empty: all
};

// A key as the terminal sends it, escape sequences as one: "q", "\x1b[A", "\r". False: top is to end.
bool top_key(TopView& view, const TopSnapshot& snapshot, const std::string& key);

// Exactly `height` lines of at most `width` columns; `before` is the look before, for what grows.
std::vector<std::string> top_lines(const TopView& view, const TopSnapshot& snapshot,
                                   const TopSnapshot& before, size_t width, size_t height);

}  // namespace tessera::cli
