// What has happened on the node, for people: a bounded list, the oldest first. Pure; times are given to it.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <utility>
#include <vector>

namespace tessera::monitoring {

enum class Severity : uint8_t { kInfo, kWarning, kCritical };

constexpr const char* severity_name(Severity severity) {
  constexpr const char* kNames[] = {"info", "warning", "critical"};
  return kNames[static_cast<size_t>(severity)];
}

// What an event's text says, by names, for who says it in other words; docs/api.md has those of each kind.
struct EventDetail {
  EventDetail(const char* of, uint64_t value) : name(of), number(value) {}
  EventDetail(const char* of, std::string value) : name(of), words(std::move(value)), is_number(false) {}

  const char* name;
  uint64_t number = 0;
  std::string words{};
  bool is_number = true;
};
using EventDetails = std::vector<EventDetail>;

struct Event {
  uint64_t number = 0;   // 1, 2, …: whoever knows one asks for those after it
  uint64_t time_ms = 0;  // since 1970
  Severity severity = Severity::kInfo;
  const char* kind = "";  // a constant, as "slice_opened"; docs/api.md lists them
  std::string subject;    // a slice's name or a GPU's UUID; empty: the node
  std::string text;
  EventDetails details{};
};

class EventList {
 public:
  static constexpr size_t kMost = 2048;
  static constexpr size_t kMaxTextBytes = 512;

  void add(uint64_t time_ms, Severity severity, const char* kind, std::string subject, std::string text,
           EventDetails details = {}) {
    if (events_.size() == kMost) events_.pop_front();
    shorten(text);
    for (EventDetail& detail : details) shorten(detail.words);
    events_.push_back(
        {++latest_, time_ms, severity, kind, std::move(subject), std::move(text), std::move(details)});
  }
  const std::deque<Event>& events() const { return events_; }
  uint64_t latest() const { return latest_; }

 private:
  static void shorten(std::string& text) {
    if (text.size() > kMaxTextBytes) text.resize(kMaxTextBytes);
  }
  std::deque<Event> events_;
  uint64_t latest_ = 0;
};

}  // namespace tessera::monitoring
