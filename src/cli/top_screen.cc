#include "cli/top_screen.h"

#include <algorithm>
#include <cmath>
#include <optional>

#include "cli/table.h"
#include "common/size.h"
#include "common/strings.h"
#include "cuda/run_times.h"

namespace tessera::cli {
namespace {

using node::Json;
using node::json_array;
using node::json_bool;
using node::json_string;
using node::json_uint;

constexpr const char* kReset = "\x1b[0m";
constexpr const char* kBold = "\x1b[1m";
constexpr const char* kReverse = "\x1b[7m";
constexpr const char* kRed = "\x1b[31m";
constexpr const char* kYellow = "\x1b[33m";
// On a screen of 80 columns shares are whole percents, and bars and names of GPUs are shorter, so that
// everything that a row ends with is there.
constexpr size_t kWideColumns = 96;
// A row has so many columns beside the slice's name, which has the rest, within bounds.
constexpr size_t kRowColumns = 72, kNarrowRowColumns = 68, kLeastNameColumns = 12, kMostNameColumns = 40;
constexpr size_t kMostEventLines = 6;

double number(const Json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_number() ? found->get<double>() : 0;
}

// Names may be anything: nothing of them is to reach the terminal as a command.
std::string printable(const std::string& text, size_t columns) {
  std::string safe;
  for (const char c : text) {
    if (safe.size() == columns) break;
    safe += c >= ' ' && c <= '~' ? c : '?';
  }
  return safe;
}

// One line: plain text, and how it looks.
struct Line {
  std::string text;
  const char* style = nullptr;
};

std::string styled(const Line& line, size_t width, bool colour) {
  std::string text = line.text.substr(0, width);
  if (line.style == nullptr) return text;
  if (line.style == kReverse) text.resize(width, ' ');
  // The cursor shows without colour, too: it is no colour.
  if (!colour && line.style != kReverse) return text;
  return line.style + text + kReset;
}

std::string bar(double part, size_t columns) {
  const auto filled = static_cast<size_t>(std::clamp(part, 0.0, 1.0) * static_cast<double>(columns) + 0.5);
  return "[" + std::string(filled, '#') + std::string(columns - filled, ' ') + "]";
}

// A slice as one row has it.
struct Row {
  const Json* slice = nullptr;
  std::string name;
  double used = 0, limit = 0, achieved = 0, entitled = 0, wait_ms = 0, launches = 0;
  bool has_wait = false, has_rate = false;
  size_t processes = 0;
  std::string gpus;
  std::string state;
};

double launches_of(const Json& slice) {
  double total = 0;
  for (const Json& device : json_array(slice, "devices")) total += number(device, "launches");
  return total;
}

const Json* find_slice(const TopSnapshot& snapshot, const std::string& name) {
  for (const Json& slice : snapshot.slices) {
    if (json_string(slice, "name") == name) return &slice;
  }
  return nullptr;
}

std::string state_of(const Json& slice) {
  if (json_bool(slice, "confined")) return "confined";
  if (json_bool(slice, "isolated")) return "isolated";
  for (const Json& device : json_array(slice, "devices")) {
    if (json_bool(device, "thrashing")) return "thrashing";
  }
  for (const Json& device : json_array(slice, "devices")) {
    if (json_string(device, "turn") == "waits") return "waits";
  }
  return json_array(slice, "processes").empty() ? "idle" : "";
}

// Slices that have work for a GPU and wait for their turn.
size_t queue_of(const TopSnapshot& snapshot, uint64_t gpu) {
  size_t waiting = 0;
  for (const Json& slice : snapshot.slices) {
    for (const Json& device : json_array(slice, "devices"))
      waiting += json_uint(device, "gpu") == gpu && json_string(device, "turn") == "waits" ? 1 : 0;
  }
  return waiting;
}

Row row_of(const Json& slice, const TopSnapshot& snapshot, const TopSnapshot& before) {
  constexpr double kNsPerMs = 1e6, kNsPerSecond = 1e9;
  Row row;
  row.slice = &slice;
  row.name = json_string(slice, "name");
  for (const Json& device : json_array(slice, "devices")) {
    row.used += number(device, "used_bytes");
    row.limit += number(device, "limit_bytes");
    row.achieved += number(device, "achieved_permille") / 10;
    row.entitled += number(device, "entitled_permille") / 10;
    row.has_wait = row.has_wait || json_uint(device, "wait_p99_ns").has_value();
    row.wait_ms = std::max(row.wait_ms, number(device, "wait_p99_ns") / kNsPerMs);
    row.gpus += (row.gpus.empty() ? "" : ",") + std::to_string(json_uint(device, "gpu").value_or(0));
  }
  const Json* then = find_slice(before, row.name);
  if (then != nullptr && snapshot.at_ns > before.at_ns) {
    const double seconds = static_cast<double>(snapshot.at_ns - before.at_ns) / kNsPerSecond;
    row.launches = std::max(launches_of(slice) - launches_of(*then), 0.0) / seconds;
    row.has_rate = true;
  }
  row.processes = json_array(slice, "processes").size();
  row.state = state_of(slice);
  return row;
}

bool comes_before(const Row& a, const Row& b, TopOrder order) {
  const auto more = [&](double x, double y) { return x != y ? x > y : a.name < b.name; };
  switch (order) {
    case TopOrder::kMemory:
      return more(a.used, b.used);
    case TopOrder::kShare:
      return more(a.achieved, b.achieved);
    case TopOrder::kWait:
      return more(a.wait_ms, b.wait_ms);
    case TopOrder::kLaunches:
      return more(a.launches, b.launches);
    case TopOrder::kName:
      break;
  }
  return a.name < b.name;
}

std::vector<Row> rows_of(const TopView& view, const TopSnapshot& snapshot, const TopSnapshot& before) {
  std::vector<Row> rows;
  for (const Json& slice : snapshot.slices) {
    if (json_string(slice, "name").find(view.filter) != std::string::npos)
      rows.push_back(row_of(slice, snapshot, before));
  }
  std::sort(rows.begin(), rows.end(), [&](const Row& a, const Row& b) {
    return view.reversed ? comes_before(b, a, view.order) : comes_before(a, b, view.order);
  });
  return rows;
}

// Where the cursor is; 0 where its slice is gone.
size_t cursor_of(const std::vector<Row>& rows, const TopView& view) {
  const auto found =
      std::find_if(rows.begin(), rows.end(), [&](const Row& row) { return row.name == view.selected; });
  return found == rows.end() ? 0 : static_cast<size_t>(found - rows.begin());
}

std::string counted(size_t count, const char* what, const char* plural) {
  return str_format("%zu %s%s", count, what, count == 1 ? "" : plural);
}

Line head_line(const TopView& view, const TopSnapshot& snapshot) {
  size_t processes = 0;
  for (const Json& slice : snapshot.slices) processes += json_array(slice, "processes").size();
  std::string text = "tessera top  " + snapshot.clock + "  " + counted(snapshot.gpus.size(), "GPU", "s") +
                     "  " + counted(snapshot.slices.size(), "slice", "s") + "  " +
                     counted(processes, "process", "es");
  size_t firing = 0;
  for (const Json& alert : snapshot.alerts) firing += json_string(alert, "state") == "firing" ? 1 : 0;
  if (firing > 0) text += "  " + counted(firing, "ALERT", "S");
  if (view.paused) text += "  paused";
  return {text, firing > 0 ? kRed : kBold};
}

Line gpu_line(const TopSnapshot& snapshot, const Json& gpu, size_t width) {
  const bool wide = width >= kWideColumns;
  const int name_columns = wide ? 20 : 14;
  const size_t bar_columns = wide ? 10 : 8;
  const uint64_t index = json_uint(gpu, "index").value_or(0);
  const auto percent = json_uint(gpu, "utilization_percent");
  const double total = number(gpu, "total_bytes"), used = number(gpu, "used_bytes");
  const std::string state = json_string(gpu, "state");
  std::string text =
      str_format("GPU %llu %-*s util %s %4s  mem %s %s/%s  queue %zu", static_cast<unsigned long long>(index),
                 name_columns, printable(json_string(gpu, "name"), static_cast<size_t>(name_columns)).c_str(),
                 bar(static_cast<double>(percent.value_or(0)) / 100, bar_columns).c_str(),
                 percent ? str_format("%llu%%", static_cast<unsigned long long>(*percent)).c_str() : "-",
                 bar(total > 0 ? used / total : 0, bar_columns).c_str(),
                 format_size(static_cast<uint64_t>(used)).c_str(),
                 format_size(static_cast<uint64_t>(total)).c_str(), queue_of(snapshot, index));
  if (state == "ok") return {text};
  // It matters more than how busy it is.
  return {str_format("GPU %llu %-*s %s", static_cast<unsigned long long>(index), name_columns,
                     printable(json_string(gpu, "name"), static_cast<size_t>(name_columns)).c_str(),
                     state.c_str()) +
              "  mem " + format_size(static_cast<uint64_t>(total)),
          kRed};
}

size_t name_columns(size_t width) {
  const size_t others = width >= kWideColumns ? kRowColumns : kNarrowRowColumns;
  return std::clamp(width - std::min(width, others), kLeastNameColumns, kMostNameColumns);
}

std::string cells(size_t width, const std::string& name, const char* gpu, const char* memory,
                  const char* bar_text, const char* share, const char* wait, const char* launches,
                  const char* processes, const char* state) {
  const size_t columns = name_columns(width);
  const int share_columns = width >= kWideColumns ? 12 : 8;
  return str_format("%-*s %-3.3s %-15s %-6s %*s %7s %7s %4s %s", static_cast<int>(columns),
                    printable(name, columns).c_str(), gpu, memory, bar_text, share_columns, share, wait,
                    launches, processes, state);
}

std::string wait_text(double ms) {
  return ms < 1000 ? str_format("%.1fms", ms) : str_format("%.1fs", ms / 1000);
}

Line slice_line(const Row& row, size_t width) {
  const std::string memory =
      format_size(static_cast<uint64_t>(row.used)) + "/" + format_size(static_cast<uint64_t>(row.limit));
  const std::string wait = row.has_wait ? wait_text(row.wait_ms) : "-";
  const std::string launches = !row.has_rate        ? "-"  // one look tells of no rate
                               : row.launches < 1e6 ? str_format("%.0f", row.launches)
                                                    : str_format("%.1fM", row.launches / 1e6);
  const std::string share =
      str_format(width >= kWideColumns ? "%.1f/%.1f%%" : "%.0f/%.0f%%", row.achieved, row.entitled);
  return {cells(width, row.name, row.gpus.c_str(), memory.c_str(),
                bar(row.limit > 0 ? row.used / row.limit : 0, 4).c_str(), share.c_str(), wait.c_str(),
                launches.c_str(), std::to_string(row.processes).c_str(), row.state.c_str()),
          row.state.empty() || row.state == "idle" ? nullptr : kYellow};
}

Line heading(size_t width) {
  const char* share = width >= kWideColumns ? "HAD/ENTITLED" : "HAD/OF";
  return {cells(width, "SLICE", "GPU", "MEMORY", "", share, "WAIT99", "LNCH/s", "PROC", "STATE"), kBold};
}

Line event_line(const Json& event, uint64_t now_ms) {
  constexpr double kMsPerSecond = 1000;
  const std::string severity = json_string(event, "severity"), subject = json_string(event, "subject");
  std::string text = json_string(event, "kind");
  if (!subject.empty()) text += " " + subject;
  if (!json_string(event, "text").empty()) text += ": " + json_string(event, "text");
  const double ago_s = (static_cast<double>(now_ms) - number(event, "time_ms")) / kMsPerSecond;
  return {str_format("%7s ago  ", format_age(ago_s).c_str()) + printable(text, 400),
          severity == "critical"  ? kRed
          : severity == "warning" ? kYellow
                                  : nullptr};
}

void add_alerts(const TopSnapshot& snapshot, std::vector<Line>& lines) {
  for (const Json& alert : snapshot.alerts) {
    if (json_string(alert, "state") == "firing")
      lines.push_back({"! " + printable(json_string(alert, "summary"), 400), kRed});
  }
}

// The bound that 99 of 100 timed kernels did not exceed.
std::string run_p99(const Json& device, double timed) {
  double up_to = 0;
  size_t bucket = 0;
  for (const Json& count : json_array(device, "timed_kernel_buckets")) {
    up_to += count.is_number() ? count.get<double>() : 0;
    if (up_to >= 0.99 * timed && bucket < cuda::kRunTimeBuckets)
      return str_format("%g ms", static_cast<double>(cuda::kRunTimeBoundsNs[bucket]) / 1e6);
    ++bucket;
  }
  return "more than 1 s";
}

// Every figure of the slice's part of each GPU, and its processes.
void add_details(const Json& slice, std::vector<Line>& lines) {
  lines.push_back({"slice " + printable(json_string(slice, "name"), 63) + ", " +
                       format_age(number(slice, "age_seconds")) + " old",
                   kBold});
  for (const Json& device : json_array(slice, "devices")) {
    const auto size = [&](const char* key) {
      return format_size(static_cast<uint64_t>(number(device, key)));
    };
    const auto count = [&](const char* key) { return str_format("%.0f", number(device, key)); };
    lines.push_back({"GPU " + count("gpu"), kBold});
    lines.push_back({"  memory    used " + size("used_bytes") + " of " + size("limit_bytes") + ", granted " +
                     size("granted_bytes") + ", peak " + size("peak_bytes") + ", refusals " +
                     count("refusals")});
    const double lent = number(device, "lent_permille") / 10;
    lines.push_back({str_format(
        "  share     achieved %.1f%%, entitled %.1f%%, %s %.1f%%", number(device, "achieved_permille") / 10,
        number(device, "entitled_permille") / 10, lent < 0 ? "borrowed" : "lent", std::abs(lent))});
    lines.push_back({str_format("  waits     p99 %.3f ms for turns, %.1f s in all; at the gate %s",
                                number(device, "wait_p99_ns") / 1e6, number(device, "turn_wait_ns") / 1e9,
                                count("gate_waits").c_str())});
    lines.push_back({str_format("  work      %.1f GPU s, ", number(device, "gpu_seconds")) +
                     count("launches") + " launches (" + count("graph_launches") + " of graphs, " +
                     count("cooperative_launches") + " cooperative)"});
    if (const double timed = number(device, "timed_kernels"); timed > 0) {
      lines.push_back(
          {str_format("  kernels   %.0f timed, %.3f ms each, 99 of 100 within %s", timed,
                      number(device, "timed_kernel_ns") / timed / 1e6, run_p99(device, timed).c_str())});
    }
    lines.push_back({"  copied    to it " + size("bytes_to_device") + ", from it " +
                     size("bytes_from_device") + ", on it " + size("bytes_on_device")});
    lines.push_back({"  failures  errors " + count("errors") + ", processes that failed " + count("faults")});
  }
  lines.push_back({"PROCESSES", kBold});
  for (const Json& process : json_array(slice, "processes")) {
    double used = 0;
    for (const Json& bytes : json_array(process, "used_bytes"))
      used += bytes.is_number() ? bytes.get<double>() : 0;
    lines.push_back({str_format("  %-10.0f %-10s %s%s", number(process, "pid"),
                                format_size(static_cast<uint64_t>(used)).c_str(),
                                format_age(number(process, "age_seconds")).c_str(),
                                json_bool(process, "round_the_gate") ? "  goes round the gate" : "")});
  }
}

void add_help(std::vector<Line>& lines) {
  for (const char* text :
       {"  q        end", "  s        sort by the next column", "  r        the other way round",
        "  /        show only slices whose name has ...", "  up down  move the cursor (j k)",
        "  enter    the slice under it in detail", "  esc      back; forget the filter", "  p        pause",
        "  c        with and without colour", "  ?        this"})
    lines.push_back({text});
}

std::string foot(const TopView& view, const TopSnapshot& snapshot) {
  if (view.typing) return "filter: " + view.filter + "_";
  if (!snapshot.problem.empty()) return "not up to date: " + printable(snapshot.problem, 400);
  std::string text = "q end  s sort: " + std::string(top_order_name(view.order)) +
                     (view.reversed ? " (reversed)" : "") + "  / filter";
  if (!view.filter.empty()) text += ": " + view.filter;
  return text + "  enter detail  ? help";
}

// The rows that fit, with the cursor among them.
void add_rows(const TopView& view, const std::vector<Row>& rows, size_t width, size_t room,
              std::vector<Line>& lines) {
  if (rows.empty()) lines.push_back({view.filter.empty() ? "  no slice" : "  no slice of that name"});
  const size_t cursor = cursor_of(rows, view);
  const size_t first = cursor >= room ? cursor - room + 1 : 0;
  for (size_t i = first; i < rows.size() && i < first + room; ++i) {
    Line line = slice_line(rows[i], width);
    if (i == cursor && !view.selected.empty()) line.style = kReverse;
    lines.push_back(line);
  }
}

std::vector<Line> body(const TopView& view, const TopSnapshot& snapshot, const TopSnapshot& before,
                       size_t width, size_t height) {
  std::vector<Line> lines;
  const Json* drilled = view.drilled.empty() ? nullptr : find_slice(snapshot, view.drilled);
  if (view.help) {
    add_help(lines);
    return lines;
  }
  if (!view.drilled.empty()) {
    if (drilled == nullptr) lines.push_back({"slice " + printable(view.drilled, 63) + " has ended"});
    if (drilled != nullptr) add_details(*drilled, lines);
    return lines;
  }
  for (const Json& gpu : snapshot.gpus) {
    if (lines.size() < height / 3) lines.push_back(gpu_line(snapshot, gpu, width));
  }
  add_alerts(snapshot, lines);
  lines.resize(std::min(lines.size(), height / 2));
  lines.push_back(heading(width));
  const std::vector<Row> rows = rows_of(view, snapshot, before);
  const size_t events = std::min(
      {snapshot.events.size(), kMostEventLines, height > lines.size() + 4 ? (height - lines.size()) / 2 : 0});
  const size_t left = height > lines.size() ? height - lines.size() : 1;
  add_rows(view, rows, width, std::max<size_t>(left > events + 1 ? left - events - 1 : left, 1), lines);
  if (events == 0) return lines;
  lines.push_back({"EVENTS", kBold});
  for (size_t i = snapshot.events.size() - events; i < snapshot.events.size(); ++i)
    lines.push_back(event_line(snapshot.events[i], snapshot.wall_ms));
  return lines;
}

void move_cursor(TopView& view, const TopSnapshot& snapshot, int by) {
  const std::vector<Row> rows = rows_of(view, snapshot, snapshot);
  if (rows.empty()) return;
  const auto last = static_cast<long>(rows.size()) - 1;
  const long at = view.selected.empty() && by > 0 ? -1 : static_cast<long>(cursor_of(rows, view));
  view.selected = rows[static_cast<size_t>(std::clamp<long>(at + by, 0, last))].name;
}

void type(TopView& view, const std::string& key) {
  constexpr size_t kMostFilterBytes = 63;
  if (key == "\r" || key == "\n") {
    view.typing = false;
  } else if (key == "\x1b") {
    view.typing = false;
    view.filter.clear();
  } else if (key == "\x7f" || key == "\b") {
    if (!view.filter.empty()) view.filter.pop_back();
  } else if (key.size() == 1 && key[0] >= ' ' && key[0] <= '~' && view.filter.size() < kMostFilterBytes) {
    view.filter += key;
  }
}

}  // namespace

const char* top_order_name(TopOrder order) {
  constexpr const char* kNames[kTopOrders] = {"name", "memory", "share", "wait", "launches"};
  return kNames[static_cast<size_t>(order)];
}

bool top_key(TopView& view, const TopSnapshot& snapshot, const std::string& key) {
  if (key == "\x03") return false;
  if (view.typing) {
    type(view, key);
    return true;
  }
  if (key == "q") return false;
  if (key == "s") view.order = static_cast<TopOrder>((static_cast<size_t>(view.order) + 1) % kTopOrders);
  if (key == "r") view.reversed = !view.reversed;
  if (key == "c") view.colour = !view.colour;
  if (key == "p") view.paused = !view.paused;
  if (key == "?" || key == "h") view.help = !view.help;
  if (key == "/") view.typing = true;
  if (key == "\x1b[A" || key == "k") move_cursor(view, snapshot, -1);
  if (key == "\x1b[B" || key == "j") move_cursor(view, snapshot, 1);
  if (key == "\r" || key == "\n") {
    if (view.selected.empty()) move_cursor(view, snapshot, 1);
    view.drilled = view.selected;
  }
  if (key == "\x1b" || key == "\x7f") {
    if (view.help)
      view.help = false;
    else if (!view.drilled.empty())
      view.drilled.clear();
    else
      view.filter.clear();
  }
  return true;
}

std::vector<std::string> top_lines(const TopView& view, const TopSnapshot& snapshot,
                                   const TopSnapshot& before, size_t width, size_t height) {
  std::vector<Line> lines = {head_line(view, snapshot)};
  const size_t room = height > 2 ? height - 2 : 1;
  for (Line& line : body(view, snapshot, before, width, room)) lines.push_back(std::move(line));
  lines.resize(std::min(lines.size(), room + 1));
  std::vector<std::string> shown;
  for (const Line& line : lines) shown.push_back(styled(line, width, view.colour));
  shown.resize(height > 1 ? height - 1 : 1);
  shown.push_back(styled({foot(view, snapshot), kReverse}, width, view.colour));
  shown.resize(height);
  return shown;
}

}  // namespace tessera::cli
