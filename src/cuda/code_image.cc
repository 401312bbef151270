#include "cuda/code_image.h"

#include <algorithm>
#include <cstring>
#include <optional>

namespace tessera::cuda {
namespace {

constexpr uint32_t kWrapperMagic = 0x466243b1;
constexpr uint32_t kFatbinMagic = 0xba55ed50;
constexpr uint32_t kElfMagic = 0x464c457f;
constexpr size_t kFatbinHeaderBytes = 16;
constexpr size_t kElfHeaderBytes = 64;

Status no_image(const char* why) { return Status::error(Code::kInvalidData, "no device code: %s", why); }

// From the first `kFatbinHeaderBytes` bytes: u32 magic, u16 version, u16 header size, u64 size of what
// follows.
std::optional<uint64_t> fatbin_bytes(ByteSpan start) {
  const auto header = read_at<uint16_t>(start, 6);
  const auto body = read_at<uint64_t>(start, 8);
  if (!header || !body || *header < kFatbinHeaderBytes || *body > kMaxCodeBytes) return std::nullopt;
  return *header + *body;
}

// Up to the end of the section headers, the program headers, or the header itself: linkers write the tables
// last.
std::optional<uint64_t> elf_bytes(ByteSpan start) {
  const auto program_at = read_at<uint64_t>(start, 32);
  const auto section_at = read_at<uint64_t>(start, 40);
  const auto program_size = read_at<uint16_t>(start, 54);
  const auto program_count = read_at<uint16_t>(start, 56);
  const auto section_size = read_at<uint16_t>(start, 58);
  const auto section_count = read_at<uint16_t>(start, 60);
  if (!section_count || *program_at > kMaxCodeBytes || *section_at > kMaxCodeBytes) return std::nullopt;
  return std::max({uint64_t{kElfHeaderBytes}, *program_at + uint64_t{*program_size} * *program_count,
                   *section_at + uint64_t{*section_size} * *section_count});
}

Result<ByteSpan> piece_at(const void* image) {
  if (image == nullptr) return no_image("a null pointer");
  const auto* bytes = static_cast<const std::byte*>(image);
  uint32_t magic = 0;
  memcpy(&magic, image, strnlen(static_cast<const char*>(image), sizeof magic));
  std::optional<uint64_t> size;
  if (magic == kFatbinMagic) {
    size = fatbin_bytes({bytes, kFatbinHeaderBytes});
  } else if (magic == kElfMagic) {
    size = elf_bytes({bytes, kElfHeaderBytes});
  } else {
    size = strnlen(static_cast<const char*>(image), kMaxCodeBytes) + 1;
  }
  if (!size || *size > kMaxCodeBytes) return no_image("its headers are damaged, or it has more than 1 GiB");
  return ByteSpan(bytes, *size);
}

Result<CodeImage> find_units(const void* const* units) {
  if (units == nullptr) return no_image("its wrapper points nowhere");
  CodeImage found{CodeImage::Form::kUnits, {}};
  for (; units[found.pieces.size()] != nullptr;) {
    if (found.pieces.size() == kMaxCodeUnits) return no_image("more than 4096 translation units");
    TESSERA_ASSIGN_OR_RETURN(ByteSpan piece, piece_at(units[found.pieces.size()]));
    found.pieces.push_back(piece);
  }
  return found;
}

}  // namespace

Result<CodeImage> find_code_image(const void* image) {
  if (image == nullptr) return no_image("a null pointer");
  uint32_t magic = 0;
  memcpy(&magic, image, strnlen(static_cast<const char*>(image), sizeof magic));
  if (magic != kWrapperMagic) {
    TESSERA_ASSIGN_OR_RETURN(ByteSpan piece, piece_at(image));
    return CodeImage{CodeImage::Form::kPlain, {piece}};
  }
  struct {
    uint32_t magic, version;
    const void* data;
    const void* extra;
  } wrapper{};
  memcpy(&wrapper, image, sizeof wrapper);
  if (wrapper.version == 2) return find_units(static_cast<const void* const*>(wrapper.extra));
  if (wrapper.version != 1) return no_image("a wrapper of an unknown version");
  TESSERA_ASSIGN_OR_RETURN(ByteSpan piece, piece_at(wrapper.data));
  return CodeImage{CodeImage::Form::kWrapper, {piece}};
}

bool is_whole_code(ByteSpan piece) {
  const auto magic = read_at<uint32_t>(piece, 0);
  if (magic && *magic == kWrapperMagic) return false;  // pointers of another process
  if (magic && *magic == kFatbinMagic) {
    const auto size = fatbin_bytes(piece);
    return size && *size <= piece.size();
  }
  if (magic && *magic == kElfMagic) {
    if (piece.size() < kElfHeaderBytes) return false;
    const auto size = elf_bytes(piece);
    return size && *size <= piece.size();
  }
  return !piece.empty() && piece.back() == std::byte{0};
}

RebuiltImage::RebuiltImage(const CodeImage& image) {
  if (image.form == CodeImage::Form::kPlain) {
    start_ = image.pieces[0].data();
    return;
  }
  wrapper_ = {kWrapperMagic, 1, image.pieces.empty() ? nullptr : image.pieces[0].data(), nullptr};
  if (image.form == CodeImage::Form::kUnits) {
    for (ByteSpan piece : image.pieces) units_.push_back(piece.data());
    units_.push_back(nullptr);
    wrapper_.version = 2;
    wrapper_.extra = units_.data();
  }
  start_ = &wrapper_;
}

}  // namespace tessera::cuda
