// A driver that does nothing but touch: it reads all that a call is given and writes all that it is asked
// for, as far as the API's tables say that a driver may. So a sanitizer sees where the worker has given it
// less. What it answers follows from a seed.
#pragma once

#include <cstdint>
#include <cstring>
#include <thread>
#include <vector>

#include "cuda/driver_table.h"

namespace tessera::remote::fuzz {

// The same for the same seed, as far as calls come in the same order. With 0 nothing fails, and no handle is
// given twice.
void seed_driver(uint64_t seed);
uint64_t next_number();
CUresult next_result();
uint64_t next_handle();

void read_bytes(const void* data, uint64_t bytes);
void write_bytes(void* data, uint64_t bytes);
inline void read_text(const char* text) {
  if (text != nullptr) read_bytes(text, strlen(text) + 1);
}
template <typename T>
void read(const T* data, uint64_t count) {
  if (data != nullptr) read_bytes(data, count * sizeof(T));
}
template <typename T>
void give(T* data, uint64_t count) {
  if (data != nullptr) write_bytes(data, count * sizeof(T));
}
template <typename T>
void give_handles(T* handles, uint64_t count) {
  for (uint64_t i = 0; handles != nullptr && i < count; ++i) handles[i] = (T)next_handle();
}

// The whole driver. Its host functions run on threads of their own.
const cuda::DriverTable& touching_driver();
// Once nothing that they wait for can come any more.
void join_host_functions();
// Memory that the program shares is given back.
void free_managed();

// Of the functions that touch and nothing else (generate_driver.py).
void install_touching(cuda::DriverTable& table);
// Of those of memory (touching_memory.cc), of which copies are nodes, too.
void install_memory(cuda::DriverTable& table);
CUresult touch_box(const CUDA_MEMCPY3D* copy);

}  // namespace tessera::remote::fuzz
