// Events as answers have them.
#pragma once

#include <algorithm>

#include "monitoring/event_list.h"
#include "node/json.h"

namespace tessera::node {

inline constexpr size_t kMostEvents = 500;  // of one answer

// {"latest", "events": [...]}: of those after number `after` at most the latest `most`.
inline Json events_json(const monitoring::EventList& list, uint64_t after, uint64_t most) {
  const auto& all = list.events();
  const size_t count = std::min<uint64_t>(most, kMostEvents);
  size_t first = all.size() > count ? all.size() - count : 0;
  while (first < all.size() && all[first].number <= after) ++first;
  Json answer;
  answer["latest"] = list.latest();
  answer["events"] = Json::array();
  for (; first < all.size(); ++first) {
    const monitoring::Event& event = all[first];
    Json details = Json::object();
    for (const monitoring::EventDetail& detail : event.details)
      details[detail.name] = detail.is_number ? Json(detail.number) : Json(detail.words);
    answer["events"].push_back({{"number", event.number},
                                {"time_ms", event.time_ms},
                                {"severity", monitoring::severity_name(event.severity)},
                                {"kind", event.kind},
                                {"subject", event.subject},
                                {"text", event.text},
                                {"details", std::move(details)}});
  }
  return answer;
}

}  // namespace tessera::node
