#include "cli/serve_limits.h"

#include <algorithm>
#include <set>

#include "cli/identity_options.h"
#include "common/strings.h"

namespace tessera::cli {
namespace {

using node::Json;

// A limit in bytes a second, or null.
Json rate_json(uint64_t rate, uint64_t none) { return rate == none ? Json(nullptr) : Json(rate); }

Json terms_json(const RateTerms& terms) {
  return {{"most", rate_json(terms.ceiling, UINT64_MAX)},
          {"guaranteed", rate_json(terms.guaranteed, 0)},
          {"weight", terms.weight}};
}

template <typename T>
Json optional_json(const std::optional<T>& value) {
  return value ? Json(*value) : Json(nullptr);
}

Json way_json(const remote::SessionFigures::OneWay& way) {
  return {{"rate", rate_json(way.rate, UINT64_MAX)}, {"bytes", way.bytes}, {"held_up", way.held_up}};
}

std::string id_text(const remote::SessionId& id) {
  std::string text;
  for (const std::byte byte : id) text += str_format("%02x", static_cast<unsigned>(byte));
  return text;
}

Json session_json(const remote::SessionFigures& session) {
  return {{"session", id_text(session.id)},
          {"identity", session.identity},
          {"pid", session.pid},
          {"peer", session.peer},
          {"seconds", session.seconds},
          {"download", way_json(session.download)},
          {"upload", way_json(session.upload)}};
}

Status no_text(const std::string& name) {
  return Status::error(Code::kInvalidArgument, "%s: a text is expected", name.c_str());
}

}  // namespace

std::string ServeLimits::answer(const std::string& question) {
  const auto asked = node::parse_json_object(question);
  const Status status =
      asked ? change(*asked) : Status(Code::kInvalidArgument, "a question is a JSON object");
  Json answer{{"ok", status.ok()}};
  if (status.ok()) {
    answer.update(describe());
  } else {
    answer["message"] = status.message();
  }
  return node::json_text(answer);
}

Status ServeLimits::change(const Json& question) {
  const auto set = question.find("set");
  if (set == question.end()) return Status();
  if (!set->is_object()) return Status(Code::kInvalidArgument, "set: an object is expected");
  const std::string name = node::json_string(question, "identity");
  return name.empty() ? change_server(*set) : change_identity(name, *set);
}

Status ServeLimits::change_server(const Json& set) {
  remote::BandwidthOptions bandwidth = front_->bandwidth();
  size_t most_sessions = front_->most_sessions();
  for (const auto& [name, value] : set.items()) {
    if (!value.is_string()) return no_text(name);
    const auto text = value.get<std::string>();
    if (name == "max-sessions") {
      const auto count = parse_uint(text);
      if (!count || *count < 1 || *count > 100'000)
        return Status(Code::kInvalidArgument, "max-sessions is a number from 1 to 100000");
      most_sessions = *count;
    } else if (name == "download" || name == "upload") {
      TESSERA_ASSIGN_OR_RETURN(const uint64_t rate, parse_rate_limit(text, 0));
      (name == "download" ? bandwidth.download : bandwidth.upload) = rate;
    } else {
      return Status::error(Code::kInvalidArgument, "%s is an identity's: name one", name.c_str());
    }
  }
  front_->set_most_sessions(most_sessions);
  front_->set_bandwidth(std::move(bandwidth));
  return Status();
}

bool ServeLimits::is_known(const std::string& name) const {
  if (front_->known().find(name) != nullptr || name == remote::Identities::kNobody) return true;
  const auto all = front_->figures();
  return std::any_of(all.begin(), all.end(), [&](const auto& session) { return session.identity == name; });
}

Status ServeLimits::change_identity(const std::string& name, const Json& set) {
  if (!is_known(name)) return Status::error(Code::kNotFound, "nobody is called '%s' there", name.c_str());
  const remote::Identity* const known = front_->known().find(name);
  remote::Identity identity;
  if (known != nullptr) {
    identity.sessions = known->sessions;
    identity.connections_per_second = known->connections_per_second;
  }
  SessionLimits limits = limits_.contains(name) ? limits_.at(name) : SessionLimits();
  remote::BandwidthOptions bandwidth = front_->bandwidth();
  remote::BandwidthTerms terms;
  if (const auto found = bandwidth.identities.find(name); found != bandwidth.identities.end())
    terms = found->second;
  for (const auto& [option, value] : set.items()) {
    if (!value.is_string()) return no_text(option);
    if (known == nullptr && (option == "sessions" || option == "rate"))
      return Status::error(Code::kInvalidArgument, "%s: '%s' is in no --identities", option.c_str(),
                           name.c_str());
    TESSERA_RETURN_IF_ERROR(set_identity_option(option, value.get<std::string>(), {identity, limits, terms}));
  }
  if (known != nullptr)
    TESSERA_RETURN_IF_ERROR(front_->set_admission(name, identity.sessions, identity.connections_per_second));
  limits_[name] = limits;
  front_->renew_spare();
  bandwidth.identities.erase(name);
  if (terms != remote::BandwidthTerms()) bandwidth.identities[name] = terms;
  front_->set_bandwidth(std::move(bandwidth));
  return Status();
}

Json ServeLimits::describe_identity(const std::string& name) const {
  const auto terms = front_->bandwidth().identities.find(name);
  const bool has_terms = terms != front_->bandwidth().identities.end();
  const remote::BandwidthTerms bandwidth = has_terms ? terms->second : remote::BandwidthTerms();
  const auto found = limits_.find(name);
  const SessionLimits limits = found == limits_.end() ? SessionLimits() : found->second;
  const remote::Identity* const known = front_->known().find(name);
  const auto all = front_->figures();
  const auto now =
      std::count_if(all.begin(), all.end(), [&](const auto& one) { return one.identity == name; });
  Json priority(nullptr);
  if (limits.priority) priority = scheduling::priority_name(*limits.priority);
  return {{"name", name},
          {"sessions", now},
          {"max_sessions", known == nullptr || known->sessions == 0 ? Json(nullptr) : Json(known->sessions)},
          {"sessions_per_second", known == nullptr || known->connections_per_second == 0
                                      ? Json(nullptr)
                                      : Json(known->connections_per_second)},
          {"download", terms_json(bandwidth.download)},
          {"upload", terms_json(bandwidth.upload)},
          {"memory_bytes", optional_json(limits.memory_bytes)},
          {"share_permille", optional_json(limits.share_permille)},
          {"priority", priority},
          {"weight", optional_json(limits.weight)}};
}

Json ServeLimits::describe() const {
  const remote::BandwidthOptions& bandwidth = front_->bandwidth();
  const auto all = front_->figures();
  std::set<std::string> names;
  for (const auto& identity : front_->known().all()) names.insert(identity.name);
  for (const auto& [name, terms] : bandwidth.identities) names.insert(name);
  for (const auto& session : all) names.insert(session.identity);
  const pid_t waiting = front_->waiting_process();
  Json answer;
  answer["server"] = {{"sessions", all.size()},
                      {"max_sessions", front_->most_sessions()},
                      {"waiting_process", waiting == 0 ? Json(nullptr) : Json(waiting)},
                      {"download", rate_json(bandwidth.download, 0)},
                      {"upload", rate_json(bandwidth.upload, 0)}};
  answer["identities"] = Json::array();
  for (const std::string& name : names) answer["identities"].push_back(describe_identity(name));
  answer["sessions"] = Json::array();
  for (const auto& session : all) answer["sessions"].push_back(session_json(session));
  return answer;
}

}  // namespace tessera::cli
