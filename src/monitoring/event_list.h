// What has happened on the node, for people: a bounded list, the oldest first. Pure; times are given to it.
#pragma once

#include <cstdint>
#include <deque>
#include <string>

namespace tessera::monitoring {

enum class Severity : uint8_t { kInfo, kWarning, kCritical };

constexpr const char* severity_name(Severity severity) {
  constexpr const char* kNames[] = {"info", "warning", "critical"};
  return kNames[static_cast<size_t>(severity)];
}

struct Event {
  uint64_t number = 0;   // 1, 2, …: whoever knows one asks for those after it
  uint64_t time_ms = 0;  // since 1970
  Severity severity = Severity::kInfo;
  const char* kind = "";  // a constant, as "slice_opened"; docs/api.md lists them
  std::string subject;    // a slice's name or a GPU's UUID; empty: the node
  std::string text;
};

class EventList {
 public:
  static constexpr size_t kMost = 2048;
  static constexpr size_t kMaxTextBytes = 512;

  void add(uint64_t time_ms, Severity severity, const char* kind, std::string subject, std::string text) {
    if (events_.size() == kMost) events_.pop_front();
    if (text.size() > kMaxTextBytes) text.resize(kMaxTextBytes);
    events_.push_back({++latest_, time_ms, severity, kind, std::move(subject), std::move(text)});
  }
  const std::deque<Event>& events() const { return events_; }
  uint64_t latest() const { return latest_; }

 private:
  std::deque<Event> events_;
  uint64_t latest_ = 0;
};

}  // namespace tessera::monitoring
