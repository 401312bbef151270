// Layout, little endian, as nvcc 13.0 writes it (there is no published reference):
//
//   wrapper     u32 0x466243b1, u32 version, u64 data, u64 extra     pointers into the process
//               version 1: data is a fat binary. Version 2 (relocatable device code): extra is an array of
//               fat binaries that ends with a null pointer, one per translation unit; data holds the SASS
//               linked from them.
//   fat binary  u32 0xba55ed50, u16 version 1, u16 header size 16, u64 size of what follows: entries, one
//   behind the other entry       u16 kind @0, u32 header size @4, u64 payload size @8 (padding included), u32
//   compressed size @16,
//               u32 architecture @28, u64 flags @40, u64 uncompressed size @56; then options and names; then
//               the payload
#include "softgpu/ptx/fatbin.h"

#include <algorithm>
#include <charconv>
#include <vector>

#include "softgpu/ptx/compression.h"
#include "softgpu/ptx/lexer.h"
#include "softgpu/ptx/parser.h"

namespace tessera::softgpu::ptx {
namespace {

constexpr uint32_t kWrapperMagic = 0x466243b1;
constexpr uint32_t kFatbinMagic = 0xba55ed50;
constexpr uint32_t kElfMagic = 0x464c457f;
constexpr size_t kFatbinHeaderSize = 16;
constexpr size_t kEntryHeaderSize = 64;
constexpr uint64_t kMaxFatbinBytes = uint64_t{4} << 30;
constexpr size_t kMaxUnits = 1u << 16;

enum Kind : uint16_t { kKindPtx = 1, kKindElf = 2 };

constexpr uint64_t kFlagLz4 = 0x2000;
constexpr uint64_t kFlagZstd = 0x8000;
constexpr uint64_t kFlagArchitectureSpecific = 0x100000;  // compute_90a: for that architecture alone
constexpr uint64_t kFlagFamilySpecific = 0x200000;        // compute_100f: for its family

struct Wrapper {
  uint32_t magic, version;
  const void* data;
  const void* const* extra;
};

struct Entry {
  uint16_t kind = 0;
  uint32_t architecture = 0;
  uint64_t flags = 0;
  uint32_t compressed_size = 0;
  uint64_t uncompressed_size = 0;
  ByteSpan payload;
};

Status damaged(const char* what) { return Status::error(Code::kInvalidData, "fat binary: %s", what); }

// The entry at the beginning of `rest`, which is moved past it.
Result<Entry> next_entry(ByteSpan* rest) {
  if (rest->size() < kEntryHeaderSize) return damaged("an entry is cut off");
  Entry entry;
  entry.kind = *read_at<uint16_t>(*rest, 0);
  const uint64_t header_size = *read_at<uint32_t>(*rest, 4);
  const uint64_t payload_size = *read_at<uint64_t>(*rest, 8);
  entry.compressed_size = *read_at<uint32_t>(*rest, 16);
  entry.architecture = *read_at<uint32_t>(*rest, 28);
  entry.flags = *read_at<uint64_t>(*rest, 40);
  entry.uncompressed_size = *read_at<uint64_t>(*rest, 56);
  if (header_size < kEntryHeaderSize) return damaged("an entry's header is too small");
  const auto payload = slice_at(*rest, header_size, payload_size);
  if (!payload) return damaged("an entry reaches beyond the end");
  entry.payload = *payload;
  *rest = rest->subspan(header_size + payload_size);
  return entry;
}

Result<std::vector<Entry>> entries_of(ByteSpan fatbin) {
  const auto magic = read_at<uint32_t>(fatbin, 0);
  const auto version = read_at<uint16_t>(fatbin, 4), header_size = read_at<uint16_t>(fatbin, 6);
  const auto size = read_at<uint64_t>(fatbin, 8);
  if (!size || *magic != kFatbinMagic) return damaged("no header");
  if (*version != 1 || *header_size != kFatbinHeaderSize)
    return Status::error(Code::kUnsupported, "fat binary: format version %u is unknown", *version);
  const auto body = slice_at(fatbin, kFatbinHeaderSize, *size);
  if (!body) return damaged("shorter than its header says");
  std::vector<Entry> entries;
  for (ByteSpan rest = *body; !rest.empty();) {
    TESSERA_ASSIGN_OR_RETURN(Entry entry, next_entry(&rest));
    entries.push_back(entry);
  }
  return entries;
}

bool may_run(const Entry& entry, uint32_t architecture_max) {
  if (entry.kind != kKindPtx || entry.architecture > architecture_max) return false;
  if ((entry.flags & kFlagArchitectureSpecific) != 0) return entry.architecture == architecture_max;
  if ((entry.flags & kFlagFamilySpecific) != 0) return entry.architecture / 10 == architecture_max / 10;
  return true;
}

std::string join(const std::vector<Entry>& entries, uint16_t kind, const char* prefix) {
  std::string list;
  for (const Entry& entry : entries) {
    if (entry.kind != kind) continue;
    if (!list.empty()) list += ", ";
    list += prefix + std::to_string(entry.architecture);
    if ((entry.flags & kFlagArchitectureSpecific) != 0) list += 'a';
    if ((entry.flags & kFlagFamilySpecific) != 0) list += 'f';
  }
  return list;
}

Status nothing_runs(const std::string& what, uint32_t architecture_max) {
  const std::string architecture = std::to_string(architecture_max);
  return Status(Code::kUnsupported, "device code " + what + "; rebuild with -gencode arch=compute_" +
                                        architecture + ",code=compute_" + architecture +
                                        " (or an older architecture)");
}

Status nothing_runs(const std::vector<Entry>& entries, uint32_t architecture_max) {
  if (entries.empty()) return nothing_runs("is an empty fat binary", architecture_max);
  if (const std::string ptx = join(entries, kKindPtx, "compute_"); !ptx.empty())
    return nothing_runs(
        "has PTX for " + ptx + " only, and this device is sm_" + std::to_string(architecture_max),
        architecture_max);
  const std::string sass = join(entries, kKindElf, "sm_");
  return nothing_runs(
      "is built for " + (sass.empty() ? "link-time optimisation" : sass) + " only and carries no PTX",
      architecture_max);
}

Result<std::string> text_of(const Entry& entry) {
  const bool zstd = (entry.flags & kFlagZstd) != 0;
  std::string text;
  if (zstd || (entry.flags & kFlagLz4) != 0) {
    if (entry.uncompressed_size > kMaxDecompressedBytes) return damaged("too much PTX");
    const auto compressed = slice_at(entry.payload, 0, entry.compressed_size);
    if (!compressed) return damaged("an entry's compressed size is larger than the entry");
    const size_t size = entry.uncompressed_size;
    TESSERA_ASSIGN_OR_RETURN(text,
                             zstd ? decompress_zstd(*compressed, size) : decompress_lz4(*compressed, size));
  } else {
    if (entry.payload.size() > kMaxDecompressedBytes) return damaged("too much PTX");
    text.assign(reinterpret_cast<const char*>(entry.payload.data()), entry.payload.size());
  }
  text.resize(text.find_last_not_of('\0') + 1);  // padding
  return text;
}

Result<DeviceCode> extract_fatbin(ByteSpan fatbin, uint32_t architecture_max) {
  TESSERA_ASSIGN_OR_RETURN(const std::vector<Entry> entries, entries_of(fatbin));
  const Entry* best = nullptr;
  for (const Entry& entry : entries)
    if (may_run(entry, architecture_max) && (best == nullptr || entry.architecture > best->architecture))
      best = &entry;
  if (best == nullptr) return nothing_runs(entries, architecture_max);
  DeviceCode code;
  code.architecture = best->architecture;
  TESSERA_ASSIGN_OR_RETURN(code.text, text_of(*best));
  return code;
}

Result<DeviceCode> extract_text(std::string_view text, uint32_t architecture_max) {
  Lexer lexer(text);
  // .version 9.0 .target sm_75
  if (lexer.next().text != ".version") return damaged("this is neither a fat binary nor PTX");
  lexer.next();
  if (lexer.next().text != ".target") return damaged("PTX without .target");
  const std::string_view target = lexer.next().text;
  DeviceCode code;
  const size_t digits = target.find('_') + 1;
  std::from_chars(target.data() + digits, target.data() + target.size(), code.architecture);
  if (code.architecture > architecture_max)
    return nothing_runs("is PTX for " + std::string(target.substr(0, 16)) + ", and this device is sm_" +
                            std::to_string(architecture_max),
                        architecture_max);
  code.text = text;
  return code;
}

Status cubin_is_unsupported(uint32_t architecture_max) {
  return nothing_runs("is a cubin, which holds machine code for one architecture and no PTX",
                      architecture_max);
}

// A fat binary in memory; its own header says how long it is.
Result<DeviceCode> extract_fatbin_at(const void* fatbin, uint32_t architecture_max) {
  const ByteSpan header(static_cast<const std::byte*>(fatbin), kFatbinHeaderSize);
  if (*read_at<uint32_t>(header, 0) != kFatbinMagic) return damaged("no header");
  const uint64_t size = *read_at<uint64_t>(header, 8);
  if (size > kMaxFatbinBytes) return damaged("larger than 4 GiB");
  return extract_fatbin({header.data(), kFatbinHeaderSize + size}, architecture_max);
}

// Translation units of one program, gathered.
class Units {
 public:
  Status add(const Result<DeviceCode>& unit) {
    if (!unit.ok() && unit.status().code() != Code::kUnsupported) return unit.status();
    if (!unit.ok()) {
      all_.left_out = unit.status().message();
      return {};
    }
    if (all_.text.size() + unit->text.size() > kMaxTextBytes) return damaged("too much PTX");
    all_.text += unit->text;
    all_.text += '\n';
    all_.architecture = std::max(all_.architecture, unit->architecture);
    return {};
  }

  Result<DeviceCode> take(const char* none) {
    if (!all_.text.empty()) return std::move(all_);
    if (!all_.left_out.empty()) return Status(Code::kUnsupported, all_.left_out);
    return damaged(none);
  }

 private:
  DeviceCode all_;
};

Result<DeviceCode> extract_units(const void* const* fatbins, uint32_t architecture_max) {
  Units units;
  for (size_t i = 0; fatbins[i] != nullptr; ++i) {
    if (i == kMaxUnits) return damaged("its list of translation units does not end");
    TESSERA_RETURN_IF_ERROR(units.add(extract_fatbin_at(fatbins[i], architecture_max)));
  }
  return units.take("its list of translation units is empty");
}

Result<DeviceCode> extract_wrapper(const void* image, uint32_t architecture_max) {
  Wrapper wrapper;
  std::memcpy(&wrapper, image, sizeof wrapper);
  switch (wrapper.version) {
    case 1:
      if (wrapper.data == nullptr) return damaged("its wrapper points nowhere");
      return extract_fatbin_at(wrapper.data, architecture_max);
    case 2:
      if (wrapper.extra == nullptr) return damaged("its wrapper points nowhere");
      return extract_units(wrapper.extra, architecture_max);
    default:
      return Status::error(Code::kUnsupported, "fat binary: wrapper version %u is unknown", wrapper.version);
  }
}

}  // namespace

Result<DeviceCode> extract(const void* image, uint32_t architecture_max) {
  if (image == nullptr) return Status::error(Code::kInvalidArgument, "no device code: the pointer is null");
  // PTX may be shorter than a magic number: no byte is read behind a NUL.
  const auto* characters = static_cast<const char*>(image);
  uint32_t magic = 0;
  const size_t readable = strnlen(characters, sizeof magic);
  if (readable == sizeof magic) std::memcpy(&magic, image, sizeof magic);
  switch (magic) {
    case kWrapperMagic:
      return extract_wrapper(image, architecture_max);
    case kFatbinMagic:
      return extract_fatbin_at(image, architecture_max);
    case kElfMagic:
      return cubin_is_unsupported(architecture_max);
    default:
      break;
  }
  const size_t length = strnlen(characters, kMaxTextBytes + 1);
  if (length > kMaxTextBytes) return damaged("PTX text that does not end");
  return extract_text({characters, length}, architecture_max);
}

Result<DeviceCode> extract_bounded(ByteSpan image, uint32_t architecture_max) {
  switch (read_at<uint32_t>(image, 0).value_or(0)) {
    case kWrapperMagic:
      return damaged("a wrapper holds pointers and means nothing outside its process");
    case kFatbinMagic:
      return extract_fatbin(image, architecture_max);
    case kElfMagic:
      return cubin_is_unsupported(architecture_max);
    default:
      break;
  }
  if (image.size() > kMaxTextBytes) return damaged("too much PTX");
  std::string_view text(reinterpret_cast<const char*>(image.data()), image.size());
  return extract_text(text.substr(0, text.find('\0')), architecture_max);
}

// Fat binaries lie in sections of their own, aligned to 8 bytes there; members of archives to 2.
Result<DeviceCode> extract_embedded(ByteSpan file, uint32_t architecture_max) {
  Units units;
  for (size_t at = 0; at + kFatbinHeaderSize <= file.size();) {
    const ByteSpan rest = file.subspan(at);
    const bool begins = *read_at<uint32_t>(rest, 0) == kFatbinMagic && *read_at<uint16_t>(rest, 4) == 1 &&
                        *read_at<uint16_t>(rest, 6) == kFatbinHeaderSize;
    const uint64_t size = *read_at<uint64_t>(rest, 8);
    if (!begins || !range_fits(kFatbinHeaderSize, size, rest.size())) {
      at += 2;
      continue;
    }
    TESSERA_RETURN_IF_ERROR(units.add(extract_fatbin(rest, architecture_max)));
    at += kFatbinHeaderSize + size;
  }
  return units.take("no device code in this file");
}

namespace {

template <typename T>
void append(std::string* bytes, T value) {
  bytes->append(reinterpret_cast<const char*>(&value), sizeof value);
}

}  // namespace

std::string make_fatbin(const std::string& text, uint32_t architecture) {
  const size_t padded = (text.size() + 8) / 8 * 8;  // at least one NUL behind the text
  std::string bytes;
  append<uint32_t>(&bytes, kFatbinMagic);
  append<uint16_t>(&bytes, 1);
  append<uint16_t>(&bytes, kFatbinHeaderSize);
  append<uint64_t>(&bytes, kEntryHeaderSize + padded);
  const size_t entry = bytes.size();
  append<uint16_t>(&bytes, kKindPtx);
  append<uint16_t>(&bytes, 0x101);
  append<uint32_t>(&bytes, kEntryHeaderSize);
  append<uint64_t>(&bytes, padded);
  bytes.resize(entry + 28);
  append<uint32_t>(&bytes, architecture);
  bytes.resize(entry + kEntryHeaderSize);
  bytes += text;
  bytes.resize(entry + kEntryHeaderSize + padded);
  return bytes;
}

}  // namespace tessera::softgpu::ptx
