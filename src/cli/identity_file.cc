#include "cli/identity_file.h"

#include <sys/stat.h>
#include <yaml-cpp/yaml.h>

#include <cerrno>
#include <filesystem>

#include "cli/identity_options.h"
#include "common/fd.h"
#include "common/strings.h"
#include "remote/session/client.h"

namespace tessera::cli {
namespace {

constexpr size_t kMostFileBytes = size_t{1} << 20;

// A token that others can read is theirs, too.
Result<std::string> read_private_token(const std::string& path) {
  struct stat info {};
  if (stat(path.c_str(), &info) != 0) return Status::from_errno(errno, "cannot read %s", path.c_str());
  if ((info.st_mode & 077) != 0) {
    return Status::error(Code::kPermissionDenied, "%s can be read by others than its owner: chmod 600 %s",
                         path.c_str(), path.c_str());
  }
  return remote::read_token(path);
}

class Reader {
 public:
  Reader(std::string path, KnownIdentities& known) : path_(std::move(path)), known_(known) {}

  Status read(const std::string& text) {
    try {
      const YAML::Node root = YAML::Load(text);
      if (!root.IsMap()) return wrong(root, "the file has one key: identities");
      for (const auto& entry : root) {
        if (entry.first.Scalar() != "identities")
          return wrong(entry.first, "unknown key '" + entry.first.Scalar() + "'; known: identities");
        TESSERA_RETURN_IF_ERROR(read_all(entry.second));
      }
      return Status();
    } catch (const YAML::Exception& error) {
      return Status::error(Code::kInvalidArgument, "%s:%d: %s", path_.c_str(), error.mark.line + 1,
                           error.msg.c_str());
    }
  }

 private:
  Status wrong(const YAML::Node& at, const std::string& what) const {
    return Status::error(Code::kInvalidArgument, "%s:%d: %s", path_.c_str(), at.Mark().line + 1,
                         what.c_str());
  }

  Status read_all(const YAML::Node& node) {
    if (!node.IsMap()) return wrong(node, "identities is not a map of names to what they may");
    for (const auto& entry : node) {
      remote::Identity identity;
      identity.name = entry.first.Scalar();
      SessionLimits limits;
      remote::BandwidthTerms bandwidth;
      if (!entry.second.IsMap()) return wrong(entry.second, "'" + identity.name + "' is not a map");
      for (const auto& option : entry.second)
        TESSERA_RETURN_IF_ERROR(read_option(option.first, option.second, identity, limits, bandwidth));
      if (identity.token.empty() && identity.certificates.empty())
        return wrong(entry.first,
                     "'" + identity.name + "' needs a token-file or a certificate, or cannot get in");
      known_.limits[identity.name] = limits;
      if (bandwidth != remote::BandwidthTerms()) known_.bandwidth[identity.name] = bandwidth;
      const Status added = known_.identities.add(std::move(identity));
      if (!added.ok()) return wrong(entry.first, added.message());
    }
    return Status();
  }

  // One value, or a list of them.
  Result<std::vector<std::string>> texts(const YAML::Node& node) const {
    std::vector<std::string> all;
    if (node.IsScalar()) return std::vector<std::string>{node.Scalar()};
    if (!node.IsSequence()) return wrong(node, "a value or a list of values belongs there");
    for (const YAML::Node& one : node) {
      if (!one.IsScalar()) return wrong(one, "a list of values belongs there");
      all.push_back(one.Scalar());
    }
    return all;
  }

  Status read_option(const YAML::Node& key, const YAML::Node& value, remote::Identity& identity,
                     SessionLimits& limits, remote::BandwidthTerms& bandwidth) const {
    const std::string& name = key.Scalar();
    TESSERA_ASSIGN_OR_RETURN(const std::vector<std::string> all, texts(value));
    if (name == "certificate") {
      identity.certificates = all;
      return Status();
    }
    if (name == "gpu") return read_gpus(value, all, limits);
    if (all.size() != 1) return wrong(value, name + " needs one value");
    if (name == "token-file") return read_token_file(value, all[0], identity);
    const Status status = set_identity_option(name, all[0], {identity, limits, bandwidth});
    return status.ok() ? status : wrong(value, status.message());
  }

  Status read_token_file(const YAML::Node& at, const std::string& text, remote::Identity& identity) const {
    const std::filesystem::path file = std::filesystem::path(path_).parent_path() / text;
    auto token = read_private_token(file.string());
    if (!token.ok()) return wrong(at, token.status().message());
    identity.token = std::move(*token);
    return Status();
  }

  Status read_gpus(const YAML::Node& at, const std::vector<std::string>& all, SessionLimits& limits) const {
    for (const std::string& text : all) {
      const auto index = parse_uint(text);
      if (!index || *index > UINT32_MAX) return wrong(at, "gpu takes indices as in 'tessera gpus'");
      limits.gpus.push_back(static_cast<uint32_t>(*index));
    }
    return Status();
  }

  const std::string path_;
  KnownIdentities& known_;
};

}  // namespace

Status read_identities(const std::string& path, KnownIdentities& known) {
  TESSERA_ASSIGN_OR_RETURN(const std::string text, read_file(path, kMostFileBytes));
  return Reader(path, known).read(text);
}

Status add_token_file(const std::string& path, KnownIdentities& known) {
  remote::Identity identity;
  identity.name = "default";
  TESSERA_ASSIGN_OR_RETURN(identity.token, read_private_token(path));
  const Status added = known.identities.add(std::move(identity));
  return added.ok() ? added : added.with_context(path);
}

}  // namespace tessera::cli
