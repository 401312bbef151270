#include "node/history_keeper.h"

#include <cstdlib>
#include <memory>
#include <optional>

#include "node/figures.h"
#include "node/history_sample.h"

namespace tessera::node {
namespace {

using monitoring::HistoryStore;

class Keeper {
 public:
  Keeper(std::string path, FILE* output) : path_(std::move(path)), output_(output) {}

  void hear(std::string_view line) {
    if (!line.empty() && line.front() != '{') {
      if (const auto sample = parse_sample_line(line)) add(*sample);
      return;
    }
    const auto object = parse_json_object(line);
    if (!object) return;
    if (object->contains("ask")) {
      answer(*object);
    } else if (const auto time = json_uint(*object, "commit")) {
      commit(static_cast<int64_t>(*time));
    }
  }

 private:
  void tell(const Json& object) {
    fputs((json_text(object) + "\n").c_str(), output_);
    fflush(output_);
  }

  // A file that cannot be opened now may be later.
  bool open() {
    if (store_) return true;
    auto opened = HistoryStore::open(path_, {.is_kept_long = &is_kept_long});
    if (!opened.ok()) {
      lost(opened.status());
      return false;
    }
    if (!opened->remark.empty()) tell({{"remark", opened->remark}, {"what", "moved_aside"}, {"why", path_}});
    store_ = std::make_unique<HistoryStore>(std::move(opened->store));
    return true;
  }

  void lost(const Status& why) {
    sample_failed_ = true;
    // It is opened anew, which moves it aside.
    if (why.code() == Code::kInvalidData) store_.reset();
    if (!std::exchange(loses_, true))
      tell({{"remark", "samples are lost: " + why.message()}, {"what", "lost"}, {"why", why.message()}});
  }

  void add(const SampleLine& sample) {
    if (sample_failed_ || !open()) return;
    std::optional<int64_t> age_ms;
    if (sample.age_ms) age_ms = static_cast<int64_t>(*sample.age_ms);
    const Status added =
        store_->add(static_cast<int64_t>(sample.time_ms), sample.subject, sample.figures, age_ms);
    if (!added.ok()) lost(added);
  }

  void commit(int64_t time_ms) {
    if (std::exchange(sample_failed_, false) || !open()) {
      sample_failed_ = false;
      return;
    }
    const Status committed = store_->commit(time_ms);
    if (!committed.ok()) {
      lost(committed);
      sample_failed_ = false;
    } else if (std::exchange(loses_, false)) {
      tell({{"remark", "samples are kept again"}, {"what", "kept"}, {"why", ""}});
    }
  }

  void answer(const Json& object) {
    Json reply;
    reply["answer"] = object["ask"];
    const auto found = ask(object);
    if (found.ok()) {
      reply["history"] = history_json(*found);
    } else {
      reply["code"] = code_name(found.status().code());
      reply["message"] = found.status().message();
    }
    tell(reply);
  }

  Result<monitoring::HistoryAnswer> ask(const Json& object) {
    if (!open()) return Status(Code::kUnavailable, "the history cannot be read now");
    monitoring::HistoryQuery query;
    for (const Json& name : json_array(object, "metrics")) {
      if (name.is_string()) query.metrics.push_back(name.get<std::string>());
    }
    if (object.contains("slice")) query.slice = json_string(object, "slice");
    if (const auto gpu = json_uint(object, "gpu")) query.gpu = static_cast<uint32_t>(*gpu);
    query.since_ms = static_cast<int64_t>(json_uint(object, "since_ms").value_or(0));
    query.until_ms = static_cast<int64_t>(json_uint(object, "until_ms").value_or(0));
    query.now_ms = static_cast<int64_t>(json_uint(object, "now_ms").value_or(0));
    query.points = static_cast<int64_t>(json_uint(object, "points").value_or(1));
    return store_->query(query);
  }

  const std::string path_;
  FILE* const output_;
  std::unique_ptr<HistoryStore> store_;
  bool sample_failed_ = false;
  bool loses_ = false;
};

std::string_view without_end(std::string_view line) {
  return line.substr(0, line.find_last_not_of('\n') + 1);
}

}  // namespace

Json history_json(const monitoring::HistoryAnswer& answer) {
  Json object;
  object["step_ms"] = answer.step_ms;
  object["series"] = Json::array();
  for (const monitoring::HistorySeries& series : answer.series) {
    Json entry;
    entry["metric"] = series.metric;
    entry["labels"] = Json::object();
    if (!series.subject.slice.empty()) entry["labels"]["slice"] = series.subject.slice;
    if (series.subject.gpu) entry["labels"]["gpu"] = std::to_string(*series.subject.gpu);
    entry["points"] = Json::array();
    for (const auto& point : series.points)
      entry["points"].push_back(
          Json::array({point.time_ms, point.mean, point.least, point.most, point.seconds}));
    object["series"].push_back(std::move(entry));
  }
  object["truncated"] = answer.truncated;
  return object;
}

int keep_history(const std::string& path, FILE* input, FILE* output) {
  Keeper keeper(path, output);
  char* line = nullptr;
  size_t room = 0;
  for (;;) {
    const ssize_t size = getline(&line, &room, input);
    if (size < 0) break;
    keeper.hear(without_end({line, static_cast<size_t>(size)}));
  }
  free(line);
  return 0;
}

}  // namespace tessera::node
