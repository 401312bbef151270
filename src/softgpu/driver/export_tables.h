// The tables of functions that NVIDIA's own libraries ask cuGetExportTable for. What each is for, and which
// libraries ask, is in docs/interoperability.md.
#pragma once

#include "cuda/abi.h"

namespace tessera::softgpu {

// Null for a table that is not offered.
const void* export_table(const CUuuid& id);

}  // namespace tessera::softgpu
