#include "node/history_link.h"

#include "common/log.h"
#include "node/history_sample.h"

namespace tessera::node {

HistoryLink::HistoryLink(EventLoop& loop, std::vector<std::string> command, Remark remark)
    : loop_(loop),
      remark_(std::move(remark)),
      child_(loop, "history", std::move(command),
             {[this](const std::string& line) { hear(line); },
              [this] {
                answer_all(Status(Code::kUnavailable, "the history's process has ended; ask again"));
              }}) {
  child_.start(loop.now_ns());
}

void HistoryLink::add(uint64_t wall_ms, std::optional<uint64_t> age_ms, const monitoring::Subject& subject,
                      const std::vector<monitoring::Figure>& figures) {
  if (figures.empty()) return;
  append_sample_line(sample_, wall_ms, age_ms, subject, figures);
  if (sample_.size() >= kMostAtOnce) tell_sample();
}

void HistoryLink::commit(uint64_t wall_ms) {
  sample_ += json_text({{"commit", wall_ms}}) + "\n";
  tell_sample();
}

// Many lines at once: each that is written wakes the keeper.
void HistoryLink::tell_sample() {
  sample_.pop_back();  // which LineChild adds
  child_.tell(sample_);
  sample_.clear();
}

Status HistoryLink::ask(const monitoring::HistoryQuery& query, Answered answered) {
  if (asked_.size() >= kMostAsked)
    return Status(Code::kResourceExhausted, "too many ask for the history at once; ask again");
  Json line;
  line["ask"] = next_;
  line["metrics"] = query.metrics;
  if (query.slice) line["slice"] = *query.slice;
  if (query.gpu) line["gpu"] = *query.gpu;
  line["since_ms"] = static_cast<uint64_t>(query.since_ms);
  line["until_ms"] = static_cast<uint64_t>(query.until_ms);
  line["now_ms"] = static_cast<uint64_t>(query.now_ms);
  line["points"] = static_cast<uint64_t>(query.points);
  if (!child_.tell(json_text(line)))
    return Status(Code::kUnavailable, "the history does not keep up; ask again");
  asked_.emplace(next_++, Asked{std::move(answered), loop_.now_ns() + kPatienceNs});
  return Status();
}

void HistoryLink::hear(const std::string& line) {
  auto object = parse_json_object(line);
  if (!object) return;
  const std::string remark = json_string(*object, "remark");
  if (!remark.empty()) {
    LOG_WARN("history", "%s", remark.c_str());
    remark_(remark, {{"what", json_string(*object, "what")}, {"why", json_string(*object, "why")}});
    return;
  }
  const auto found = asked_.find(json_uint(*object, "answer").value_or(0));
  if (found == asked_.end()) return;  // too late
  const Answered answered = std::move(found->second.answered);
  asked_.erase(found);
  if (object->contains("history")) {
    answered(std::move((*object)["history"]));
  } else {
    answered(Status(Code::kUnavailable, json_string(*object, "message")));
  }
}

void HistoryLink::answer_all(const Status& why) {
  const auto asked = std::exchange(asked_, {});
  for (const auto& [number, one] : asked) one.answered(why);
}

void HistoryLink::tick(uint64_t now_ns) {
  child_.tick(now_ns);
  while (!asked_.empty() && now_ns >= asked_.begin()->second.until_ns) {
    const Answered answered = std::move(asked_.begin()->second.answered);
    asked_.erase(asked_.begin());
    answered(Status(Code::kDeadlineExceeded, "the history does not answer"));
  }
}

std::optional<uint64_t> HistoryLink::next_deadline_ns() const {
  std::optional<uint64_t> due = child_.next_deadline_ns();
  if (!asked_.empty() && (!due || asked_.begin()->second.until_ns < *due))
    due = asked_.begin()->second.until_ns;
  return due;
}

}  // namespace tessera::node
