// Truncated and bit-flipped device code: every load answers with one of CUDA's errors for bad images, or
// loads where the damage does not matter; nothing crashes, and good code loads afterwards.
#include <unistd.h>

#include <cstring>
#include <string>

#include "driver_check.h"

extern "C" const char vector_add_ptx[];

namespace {

using Image = std::vector<unsigned char>;

template <typename T>
void put(Image& image, size_t offset, T value) {
  std::memcpy(image.data() + offset, &value, sizeof(T));
}

// A fat binary with one uncompressed PTX entry, as nvcc lays it out: a header of 16 bytes, an entry header of
// 64, the text.
Image fat_binary(const char* ptx) {
  constexpr size_t kHeader = 16, kEntry = 64;
  const size_t text = (std::strlen(ptx) + 1 + 7) / 8 * 8;
  Image image(kHeader + kEntry + text);
  put<uint32_t>(image, 0, 0xba55ed50);
  put<uint16_t>(image, 4, 1);
  put<uint16_t>(image, 6, kHeader);
  put<uint64_t>(image, 8, kEntry + text);
  put<uint16_t>(image, kHeader + 0, 1);  // PTX
  put<uint16_t>(image, kHeader + 2, 0x101);
  put<uint32_t>(image, kHeader + 4, kEntry);
  put<uint64_t>(image, kHeader + 8, text);
  put<uint32_t>(image, kHeader + 28, 70);
  std::memcpy(image.data() + kHeader + kEntry, ptx, std::strlen(ptx));
  return image;
}

// One of the errors that CUDA documents for module loads.
bool is_load_error(CUresult result) {
  switch (result) {
    case CUDA_ERROR_INVALID_IMAGE:
    case CUDA_ERROR_INVALID_PTX:
    case CUDA_ERROR_UNSUPPORTED_PTX_VERSION:
    case CUDA_ERROR_NO_BINARY_FOR_GPU:
    case CUDA_ERROR_OUT_OF_MEMORY:
    case CUDA_ERROR_INVALID_SOURCE:
    case CUDA_ERROR_NOT_SUPPORTED:
      return true;
    default:
      return false;
  }
}

struct Tally {
  unsigned refused = 0, loaded = 0;

  void count(CUresult result, CUmodule module, const char* what) {
    if (result == CUDA_SUCCESS) {
      CU_CHECK(cuModuleUnload(module));
      ++loaded;
    } else {
      REQUIRE(is_load_error(result), "%s: %s is not an error of module loads", what, cu_name(result));
      ++refused;
    }
  }
};

// From a file, whose end is known: any cut must be noticed.
void load_truncated(const Image& image, check::Random& random, Tally& tally) {
  std::string path = "/tmp/damaged_images.XXXXXX";
  const int file = mkstemp(path.data());
  REQUIRE(file >= 0, "no temporary file");
  for (int round = 0; round < 200; ++round) {
    const size_t size = random.below(static_cast<uint32_t>(image.size() - 1));
    REQUIRE(ftruncate(file, 0) == 0 && pwrite(file, image.data(), size, 0) == static_cast<ssize_t>(size),
            "cannot write %s", path.c_str());
    CUmodule module = nullptr;
    const CUresult result = cuModuleLoad(&module, path.c_str());
    REQUIRE(result != CUDA_SUCCESS, "%zu of %zu bytes were taken for a whole image", size, image.size());
    tally.count(result, module, "truncated");
  }
  close(file);
  unlink(path.c_str());
}

// From memory, where headers say how much there is: the image stands before 16 MiB of zeros, as a program's
// would stand before other data of it.
void load_flipped(const Image& image, check::Random& random, Tally& tally) {
  Image padded(image.size() + (16u << 20));
  for (int round = 0; round < 2000; ++round) {
    std::memcpy(padded.data(), image.data(), image.size());
    // Half of the damage goes to the headers, which are few bytes among many.
    const size_t within = round % 2 == 0 ? 80 : image.size();
    for (uint32_t flips = 1 + random.below(4); flips > 0; --flips) {
      padded[random.below(static_cast<uint32_t>(within))] ^=
          static_cast<unsigned char>(1u << random.below(8));
    }
    CUmodule module = nullptr;
    const CUresult result = cuModuleLoadData(&module, padded.data());
    tally.count(result, module, "flipped");
  }
}

}  // namespace

int main() {
  // What is refused is logged; thousands of refusals are not worth reading.
  REQUIRE(freopen("/dev/null", "w", stderr) != nullptr, "no /dev/null");
  const check::Context context;
  const Image image = fat_binary(vector_add_ptx);
  check::Random random(1);
  Tally tally;
  load_truncated(image, random, tally);
  load_flipped(image, random, tally);

  CUmodule module = nullptr;
  CU_CHECK(cuModuleLoadData(&module, image.data()));
  CU_CHECK(cuModuleUnload(module));
  return check::pass(
      "%u damaged images refused with CUDA's errors, %u loaded all the same; good code still loads",
      tally.refused, tally.loaded);
}
