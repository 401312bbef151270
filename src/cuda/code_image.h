// How large the device code is that a program passes by pointer: cuModuleLoadData and its kin take no size,
// the image's own headers tell it. Layouts: ELF-64 (System V ABI, chapter 4); fat binaries as nvcc writes
// them.
#pragma once

#include <cstdint>
#include <vector>

#include "common/bytes.h"
#include "common/status.h"

namespace tessera::cuda {

// Where an image lies in the memory of the program that passes it.
struct CodeImage {
  enum class Form : uint32_t {
    kPlain = 0,    // one piece: PTX text with its NUL, an ELF file, or a fat binary
    kWrapper = 1,  // __fatBinC_Wrapper_t, version 1: one piece, a fat binary
    kUnits = 2,    // version 2, relocatable device code: a fat binary for each translation unit
  };
  Form form = Form::kPlain;
  std::vector<ByteSpan> pieces;
};

inline constexpr uint64_t kMaxCodeBytes = uint64_t{1} << 30;
inline constexpr size_t kMaxCodeUnits = 4096;

// Believes the headers, as the driver would. kInvalidData: no image, or one beyond the limits.
Result<CodeImage> find_code_image(const void* image);

// Whether bytes that nobody vouches for are one whole piece: what a reader that believes its headers would
// read lies inside of them.
bool is_whole_code(ByteSpan piece);

// The memory that stands for an image in this process: its pieces, and a wrapper around them where it had
// one. Pointers in it are into itself and the pieces, which have to outlive it.
class RebuiltImage {
 public:
  explicit RebuiltImage(const CodeImage& image);
  const void* get() const { return start_; }

 private:
  struct Wrapper {
    uint32_t magic;
    uint32_t version;
    const void* data;
    const void* extra;
  };
  Wrapper wrapper_{};
  std::vector<const void*> units_;
  const void* start_ = nullptr;
};

}  // namespace tessera::cuda
