// What Op::aux means for the handler families that take flags.
#pragma once

#include <cstdint>

namespace tessera::softgpu::exec {

// Floating point: bits 0..7 the operation, then flags.
enum FloatOperation : uint32_t {
  kFloatAdd,
  kFloatSub,
  kFloatMul,
  kFloatFma,
  kFloatDiv,
  kFloatRcp,
  kFloatSqrt,
  kFloatMin,
  kFloatMax,
  kFloatNeg,
  kFloatAbs,
  kFloatEx2,
  kFloatTanh,
};
constexpr uint32_t kFloatOperationMask = 0xff;
constexpr uint32_t kRoundShift = 8;  // 3 bits of Rounding
enum Rounding : uint32_t { kNearest, kTowardZero, kDown, kUp, kNearestAway };
constexpr uint32_t kRoundMask = 7u << kRoundShift;
constexpr uint32_t kFlush = 1u << 11;           // .ftz
constexpr uint32_t kSaturate = 1u << 12;        // .sat
constexpr uint32_t kKeepNan = 1u << 13;         // .NaN of min and max
constexpr uint32_t kXorSign = 1u << 14;         // .xorsign.abs
constexpr uint32_t kRelu = 1u << 15;            // .relu
constexpr uint32_t kIntegral = 1u << 16;        // cvt: round to an integral value, .rni and its kin
constexpr uint32_t kSaturateFinite = 1u << 21;  // .satfinite of cvt: never infinite
constexpr uint32_t kCompareShift = 17;          // half comparisons: 4 bits of Comparison

enum Comparison : uint32_t {
  kEq,
  kNe,
  kLt,
  kLe,
  kGt,
  kGe,
  kEqu,
  kNeu,
  kLtu,
  kLeu,
  kGtu,
  kGeu,
  kNum,
  kNan,
};

// Conversions: value formats in Op::aux2, destination in the low byte, source in the next.
enum Format : uint32_t {
  kFmtU8,
  kFmtS8,
  kFmtU16,
  kFmtS16,
  kFmtU32,
  kFmtS32,
  kFmtU64,
  kFmtS64,
  kFmtF16,
  kFmtBF16,
  kFmtTF32,
  kFmtF32,
  kFmtF64
};

// Memory: how an address operand is read (low byte of Op::aux), then flags. Op::aux2 is the number of vector
// elements.
enum AddressKind : uint32_t {
  kGlobalAddress,
  kGenericAddress,
  kSharedAddress32,
  kSharedAddress64,
  kLocalAddress32,
  kLocalAddress64,
  kParamAddress32,
  kParamAddress64
};
constexpr uint32_t kAddressMask = 0xff;
constexpr uint32_t kAcquire = 1u << 8;
constexpr uint32_t kRelease = 1u << 9;
constexpr uint32_t kNoResult = 1u << 10;  // red: an atom without destination

// Asynchronous copies: the kind of the destination's address as above, the kind of the source's in the next
// byte, then flags.
constexpr uint32_t kSourceShift = 8;
constexpr uint32_t kLimitSource = 1u << 16;   // an operand says how many bytes of the source are read
constexpr uint32_t kIgnoreSource = 1u << 17;  // a predicate says that none are
constexpr uint32_t kMulticast = 1u << 18;     // an operand names the blocks of the cluster that get the data

// mbarrier, beside the kind of its address.
constexpr uint32_t kMbarrierDrop = 1u << 16;        // the threads do not come back in later phases
constexpr uint32_t kMbarrierNoComplete = 1u << 17;  // the arrivals must not complete the phase
constexpr uint32_t kMbarrierExpect = 1u << 18;      // one arrival; the operand is bytes to expect
constexpr uint32_t kMbarrierNoState = 1u << 19;     // without a result

// Video instructions: bits 0..3 the operation; kSaturate as above.
enum VideoOperation : uint32_t {
  kVideoAdd,
  kVideoSub,
  kVideoAbsdiff,
  kVideoMin,
  kVideoMax,
  kVideoAverage,
  kVideoSet,
  kVideoShl,
  kVideoShr,
  kVideoMad,
};
constexpr uint32_t kVideoOperationMask = 15;
constexpr uint32_t kVideoSignedD = 1u << 4;
constexpr uint32_t kVideoSignedA = 1u << 5;
constexpr uint32_t kVideoSignedB = 1u << 6;
constexpr uint32_t kVideoClamp = 1u << 7;        // of shift amounts; they wrap otherwise
constexpr uint32_t kVideoCompareShift = 16;      // 4 bits of Comparison
constexpr uint32_t kVideoScaleShift = 20;        // 4 bits: vmad's right shift
constexpr uint32_t kVideoSecondMask = 3u << 24;  // what is done with the third operand
constexpr uint32_t kVideoThenAdd = 1u << 24;
constexpr uint32_t kVideoThenMin = 2u << 24;
constexpr uint32_t kVideoThenMax = 3u << 24;

// Matrix instructions. Op::aux: four MatrixFormats of four bits, of a, b, c and d, then flags. Op::aux2:
// rows, columns and depth, a byte each (k in the upper half).
enum MatrixFormat : uint32_t {
  kMatF16,
  kMatBF16,
  kMatTF32,
  kMatF32,
  kMatF64,
  kMatS8,
  kMatU8,
  kMatS4,
  kMatU4,
  kMatB1,
  kMatE4M3,
  kMatE5M2,
  kMatS32,
};
constexpr uint32_t kMatrixFormatBits = 4;
constexpr uint32_t kMatrixSaturate = 1u << 16;  // .satfinite
constexpr uint32_t kMatrixXor = 1u << 17;       // .xor.popc instead of .and.popc
constexpr uint32_t kMatrixWarp = 1u << 18;      // fragments of wmma, whose layout is ours
constexpr uint32_t kMatrixQuads = 1u << 19;     // m8n8k4 of f16: four products, each of eight lanes
constexpr uint32_t kMatrixColumnA = 1u << 20;   // .col, where it changes the fragment
constexpr uint32_t kMatrixColumnB = 1u << 21;
// Of wmma.load, wmma.store, ldmatrix and stmatrix, beside the address kind. Op::aux2: rows, columns, elements
// in a lane's fragment, bytes of an element; or the number of 8x8 matrices.
constexpr uint32_t kMatrixColumnMajor = 1u << 8;
constexpr uint32_t kMatrixColumnOrder = 1u << 9;  // the fragment has the elements column after column
constexpr uint32_t kMatrixTranspose = 1u << 8;

}  // namespace tessera::softgpu::exec
