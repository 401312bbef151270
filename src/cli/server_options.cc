#include "cli/server_options.h"

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cerrno>
#include <filesystem>

#include "common/size.h"
#include "remote/session/client.h"
#include "remote/transport/address.h"

namespace tessera::cli {
namespace {

// The program may go to another folder before it looks.
std::string absolute(const std::string& path) {
  std::error_code error;
  const std::filesystem::path whole = std::filesystem::absolute(path, error);
  return path.empty() || error ? path : whole.string();
}

Status check_readable(const char* option, const std::string& path) {
  if (path.empty() || access(path.c_str(), R_OK) == 0) return Status();
  return Status::from_errno(errno, "%s: %s", option, path.c_str());
}

}  // namespace

void add_server_options(CLI::App* command, ServerOptions& options) {
  const auto option = [&](const char* name, std::string& into, const char* text, const char* type) {
    command->add_option(name, into, text)->type_name(type);
  };
  option("--server", options.server,
         "use the GPUs of 'tessera serve' there: host:7070, tls://host:7070 or shm:PATH; several with commas",
         "ADDRESS");
  option("--token-file", options.token_file, "with --server: a file with the token to show", "FILE");
  option("--identity", options.identity, "with --server: who we are, where the token does not say it",
         "NAME");
  option("--tls-ca", options.ca, "with --server: whose certificate it shows, PEM (default: the system's)",
         "FILE");
  option("--tls-cert", options.certificate, "with --server: a certificate to show, PEM", "FILE");
  option("--tls-key", options.key, "with --server: its key, PEM", "FILE");
  command->add_flag("--checksums", options.checksums,
                    "with --server: check what comes and goes, for networks that alter bytes");
  command->add_flag("--durable", options.durable,
                    "with --server: what a server loses is made again, there or at another");
  option("--journal", options.journal,
         "with --durable: memory for it beside the checkpoint (default: 256MiB)", "SIZE");
}

Status check_server_options(const ServerOptions& options) {
  if (options.server.empty()) {
    const bool any =
        options.checksums || options.durable || !options.journal.empty() ||
        !(options.token_file + options.identity + options.ca + options.certificate + options.key).empty();
    return any ? Status(Code::kInvalidArgument, "--server is missing: the other options are for it")
               : Status();
  }
  const auto addresses = remote::parse_addresses(options.server);
  if (!addresses.ok()) return addresses.status().with_context("--server");
  if (!options.token_file.empty()) {
    const auto token = remote::read_token(options.token_file);
    if (!token.ok()) return token.status().with_context("--token-file");
  }
  if (!options.journal.empty()) {
    const auto size = parse_size(options.journal);
    if (!size.ok()) return size.status().with_context("--journal");
    if (!options.durable) return {Code::kInvalidArgument, "--journal: --durable is missing"};
  }
  if (options.certificate.empty() != options.key.empty())
    return {Code::kInvalidArgument, "--tls-cert and --tls-key are given together"};
  TESSERA_RETURN_IF_ERROR(check_readable("--tls-ca", options.ca));
  TESSERA_RETURN_IF_ERROR(check_readable("--tls-cert", options.certificate));
  return check_readable("--tls-key", options.key);
}

std::vector<std::pair<std::string, std::string>> server_environment(const ServerOptions& options,
                                                                    const std::string& wishes) {
  return {{"TESSERA_SERVER", options.server},
          {"TESSERA_SERVER_TOKEN_FILE", absolute(options.token_file)},
          {"TESSERA_SERVER_IDENTITY", options.identity},
          {"TESSERA_SERVER_CA", absolute(options.ca)},
          {"TESSERA_SERVER_CERT", absolute(options.certificate)},
          {"TESSERA_SERVER_KEY", absolute(options.key)},
          {"TESSERA_SERVER_WISHES", wishes},
          {"TESSERA_SERVER_CHECKSUMS", options.checksums ? "on" : "off"},
          {"TESSERA_SERVER_DURABLE", options.durable ? "on" : "off"},
          {"TESSERA_SERVER_JOURNAL", options.journal.empty() ? "256MiB" : options.journal}};
}

}  // namespace tessera::cli
