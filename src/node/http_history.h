// /api/v1/history: what a request asks for is asked of the history once, and answered when that has.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "node/history_link.h"
#include "node/http_server.h"

namespace tessera::node {

class HttpHistory {
 public:
  // `ready` is called when requests that had no answer have one.
  HttpHistory(EventLoop& loop, HistoryLink& history, std::function<void()> ready)
      : loop_(loop), history_(history), ready_(std::move(ready)) {}

  // Nothing: not yet.
  std::optional<HttpAnswer> answer(const HttpRequest& request);

 private:
  static constexpr uint64_t kKeptNs = 1'000'000'000;
  static constexpr size_t kMostKept = 64;
  struct Page {
    std::optional<HttpAnswer> answer;
    uint64_t made_ns = 0;
  };

  void ask(const std::string& what, const monitoring::HistoryQuery& query);
  void drop_old();

  EventLoop& loop_;
  HistoryLink& history_;
  std::function<void()> ready_;
  std::map<std::string, Page> pages_;  // by what was asked for
};

// What a request's parameters ask for; an error names the one that is wrong.
Result<monitoring::HistoryQuery> parse_history_request(
    const std::function<std::optional<std::string_view>(const char* key)>& parameter, int64_t now_ms);

}  // namespace tessera::node
