#include "cli/identity_options.h"

#include <charconv>

#include "common/size.h"
#include "common/strings.h"
#include "remote/bandwidth/rate.h"

namespace tessera::cli {
namespace {

constexpr const char* kKeys =
    "certificate, download, download-guaranteed, gpu, link-weight, mem, priority, rate, sessions, sm, "
    "token-file, upload, upload-guaranteed, weight";
constexpr uint64_t kMostSessions = 100'000;
constexpr double kHighestRate = 10'000;
constexpr const char* kNone = "none";

Status unknown(const std::string& name) {
  return Status::error(Code::kInvalidArgument, "unknown option '%s'; known: %s", name.c_str(), kKeys);
}

bool is_bandwidth(const std::string& name) {
  return name.starts_with("download") || name.starts_with("upload") || name == "link-weight";
}

Status set_bandwidth(const std::string& name, const std::string& text, remote::BandwidthTerms& terms) {
  if (name == "link-weight") {
    const auto weight = text == kNone ? RateTerms().weight : parse_uint(text);
    if (!weight || *weight < 1 || *weight > scheduling::kMaxWeight)
      return {Code::kInvalidArgument, "link-weight is a number from 1 to 10000"};
    terms.download.weight = terms.upload.weight = static_cast<uint32_t>(*weight);
    return Status();
  }
  RateTerms* const way = name.starts_with("download") ? &terms.download : &terms.upload;
  if (name == "download" || name == "upload") {
    TESSERA_ASSIGN_OR_RETURN(way->ceiling, parse_rate_limit(text, RateTerms().ceiling));
    return Status();
  }
  if (name != "download-guaranteed" && name != "upload-guaranteed") return unknown(name);
  TESSERA_ASSIGN_OR_RETURN(way->guaranteed, parse_rate_limit(text, 0));
  return Status();
}

Status set_admission(const std::string& name, const std::string& text, remote::Identity& identity) {
  if (name == "sessions") {
    const auto count = text == kNone ? 0 : parse_uint(text);
    if (!count || (*count < 1 && text != kNone) || *count > kMostSessions)
      return {Code::kInvalidArgument, "sessions is a number from 1 to 100000"};
    identity.sessions = static_cast<uint32_t>(*count);
    return Status();
  }
  double rate = 0;
  if (text != kNone) {
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), rate);
    if (error != std::errc() || end != text.data() + text.size() || !(rate > 0) || rate > kHighestRate)
      return {Code::kInvalidArgument, "rate is a number of sessions a second, 10000 at most"};
  }
  identity.connections_per_second = rate;
  return Status();
}

Status set_slice_limit(const std::string& name, const std::string& text, SessionLimits& limits) {
  const bool is_none = text == kNone;
  if (name == "mem") {
    if (is_none) {
      limits.memory_bytes.reset();
      return Status();
    }
    TESSERA_ASSIGN_OR_RETURN(limits.memory_bytes, parse_size(text));
    return Status();
  }
  RawCompute compute;
  if (name == "sm") {
    limits.share_permille.reset();
    if (!is_none) compute.share = text;
  } else if (name == "priority") {
    limits.priority.reset();
    if (!is_none) compute.priority = text;
  } else if (name == "weight") {
    const auto weight = is_none ? 0 : parse_uint(text);
    if (!weight || *weight > UINT32_MAX) return {Code::kInvalidArgument, "weight is a number"};
    limits.weight.reset();
    if (!is_none) compute.weight = static_cast<uint32_t>(*weight);
  } else {
    return unknown(name);
  }
  TESSERA_ASSIGN_OR_RETURN(const ComputeOptions parsed, parse_compute_options(compute));
  if (parsed.share_permille) limits.share_permille = parsed.share_permille;
  if (parsed.priority) limits.priority = parsed.priority;
  if (parsed.weight) limits.weight = parsed.weight;
  return Status();
}

}  // namespace

Result<uint64_t> parse_rate_limit(const std::string& text, uint64_t none) {
  if (text == kNone) return none;
  return remote::parse_rate(text);
}

Status set_identity_option(const std::string& name, const std::string& text, IdentityTerms terms) {
  if (is_bandwidth(name)) return set_bandwidth(name, text, terms.bandwidth);
  if (name == "sessions" || name == "rate") return set_admission(name, text, terms.identity);
  return set_slice_limit(name, text, terms.limits);
}

}  // namespace tessera::cli
