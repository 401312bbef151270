// Devices named inside of structures that travel as they are: `visit` is called with each.
#pragma once

#include "cuda/abi.h"

namespace tessera::remote {

template <typename T, typename Visit>
void each_device(T&, Visit) {}

template <typename Visit>
void each_device(CUmemLocation& location, Visit visit) {
  if (location.type == CU_MEM_LOCATION_TYPE_DEVICE) visit(location.id);
}
template <typename Visit>
void each_device(CUmemAccessDesc& access, Visit visit) {
  each_device(access.location, visit);
}
template <typename Visit>
void each_device(CUmemAllocationProp& properties, Visit visit) {
  each_device(properties.location, visit);
}
template <typename Visit>
void each_device(CUmemPoolProps& properties, Visit visit) {
  each_device(properties.location, visit);
}

}  // namespace tessera::remote
