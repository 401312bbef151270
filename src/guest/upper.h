// What a guest library's exported functions call: a table of functions, loaded with the first call of any of
// them. Loading the library does nothing: it may be preloaded into programs that never use a GPU.
#pragma once

#include <atomic>

namespace tessera::guest {

// Set once the table is there; never changed afterwards.
template <typename Table>
inline constinit std::atomic<const Table*> upper_table{nullptr};

// Finds and loads the driver. Where there is none, the table is empty.
template <typename Table>
[[gnu::cold]] const Table& load_upper();

// Inlined by force: it stands before every call of the driver.
template <typename Table>
[[gnu::always_inline]] inline const Table& upper() {
  const Table* table = upper_table<Table>.load(std::memory_order_acquire);
  if (table != nullptr) [[likely]]
    return *table;
  return load_upper<Table>();
}

// The library's own exported functions.
template <typename Table>
const Table& exported();

// What a function answers that the driver lacks.
template <typename Result>
[[gnu::cold]] Result missing(const char* name);

}  // namespace tessera::guest
