// Copies on the wire.
#pragma once

#include <cstdint>

namespace tessera::remote {

// How a piece of a payload comes.
enum class PieceForm : uint32_t {
  kPlain = 0,  // as it is
  kCoded = 1,  // a stored page of memory/codec/page_format.h, smaller than the piece
  kArea =
      2,  // not here: it begins a slot of the memory that both sides see, the number of which is told instead
};
// Pieces that are not plain have at most so many bytes.
inline constexpr uint64_t kPieceBytes = 1 << 20;

// kCopyIn (the payload follows the message) and kCopyOut (it follows the answer, or is in it up to
// kInlineBytes).
struct CopyFields {
  uint64_t device = 0;
  uint64_t bytes = 0;
  uint64_t stream = 0;
  PieceForm form = PieceForm::kPlain;  // kCopyIn
  uint32_t stripes = 0;                // kCopyOut: over how many further connections pieces may come
  uint64_t stored = 0;                 // kCopyIn: bytes of the payload, or the number of a slot
  uint64_t number = 0;  // kCopyIn: it does not follow, but comes over another connection under this number
};

// Before each piece of the payload of an answer; the piece is filled up to 8 bytes.
struct PieceHeader {
  uint32_t bytes = 0;
  PieceForm form = PieceForm::kPlain;
  uint64_t stored = 0;
  uint64_t number = 0;  // as in CopyFields
};
static_assert(sizeof(PieceHeader) == 24);

inline constexpr uint64_t kInlineBytes = 32 << 10;

// Between the device and memory that both sides have.
struct MirroredCopyFields {
  uint64_t device = 0;
  uint64_t host = 0;
  uint64_t bytes = 0;
  uint64_t stream = 0;
  uint64_t is_captured = 0;
};

// kCopyRow: between an array and the client's memory.
struct RowFields {
  uint64_t array = 0;
  uint64_t offset = 0;
  uint64_t bytes = 0;
  uint64_t stream = 0;
  uint32_t form = 0;  // of the bits below
  uint32_t reserved = 0;
};

// kCopyBox: u32 of these, u64 stream, CUDA_MEMCPY3D, then the packed payload where it is from the client.
inline constexpr uint32_t kBoxAsync = 1;
inline constexpr uint32_t kBoxFromClient = 2;
inline constexpr uint32_t kBoxToClient = 4;
inline constexpr uint64_t kMostBoxPiece = uint64_t{32} << 20;  // of the client's memory in one message
inline constexpr uint64_t kMaxBoxBytes = uint64_t{4} << 30;    // that a graph or a stream copies at once

}  // namespace tessera::remote
