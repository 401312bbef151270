// The dynamic linker's list of libraries, /etc/ld.so.cache.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "common/bytes.h"

namespace tessera::vgpu {

// The paths listed for `soname`, in the cache's order, in any architecture's flavour. Format: glibc's
// "glibc-ld.so.cache1.1" (sysdeps/generic/dl-cache.h); what does not parse lists nothing.
std::vector<std::string> ld_cache_paths(ByteSpan cache, std::string_view soname);

}  // namespace tessera::vgpu
