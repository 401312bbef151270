#include "cli/serve_command_options.h"

#include <CLI/CLI.hpp>
#include <cstdlib>

#include "cache/content_cache.h"
#include "cli/slice_command_options.h"
#include "common/size.h"
#include "common/strings.h"
#include "remote/bandwidth/rate.h"

namespace tessera::cli {
namespace {

constexpr size_t kDefaultSessions = 64;
constexpr size_t kMostSessions = 100'000;
constexpr uint64_t kDefaultCacheBytes = uint64_t{4} << 30;
constexpr uint64_t kDefaultIdentities = 4;  // that share the cache
constexpr double kDefaultKeepSeconds = 60, kMostKeepSeconds = 86'400;

// Nothing where nothing was said.
Status take_rate(const char* option, const std::string& text, uint64_t& rate) {
  if (text.empty()) return Status();
  auto parsed = remote::parse_rate(text);
  if (!parsed.ok()) return parsed.status().with_context(option);
  rate = *parsed;
  return Status();
}

Status take_cache(const std::string& size, const std::string& per_identity, ServeOptions& options) {
  options.cache_bytes = kDefaultCacheBytes;
  if (options.cache_directory.empty() && !(size + per_identity).empty())
    return {Code::kInvalidArgument, "--cache-size and --cache-per-identity need --cache-dir"};
  const auto take = [](const char* option, const std::string& text, uint64_t& bytes) {
    if (text.empty()) return Status();
    const auto parsed = parse_size(text);
    if (!parsed.ok() || *parsed < cache::ContentCache::kLeastBlobBytes)
      return Status::error(Code::kInvalidArgument, "%s: a size from 64KiB on, e.g. 4GiB, not '%s'", option,
                           text.c_str());
    bytes = *parsed;
    return Status();
  };
  TESSERA_RETURN_IF_ERROR(take("--cache-size", size, options.cache_bytes));
  options.cache_identity_bytes = options.cache_bytes / kDefaultIdentities;
  return take("--cache-per-identity", per_identity, options.cache_identity_bytes);
}

Result<double> parse_keep(const std::string& text) {
  if (text.empty()) return kDefaultKeepSeconds;
  char* end = nullptr;
  const double seconds = strtod(text.c_str(), &end);
  if (*end == '\0' && seconds >= 0 && seconds <= kMostKeepSeconds) return seconds;
  return Status::error(Code::kInvalidArgument, "--keep: 0 to %g seconds, not '%s'", kMostKeepSeconds,
                       text.c_str());
}

constexpr const char* kDefaultListen = "127.0.0.1:7070";

}  // namespace

void ServeParser::add(CLI::App& app) {
  command_ = app.add_subcommand("serve", "let programs of other machines use this node's GPUs");
  add_common(command_, options_.socket, nullptr);
  command_
      ->add_option("--listen", listen_,
                   "host:port, or shm:PATH for this machine's processes; may be given again (default: "
                   "127.0.0.1:7070)")
      ->type_name("ADDRESS")
      ->allow_extra_args(false);
  const auto file = [&](const char* name, std::string& into, const char* text) {
    command_->add_option(name, into, text)->type_name("FILE");
  };
  file("--tls-cert", options_.tls_certificate,
       "the server's certificate, PEM: nobody is served without TLS then");
  file("--tls-key", options_.tls_key, "its key, PEM");
  file("--client-ca", options_.client_ca, "whose certificates clients may show, PEM");
  file("--identities", options_.identities, "who may use how much, YAML");
  file("--token-file", options_.token_file, "a token that lets whoever knows it in");
  command_->add_option("--max-sessions", most_sessions_, "at once, of all clients (default: 64)")
      ->type_name("N");
  command_
      ->add_option("--keep", keep_,
                   "a session waits so long for a client that has fallen silent, and a sixth of it for one "
                   "whose connection has ended (default: 60)")
      ->type_name("SECONDS");
  command_
      ->add_option("--download", download_,
                   "bytes to all clients together, e.g. 1Gbit or 100MB/s (default: no limit)")
      ->type_name("RATE");
  command_->add_option("--upload", upload_, "bytes from all clients together, likewise")->type_name("RATE");
  command_
      ->add_option("--control", options_.admin_path, "a socket for 'tessera limit' (default: by --socket)")
      ->type_name("PATH");
  command_
      ->add_option(
          "--cache-dir", options_.cache_directory,
          "keep code and tensors there, so that clients need not send them again (default: nothing is kept)")
      ->type_name("FOLDER");
  command_->add_option("--cache-size", cache_size_, "of all clients together (default: 4GiB)")
      ->type_name("SIZE");
  command_
      ->add_option("--cache-per-identity", cache_per_identity_,
                   "the most of each identity (default: a quarter of all)")
      ->type_name("SIZE");
  command_->add_flag("--json", options_.json, "print what happens as JSON, an object a line");
}

bool ServeParser::chosen() const { return static_cast<bool>(*command_); }

Result<ServeOptions> ServeParser::parse() const {
  ServeOptions options = options_;
  options.most_sessions = kDefaultSessions;
  if (!most_sessions_.empty()) {
    const auto count = parse_uint(most_sessions_);
    if (!count || *count < 1 || *count > kMostSessions) {
      return Status::error(Code::kInvalidArgument, "--max-sessions: 1 to %zu, not '%s'", kMostSessions,
                           most_sessions_.c_str());
    }
    options.most_sessions = *count;
  }
  TESSERA_ASSIGN_OR_RETURN(options.keep_seconds, parse_keep(keep_));
  TESSERA_RETURN_IF_ERROR(take_rate("--download", download_, options.download));
  TESSERA_RETURN_IF_ERROR(take_rate("--upload", upload_, options.upload));
  TESSERA_RETURN_IF_ERROR(take_cache(cache_size_, cache_per_identity_, options));
  for (const std::string& text : listen_.empty() ? std::vector<std::string>{kDefaultListen} : listen_) {
    auto address = remote::parse_address(text, remote::Purpose::kListen);
    if (!address.ok()) return address.status().with_context("--listen");
    options.listen.push_back(std::move(*address));
  }
  if (options.tls_certificate.empty() != options.tls_key.empty())
    return Status(Code::kInvalidArgument, "--tls-cert and --tls-key are given together");
  if (!options.client_ca.empty() && options.tls_certificate.empty())
    return Status(Code::kInvalidArgument, "--client-ca needs --tls-cert and --tls-key");
  return options;
}

}  // namespace tessera::cli
