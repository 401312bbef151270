// Variables of modules and libraries, of which those that are __managed__ are memory of the program, too.
#pragma once

#include "cuda/abi.h"

namespace tessera::remote {

// As cuModuleGetGlobal and cuLibraryGetManaged.
CUresult module_get_global(CUdeviceptr* address, size_t* bytes, CUmodule module, const char* name);
CUresult library_get_managed(CUdeviceptr* address, size_t* bytes, CUlibrary library, const char* name);

}  // namespace tessera::remote
