// Pages that are about to be written to are made by one call, instead of by a fault for each of them.
#pragma once

#include <cstddef>

namespace tessera {

// Of [memory, memory + bytes) the whole pages, where the first of them is not there yet: then the others are
// not likely to be, either. It promises nothing, and changes nothing of what is there.
void populate(void* memory, size_t bytes);

}  // namespace tessera
