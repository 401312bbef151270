// The same figures by the names that dashboards of others know: dcgm-exporter's and HAMi's.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "monitoring/exposition.h"
#include "node/json.h"

namespace tessera::node {

struct SliceFacts;

struct CompatNames {
  bool dcgm = false;  // NVIDIA's dcgm-exporter, with its default labels; of whole GPUs alone, or sums would
                      // count twice
  bool hami = false;  // HAMi's vGPUmonitor: a slice stands for a container of a pod of its name
};

// "dcgm", "hami" or both, separated by a comma.
std::optional<CompatNames> parse_compat_names(std::string_view text);

// `answer` as of gpus_json(), of which `gpu` is one.
void add_compat_gpu(monitoring::Exposition& exposition, const CompatNames& names, const Json& answer,
                    const Json& gpu, const std::string& host);
void add_compat_slice(monitoring::Exposition& exposition, const CompatNames& names, const Json& answer,
                      const SliceFacts& slice);

}  // namespace tessera::node
