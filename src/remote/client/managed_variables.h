// Variables of modules and libraries, of which those that are __managed__ are memory of the program, too.
#pragma once

#include "cuda/abi.h"

namespace tessera::remote {

// As cuModuleGetGlobal and cuLibraryGetManaged.
CUresult module_get_global(CUdeviceptr* address, size_t* bytes, CUmodule module, const char* name);
CUresult library_get_managed(CUdeviceptr* address, size_t* bytes, CUlibrary library, const char* name);
// Code of that server's has been unloaded, and its variables with it.
void forget_gone_variables(unsigned server);
// A context of that server's has ended, with its variables and the managed memory that was made in it.
void forget_gone_managed(unsigned server);

}  // namespace tessera::remote
