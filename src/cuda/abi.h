// The CUDA driver's binary interface, in our own declarations: types by topic, and every exported function.
//
// Nothing here needs NVIDIA's header; a translation unit includes this one or that one, never both.
#pragma once

#include "cuda/abi/constants.h"
#include "cuda/abi/copy.h"
#include "cuda/abi/device.h"
#include "cuda/abi/graph.h"
#include "cuda/abi/handles.h"
#include "cuda/abi/interop.h"
#include "cuda/abi/launch.h"
#include "cuda/abi/memory.h"
#include "cuda/abi/process.h"
#include "cuda/abi/result.h"
#include "cuda/abi/stream.h"
#include "cuda/abi/texture.h"
#include "cuda/driver_api.h"  // generated from cuda/driver_api.tbl
