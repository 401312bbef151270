// Core dumps of contexts that fail: the settings of cuCoredumpSetAttribute, and the file.
//
// The file is a text, not the ELF image that cuda-gdb reads: which kernel failed, where, and what of.
#pragma once

#include <string>

#include "cuda/abi.h"

namespace tessera::softgpu {

struct CoredumpSettings {
  bool on_exception = false;
  bool trigger_host = true;  // abort the process when the dump is written
  bool lightweight = false;
  bool user_trigger = false;
  int generation_flags = CU_COREDUMP_DEFAULT_FLAGS;
  // As the program gave them: %h is the host's name, %p the process, %t the time.
  std::string file = "core.cuda.%h.%p";
  std::string pipe = "corepipe.cuda.%h.%p";
};

// Of new contexts; the environment (CUDA_ENABLE_COREDUMP_ON_EXCEPTION, CUDA_ENABLE_CPU_COREDUMP_ON_EXCEPTION,
// CUDA_ENABLE_LIGHTWEIGHT_COREDUMP, CUDA_COREDUMP_FILE) sets what a program has not.
CoredumpSettings global_coredump_settings();
void set_global_coredump_settings(const CoredumpSettings& settings);

// One attribute as the API passes it: `*size` is the room at `value`, or gets what is needed where that is
// null.
CUresult read_coredump_setting(const CoredumpSettings& settings, CUcoredumpSettings attribute, void* value,
                               size_t* size);
CUresult write_coredump_setting(CoredumpSettings* settings, CUcoredumpSettings attribute, const void* value,
                                size_t* size);

// Where the settings ask for it: writes the file with `text`, and aborts the process where they say so.
void dump_core(const CoredumpSettings& settings, const std::string& text);

}  // namespace tessera::softgpu
