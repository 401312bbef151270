// The GPUs as the tools show them.
#pragma once

#include <functional>

#include "node/inventory.h"
#include "node/json.h"

namespace tessera::node {

// {"driver_kind", "driver_version", "gpus": [...]}; `unreserved` gives the bytes of a GPU that no slice
// reserved.
Json gpus_json(const Inventory& inventory, const std::function<uint64_t(uint32_t gpu)>& unreserved);

}  // namespace tessera::node
