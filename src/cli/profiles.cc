#include "cli/profiles.h"

#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <cerrno>
#include <set>

#include "common/fd.h"
#include "common/size.h"
#include "common/strings.h"
#include "node/ledger.h"

namespace tessera::cli {
namespace {

constexpr size_t kMaxFileBytes = 256 * 1024;
constexpr const char* kKeys =
    "copy-max, copy-min, gate-copies, gpu, json-summary, mem, mem-min, mem-weight, name, priority, qos, slo, "
    "sm, sm-cap, "
    "sm-mode, "
    "socket, summary, weight";

// Says where in the file it went wrong.
class Reader {
 public:
  explicit Reader(std::string path) : path_(std::move(path)) {}

  // What is under `section`, which is the file's only key: all of it, or the one of that name alone, as the
  // others may be broken; they are empty.
  Result<NamedProfiles> read(const std::string& text, const std::string& section,
                             const std::string* only) const {
    NamedProfiles profiles;
    try {
      YAML::Node root = YAML::Load(text);
      if (root.IsNull()) return profiles;
      if (!root.IsMap()) return wrong(root, "the file is not a map of keys to values; known: " + section);
      for (const auto& entry : root) {
        if (entry.first.Scalar() != section) return unknown(entry.first, "key", section);
        TESSERA_RETURN_IF_ERROR(read_section(section, entry.second, only, profiles));
      }
      return profiles;
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
  Status unknown(const YAML::Node& at, const char* what, const std::string& known) const {
    return wrong(at, std::string("unknown ") + what + " '" + at.Scalar() + "'; known: " + known);
  }

  Status read_section(const std::string& section, const YAML::Node& node, const std::string* only,
                      NamedProfiles& profiles) const {
    if (node.IsNull()) return Status();
    if (!node.IsMap()) return wrong(node, section + " is not a map of names to options");
    for (const auto& entry : node) {
      const std::string& name = entry.first.Scalar();
      auto& [known, profile] = profiles.emplace_back(name, Profile());
      if (entry.second.IsNull() || (only != nullptr && *only != name)) continue;
      if (!entry.second.IsMap())
        return wrong(entry.second, section.substr(0, section.size() - 1) + " '" + name +
                                       "' is not a map of options to values");
      for (const auto& option : entry.second) {
        TESSERA_RETURN_IF_ERROR(read_option(option.first, option.second, profile));
      }
    }
    return Status();
  }

  Status read_option(const YAML::Node& key, const YAML::Node& value, Profile& profile) const {
    const std::string& name = key.Scalar();
    if (name == "gpu") {
      return read_texts(key, value, profile.gpus, [](const std::string& text) {
        auto indices = split(text, ',');
        bool valid = std::all_of(indices.begin(), indices.end(),
                                 [](auto index) { return parse_uint(index).has_value(); });
        return valid ? Status()
                     : Status(Code::kInvalidArgument, "'" + text + "' is no index as in 'tessera gpus'");
      });
    }
    if (name == "mem") {
      return read_texts(key, value, profile.memory,
                        [](const std::string& text) { return parse_size(text).status(); });
    }
    if (!value.IsScalar()) {
      for (std::string_view known : split(kKeys, ',')) {
        if (known.substr(known.find_first_not_of(' ')) == name)
          return wrong(value, name + " needs one value");
      }
      return unknown(key, "option", kKeys);
    }
    const std::string& text = value.Scalar();
    if (name == "sm" || name == "sm-cap" || name == "sm-mode" || name == "priority" || name == "weight" ||
        name == "slo" || name == "qos" || name == "gate-copies") {
      return read_compute(name, value, profile.compute);
    }
    if (name == "mem-min" || name == "mem-weight" || name == "copy-min" || name == "copy-max")
      return read_memory(name, value, profile.qos);
    if (name == "name") {
      Status valid = node::check_slice_name(text);
      if (!valid.ok()) return wrong(value, "name: " + valid.message());
      profile.name = text;
    } else if (name == "summary") {
      bool on = false;
      if (!YAML::convert<bool>::decode(value, on))
        return wrong(value, "summary is true or false, not '" + text + "'");
      profile.summary = on;
    } else if (name == "json-summary") {
      profile.json_summary = text;
    } else if (name == "socket") {
      profile.socket = text;
    } else {
      return unknown(key, "option", kKeys);
    }
    return Status();
  }

  Status read_compute(const std::string& name, const YAML::Node& value, RawCompute& compute) const {
    if (name == "sm") {
      compute.share = value.Scalar();
    } else if (name == "sm-mode") {
      compute.mode = value.Scalar();
    } else if (name == "priority") {
      compute.priority = value.Scalar();
    } else if (name == "slo") {
      compute.slo = value.Scalar();
    } else if (name == "qos") {
      compute.qos = value.Scalar();
    } else if (name == "sm-cap" || name == "gate-copies") {
      bool& flag = name == "sm-cap" ? compute.cap : compute.gate_copies;
      if (!YAML::convert<bool>::decode(value, flag))
        return wrong(value, name + " is true or false, not '" + value.Scalar() + "'");
    } else {
      auto weight = parse_uint(value.Scalar());
      if (!weight || *weight > UINT32_MAX)
        return wrong(value, "weight is a number, not '" + value.Scalar() + "'");
      compute.weight = static_cast<uint32_t>(*weight);
    }
    const Status valid = parse_compute_options(compute).status();
    return valid.ok() ? valid : wrong(value, valid.message());
  }

  Status read_memory(const std::string& name, const YAML::Node& value, RawMemory& memory) const {
    if (name == "mem-min") {
      memory.min = value.Scalar();
    } else if (name == "copy-min" || name == "copy-max") {
      (name == "copy-min" ? memory.copy_min : memory.copy_max) = value.Scalar();
    } else {
      const auto weight = parse_uint(value.Scalar());
      if (!weight || *weight > UINT32_MAX)
        return wrong(value, "mem-weight is a number, not '" + value.Scalar() + "'");
      memory.weight = static_cast<uint32_t>(*weight);
    }
    const Status valid = parse_memory_options(memory).status();
    return valid.ok() ? valid : wrong(value, valid.message());
  }

  // One value or a list of them.
  template <typename Check>
  Status read_texts(const YAML::Node& key, const YAML::Node& value, std::vector<std::string>& into,
                    Check check) const {
    auto take = [&](const YAML::Node& item) {
      if (!item.IsScalar()) return wrong(item, key.Scalar() + " needs a value or a list of values");
      Status valid = check(item.Scalar());
      if (!valid.ok()) return wrong(item, key.Scalar() + ": " + valid.message());
      into.push_back(item.Scalar());
      return Status();
    };
    into.clear();
    if (!value.IsSequence()) return take(value);
    for (const auto& item : value) TESSERA_RETURN_IF_ERROR(take(item));
    return Status();
  }

  std::string path_;
};

std::string joined(const std::vector<std::string>& texts) {
  std::string all;
  for (const std::string& text : texts) all += (all.empty() ? "" : ", ") + text;
  return all;
}

}  // namespace

std::vector<std::string> profile_files() {
  std::vector<std::string> files;
  std::string config = env_or("XDG_CONFIG_HOME", "");
  std::string home = env_or("HOME", "");
  if (config.empty() && !home.empty()) config = home + "/.config";
  if (config.starts_with('/')) files.push_back(config + "/tessera/config.yaml");
  files.emplace_back("/etc/tessera/config.yaml");
  return files;
}

Result<Profile> read_profile(const std::vector<std::string>& files, const std::string& name) {
  std::set<std::string> names;
  for (const std::string& path : files) {
    auto text = read_file(path, kMaxFileBytes);
    if (!text.ok()) {
      if (text.status().code() == Code::kNotFound) continue;
      return text.status();
    }
    TESSERA_ASSIGN_OR_RETURN(NamedProfiles profiles, Reader(path).read(*text, "profiles", &name));
    for (const auto& [known, profile] : profiles) {
      if (known == name) return profile;
      names.insert(known);
    }
  }
  std::string known = joined({names.begin(), names.end()});
  return Status(Code::kInvalidArgument, "no profile '" + name + "' in " + joined(files) +
                                            "; known: " + (known.empty() ? "none" : known));
}

Result<NamedProfiles> read_slices(const std::string& path) {
  TESSERA_ASSIGN_OR_RETURN(std::string text, read_file(path, kMaxFileBytes));
  TESSERA_ASSIGN_OR_RETURN(NamedProfiles slices, Reader(path).read(text, "slices", nullptr));
  if (slices.empty()) return Status(Code::kInvalidArgument, path + ": no slices");
  std::set<std::string> names;
  for (const auto& [name, slice] : slices) {
    Status valid = node::check_slice_name(name);
    if (!valid.ok()) return valid.with_context(path + ": '" + name + "'");
    if (!names.insert(name).second) {
      return Status(Code::kInvalidArgument, path + ": '" + name + "' is there twice");
    }
    if (slice.name || slice.summary || slice.json_summary || slice.socket) {
      return Status(Code::kInvalidArgument,
                    path + ": '" + name +
                        "': name, socket, summary and json-summary are options of programs, "
                        "not of slices");
    }
  }
  return slices;
}

}  // namespace tessera::cli
