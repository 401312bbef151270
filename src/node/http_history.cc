#include "node/http_history.h"

#include <algorithm>

#include "common/strings.h"
#include "monitoring/alerts/alert_rules.h"
#include "node/figures.h"
#include "node/json.h"

namespace tessera::node {
namespace {

constexpr size_t kMostMetrics = 32;

std::string key_of(const HttpRequest& request) {
  std::string key;
  for (const char* name : {"metric", "gpu", "slice", "since", "points"}) {
    const auto value = request.query(name);
    key += value ? "=" + std::string(*value) + "\n" : "\n";
  }
  return key;
}

Status add_metrics(std::string_view list, monitoring::HistoryQuery& query) {
  for (const std::string_view name : split(list, ',')) {
    const monitoring::Metric* metric = find_figure(name);
    if (metric == nullptr) {
      return Status::error(Code::kNotFound,
                           "'%.*s' is no metric of the history; 'tessera history --list' names them",
                           static_cast<int>(std::min<size_t>(name.size(), 80)), name.data());
    }
    query.metrics.emplace_back(short_name(*metric));
  }
  if (query.metrics.size() > kMostMetrics)
    return Status::error(Code::kInvalidArgument, "at most %zu metrics at once", kMostMetrics);
  return Status();
}

unsigned http_status(const Status& status) {
  switch (status.code()) {
    case Code::kInvalidArgument:
      return 400;
    case Code::kNotFound:
      return 404;
    default:
      return 503;
  }
}

}  // namespace

Result<monitoring::HistoryQuery> parse_history_request(
    const std::function<std::optional<std::string_view>(const char* key)>& parameter, int64_t now_ms) {
  monitoring::HistoryQuery query;
  const auto metrics = parameter("metric");
  if (!metrics || metrics->empty())
    return Status(Code::kInvalidArgument, "say which metric, as ?metric=gpu_memory_used_bytes");
  TESSERA_RETURN_IF_ERROR(add_metrics(*metrics, query));
  if (const auto slice = parameter("slice")) query.slice = std::string(*slice);
  if (const auto gpu = parameter("gpu")) {
    const auto index = parse_uint(*gpu);
    if (!index || *index > UINT32_MAX) return Status(Code::kInvalidArgument, "gpu is an index");
    query.gpu = static_cast<uint32_t>(*index);
  }
  TESSERA_ASSIGN_OR_RETURN(const int64_t since_ms,
                           monitoring::parse_span_ms(parameter("since").value_or("1h")));
  query.now_ms = query.until_ms = now_ms;
  query.since_ms = std::max<int64_t>(now_ms - since_ms, 0);
  if (const auto points = parameter("points")) {
    const auto count = parse_uint(*points);
    if (!count || *count == 0 || *count > static_cast<uint64_t>(monitoring::kMostPoints))
      return Status::error(Code::kInvalidArgument, "points is a number from 1 to %d",
                           static_cast<int>(monitoring::kMostPoints));
    query.points = static_cast<int64_t>(*count);
  }
  return query;
}

std::optional<HttpAnswer> HttpHistory::answer(const HttpRequest& request) {
  const std::string what = key_of(request);
  drop_old();
  if (const auto page = pages_.find(what); page != pages_.end()) return page->second.answer;
  const auto query = parse_history_request([&](const char* key) { return request.query(key); },
                                           static_cast<int64_t>(loop_.wall_ms()));
  if (!query.ok()) return http_error(http_status(query.status()), query.status());
  if (pages_.size() >= kMostKept)
    return http_error(503,
                      Status(Code::kResourceExhausted, "too many ask for the history at once; ask again"));
  ask(what, *query);
  return pages_.at(what).answer;
}

void HttpHistory::ask(const std::string& what, const monitoring::HistoryQuery& query) {
  Page& page = pages_[what];
  const Status asked = history_.ask(query, [this, what](const Result<Json>& history) {
    Page& answered = pages_[what];
    answered.made_ns = loop_.now_ns();
    if (history.ok()) {
      Json whole;
      whole["time_ms"] = loop_.wall_ms();
      whole.update(*history);
      answered.answer = http_text(200, "application/json", json_text(whole) + "\n");
    } else {
      answered.answer = http_error(503, history.status());
    }
    ready_();
  });
  if (asked.ok()) return;
  page.made_ns = loop_.now_ns();
  page.answer = http_error(503, asked);
}

void HttpHistory::drop_old() {
  const uint64_t now_ns = loop_.now_ns();
  std::erase_if(pages_, [&](const auto& entry) {
    return entry.second.answer && now_ns - entry.second.made_ns >= kKeptNs;
  });
}

}  // namespace tessera::node
