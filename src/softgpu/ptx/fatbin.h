// The containers nvcc puts device code in: __fatBinC_Wrapper_t, fat binaries, compressed PTX. Their layout is
// described in fatbin.cc, beside the code that reads it.
#pragma once

#include <string>

#include "common/bytes.h"
#include "common/status.h"

namespace tessera::softgpu::ptx {

// What a pointer given to cuModuleLoadData, cuModuleLoadFatBinary or cuLibraryLoadData turned out to be.
struct DeviceCode {
  std::string text;           // the PTX chosen, ready for parse(); several units for relocatable device code
  uint32_t architecture = 0;  // 75 for compute_75
  // Relocatable device code: why units without suitable PTX are not in `text`, empty where all are. nvcc
  // always adds the device runtime as such a unit, so this is no error by itself, but explains symbols that
  // are found undefined later.
  std::string left_out;
};

constexpr size_t kMaxDecompressedBytes = 256u << 20;

// Finds PTX in `image`: PTX text, a fat binary, or a wrapper. The size of what an application passes by
// pointer is not known beforehand: headers say it, and each is checked before it is believed.
//   kInvalidData  damaged container            (CUDA_ERROR_INVALID_IMAGE)
//   kUnsupported  only SASS inside, no PTX; the message says how to build with PTX
//   (CUDA_ERROR_NO_BINARY_FOR_GPU)
// `architecture_max` (75 for sm_75): the newest PTX that may run; the newest suitable entry is chosen.
Result<DeviceCode> extract(const void* image, uint32_t architecture_max);
// The same over bytes whose end is known (files, fuzzing): never reads outside. A wrapper is kInvalidData
// here: it holds pointers into the process it was linked into.
Result<DeviceCode> extract_bounded(ByteSpan image, uint32_t architecture_max);

// All fat binaries inside a file of another kind (an object file or an archive of them), as translation units
// of one text, in the order of the file. Units without suitable PTX are left out, as in a wrapper.
Result<DeviceCode> extract_embedded(ByteSpan file, uint32_t architecture_max);

// A fat binary that holds this PTX, uncompressed, for compute_`architecture`.
std::string make_fatbin(const std::string& text, uint32_t architecture);

}  // namespace tessera::softgpu::ptx
