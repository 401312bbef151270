// What the streams of a session are made of: messages, each a header and its fields, some followed by a
// payload. Fields are little-endian and begin at multiples of 8 bytes. docs/wire.md describes them.
#pragma once

#include <cstdint>

namespace tessera::remote {

struct MessageHeader {
  uint32_t bytes = 0;   // of the message with this header, without a payload; a multiple of 8
  uint16_t op = 0;      // an Op (remote/ops.h), or one of the numbers below
  uint16_t thread = 0;  // the client's thread, and the flags below
};
static_assert(sizeof(MessageHeader) == 8);

inline constexpr uint16_t kThreadMask = 0x3fff;
inline constexpr uint16_t kAnswerWanted = 0x4000;      // otherwise an error is kept for the next answer
inline constexpr uint16_t kPerThreadDefault = 0x8000;  // stream 0 is the thread's own

inline constexpr uint32_t kMaxMessageBytes = 1 << 20;
inline constexpr uint64_t kMaxPayloadBytes = uint64_t{64} << 30;
inline constexpr uint64_t kMaxImageBytes = uint64_t{1} << 30;
inline constexpr uint16_t kMaxThreads = 4096;
inline constexpr uint32_t kHostUnregistered = 0x80000000;  // kHostAdd: memory that only copies use

// Messages of our own beside the driver's calls.
inline constexpr uint16_t kFirstOwnMessage = 0x8000;
enum class Message : uint16_t {
  // from the client
  kHello = kFirstOwnMessage,  // what the server has: devices and entry points
  kPrimaryContext,            // as cudart's table of the driver gives it
  kUseContext,                // the thread's current context from here on
  kCopyIn,                    // payload to a device address, in stream order
  kCopyOut,                   // a device address to the answer's payload
  kCopyRow,                   // arrays, as a line of elements
  kCopyBox,                   // pitched memory and arrays
  kHostAdd,                   // memory of the program that the device can use
  kHostRemove,
  kHostWatch,    // the device may use it by itself
  kHostChanges,  // either way: what one side has written in such memory, as payload (wire/changes.h)
  kFunctionInfo,
  kCallbackDone,
  kCollect,  // host memory as it is now, before a function of the program looks at it
  kAllocAt,  // a session is made again: memory where it was
  kRename,   // and what the client has called otherwise
  kContent,  // of the thread's next payload: wire/content.h
  kGoodbye,
  // from the server
  kAnswer = 0xc000,
  kCallback,  // a host function's turn has come
  kHostData,  // what copies have written in memory of the program, as payload
  kOutput,    // what kernels have printed, as payload; bytes and the descriptor (1 or 2) are its fields
};

// First in the body of an answer. The fields of results follow, then the payload.
struct AnswerHead {
  int32_t result = 0;          // of the call
  int32_t earlier_result = 0;  // of the first call since the last answer that wanted none and failed
  uint64_t payload_bytes = 0;
};
static_assert(sizeof(AnswerHead) == 16);

// The fields of kCallback.
struct CallbackTurn {
  uint64_t callback = 0;  // the client's number of its function
  int32_t status = 0;     // what a stream's callback is told
  uint32_t is_last = 0;   // 1: this number is not told again, unless the client says it again
};
static_assert(sizeof(CallbackTurn) == 16);

// Of the program's environment, in kHello: what its driver would read.
inline constexpr const char* kDriverSettings[] = {"CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER",
                                                  "CUDA_MODULE_LOADING", "CUDA_LAUNCH_BLOCKING"};

constexpr uint64_t padded(uint64_t bytes) { return (bytes + 7) / 8 * 8; }
inline constexpr uint64_t kAbsent =
    ~uint64_t{0};  // the count of an array, or the size of a text, that is null

}  // namespace tessera::remote
