// The NVIDIA Management Library's binary interface, in our own declarations: types by topic, and every
// exported function. Nothing here needs NVIDIA's header; a translation unit includes this one or that one,
// never both.
#pragma once

#include "cuda/nvml/constants.h"
#include "cuda/nvml/types.h"
#include "cuda/nvml_api.h"  // generated from cuda/nvml_api.tbl
