// The daemon's side of its history: what the keeper is told and asked, see history_keeper.h.
#pragma once

#include <functional>
#include <map>
#include <set>
#include <string>

#include "monitoring/event_list.h"
#include "monitoring/history/history_store.h"
#include "node/json.h"
#include "node/line_child.h"

namespace tessera::node {

class HistoryLink {
 public:
  static constexpr uint64_t kPatienceNs = 10'000'000'000;
  static constexpr size_t kMostAsked = 64;  // at once

  using Answered = std::function<void(Result<Json> history)>;
  using Remark = std::function<void(const std::string& text, monitoring::EventDetails details)>;

  HistoryLink(EventLoop& loop, std::vector<std::string> command, Remark remark);

  // `age_ms`: see HistoryStore::add.
  void add(uint64_t wall_ms, std::optional<uint64_t> age_ms, const monitoring::Subject& subject,
           const std::vector<monitoring::Figure>& figures);
  void commit(uint64_t wall_ms);
  // `answered` is called once, never before this returns.
  Status ask(const monitoring::HistoryQuery& query, Answered answered);

  void tick(uint64_t now_ns);
  std::optional<uint64_t> next_deadline_ns() const;

 private:
  static constexpr size_t kMostAtOnce = 256 * 1024;  // bytes of a sample

  void tell_sample();
  void hear(const std::string& line);
  void answer_all(const Status& why);

  struct Asked {
    Answered answered;
    uint64_t until_ns;
  };
  EventLoop& loop_;
  Remark remark_;
  std::map<uint64_t, Asked> asked_;  // by number: the first is due first
  uint64_t next_ = 1;
  std::string sample_;  // what of it has not been told
  LineChild child_;
};

}  // namespace tessera::node
