// Accesses larger than one range of an address map.
#pragma once

#include "softgpu/memory/address_map.h"

namespace tessera::softgpu {

// Whether all of [begin, begin + size) may be read, or also written: one range or several that adjoin.
bool covers(const AddressMap& map, uint64_t begin, uint64_t size, bool write);

}  // namespace tessera::softgpu
