// Managed memory has one address on both sides, which the server's driver chooses.
#pragma once

#include <cstdint>
#include <span>

#include "common/mappings.h"
#include "cuda/driver_table.h"

namespace tessera::remote {

// As cuMemAllocManaged, off what is taken of the program's addresses as far as that can be had: the last
// attempt's address stands, wherever it is, and the client looks at it.
CUresult place_managed(const cuda::DriverTable& driver, std::span<const AddressSpan> taken, uint64_t bytes,
                       unsigned flags, CUdeviceptr* address);

}  // namespace tessera::remote
