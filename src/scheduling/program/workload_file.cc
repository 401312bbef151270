#include "scheduling/program/workload_file.h"

#include <yaml-cpp/yaml.h>

#include <cmath>
#include <cstdlib>
#include <functional>
#include <map>

#include "scheduling/duration.h"

namespace tessera::scheduling {
namespace {

template <typename T>
Status read_number(const std::string& text, double least, double most, double scale, T& value) {
  char* end = nullptr;
  const double number = std::strtod(text.c_str(), &end);
  if (end == text.c_str() || *end != '\0' || !(number >= least && number <= most)) {
    return Status::error(Code::kInvalidArgument, "a number from %g to %g, not '%s'", least, most,
                         text.c_str());
  }
  value = static_cast<T>(std::llround(number * scale));
  return Status();
}

Status read_bool(const std::string& text, bool& value) {
  if (text != "true" && text != "false") {
    return Status::error(Code::kInvalidArgument, "true or false, not '%s'", text.c_str());
  }
  value = text == "true";
  return Status();
}

Status read_duration(const std::string& text, Nanoseconds& value) {
  TESSERA_ASSIGN_OR_RETURN(value, parse_duration(text));
  return Status();
}

Status read_priority(const std::string& text, PriorityClass& value) {
  const auto priority = parse_priority(text);
  if (!priority) {
    return Status::error(Code::kInvalidArgument, "realtime, high, normal, low or idle, not '%s'",
                         text.c_str());
  }
  value = *priority;
  return Status();
}

Status read_qos(const std::string& text, std::optional<QosClass>& value) {
  value = parse_qos(text);
  if (value) return Status();
  return Status::error(Code::kInvalidArgument, "guaranteed, burstable or best-effort, not '%s'",
                       text.c_str());
}

using Reader = std::function<Status(const std::string& text, Program& program, bool& capped)>;

const std::map<std::string, Reader>& tenant_keys() {
  static const std::map<std::string, Reader> keys = {
      {"name", [](auto& text, Program& p, bool&) { return p.name = text, Status(); }},
      {"sm",
       [](auto& text, Program& p, bool&) { return read_number(text, 0.1, 100, 10, p.spec.share_permille); }},
      {"sm-cap", [](auto& text, Program&, bool& capped) { return read_bool(text, capped); }},
      {"priority", [](auto& text, Program& p, bool&) { return read_priority(text, p.spec.priority); }},
      {"weight",
       [](auto& text, Program& p, bool&) { return read_number(text, 1, kMaxWeight, 1, p.spec.weight); }},
      {"kernel", [](auto& text, Program& p, bool&) { return read_duration(text, p.kernel_ns); }},
      {"kernels-vary", [](auto& text, Program& p, bool&) { return read_bool(text, p.kernels_vary); }},
      {"burst",
       [](auto& text, Program& p, bool&) { return read_number(text, 0, 1e6, 1, p.kernels_per_burst); }},
      {"slo-wait", [](auto& text, Program& p, bool&) { return read_duration(text, p.spec.target_wait_ns); }},
      {"qos", [](auto& text, Program& p, bool&) { return read_qos(text, p.spec.qos); }},
      {"pause", [](auto& text, Program& p, bool&) { return read_duration(text, p.pause_ns); }},
      {"start", [](auto& text, Program& p, bool&) { return read_duration(text, p.starts_ns); }},
  };
  return keys;
}

class File {
 public:
  explicit File(const std::string& path) : path_(path) {}

  Result<Workload> read() const {
    Workload workload;
    try {
      const YAML::Node root = YAML::LoadFile(path_);
      if (!root.IsMap()) return wrong(root, "a map with 'tenants' is needed");
      for (const auto& entry : root) TESSERA_RETURN_IF_ERROR(read_entry(entry.first, entry.second, workload));
      if (workload.programs.empty()) return wrong(root, "there are no tenants");
    } catch (const YAML::BadFile&) {
      return Status::error(Code::kNotFound, "cannot read %s", path_.c_str());
    } catch (const YAML::Exception& error) {
      return Status::error(Code::kInvalidArgument, "%s:%d: %s", path_.c_str(), error.mark.line + 1,
                           error.msg.c_str());
    }
    return workload;
  }

 private:
  Status wrong(const YAML::Node& at, const std::string& why) const {
    return Status::error(Code::kInvalidArgument, "%s:%d: %s", path_.c_str(), at.Mark().line + 1, why.c_str());
  }

  Status read_entry(const YAML::Node& key, const YAML::Node& value, Workload& workload) const {
    const std::string name = key.Scalar();
    if (name == "tenants" && value.IsSequence()) {
      for (const YAML::Node& tenant : value) TESSERA_RETURN_IF_ERROR(read_tenant(tenant, workload));
      return Status();
    }
    if (!value.IsScalar()) return wrong(value, "'" + name + "' is none of order, slice and tenants (a list)");
    if (name == "order") return make_order_policy(workload.config.order = value.Scalar()).status();
    if (name == "slice") {
      return make_slice_policy(workload.config.slice = value.Scalar(), workload.config.limits).status();
    }
    return wrong(key, "unknown '" + name + "'; known: order, slice, tenants");
  }

  Status read_tenant(const YAML::Node& node, Workload& workload) const {
    if (!node.IsMap()) return wrong(node, "a tenant is a map");
    Program program;
    program.name = "tenant-" + std::to_string(workload.programs.size() + 1);
    program.kernels_per_burst = 0;
    bool capped = false;
    for (const auto& entry : node) {
      const auto reader = tenant_keys().find(entry.first.Scalar());
      if (reader == tenant_keys().end())
        return wrong(entry.first, "unknown '" + entry.first.Scalar() + "'" + known());
      if (!entry.second.IsScalar()) return wrong(entry.second, reader->first + " needs one value");
      const Status read = reader->second(entry.second.Scalar(), program, capped);
      if (!read.ok()) return wrong(entry.second, reader->first + ": " + read.message());
    }
    if (capped) program.spec.cap_permille = program.spec.share_permille;
    const Status sound = check_spec(program.spec);
    if (!sound.ok()) return wrong(node, sound.message());
    if (program.kernel_ns == 0) return wrong(node, "kernel: longer than 0");
    workload.programs.push_back(std::move(program));
    return Status();
  }

  static std::string known() {
    std::string names;
    for (const auto& [name, reader] : tenant_keys()) names += (names.empty() ? "; known: " : ", ") + name;
    return names;
  }

  const std::string& path_;
};

}  // namespace

Result<Workload> read_workload(const std::string& path) { return File(path).read(); }

}  // namespace tessera::scheduling
