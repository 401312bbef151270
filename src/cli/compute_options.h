// What the user wants of a GPU's time: the options that `run` and `set` have in common.
#pragma once

#include <optional>
#include <string>

#include "common/status.h"
#include "node/json.h"
#include "partitioning/compute_spec.h"

namespace CLI {
class App;
}

namespace tessera::cli {

// Only what was said; the rest stays as it is, or is tesserad's default.
struct ComputeOptions {
  std::optional<uint32_t> share_permille;
  std::optional<bool> capped;  // the share is a ceiling, too
  std::optional<partitioning::SmMode> mode;
  std::optional<scheduling::PriorityClass> priority;
  std::optional<uint32_t> weight;
  std::optional<uint64_t> slo_p99_ns;  // 0: no target
  std::optional<bool> gate_copies;
  std::string qos;  // a class's name or "auto"; empty: not said

  bool empty() const {
    return !mode && !share_permille && !capped && !priority && !weight && !slo_p99_ns && !gate_copies &&
           qos.empty();
  }
};

// As text, before it is checked.
struct RawCompute {
  std::string share;
  bool cap = false;
  bool no_cap = false;
  std::string mode;
  std::string priority;
  std::optional<uint32_t> weight;
  std::string slo;
  bool gate_copies = false;
  bool no_gate_copies = false;
  std::string qos;
};

void add_compute_options(CLI::App* command, RawCompute& raw, bool changes_a_slice);
Result<ComputeOptions> parse_compute_options(const RawCompute& raw);

// A request's "compute", see node/compute_json.h.
node::Json compute_request(const ComputeOptions& options);

// "25", "12.5", "25%": of a GPU's time, 0.1 to 100 in steps of a tenth.
Result<uint32_t> parse_permille(const std::string& text);

}  // namespace tessera::cli
