// What the client keeps of each thread that calls the driver.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "cuda/abi.h"
#include "remote/wire/handle_id.h"
#include "remote/wire/message.h"

namespace tessera::remote {

struct ThreadState {
  uint16_t number = 0;
  // The message that is being written, with its header; the answer's body, without.
  std::vector<std::byte> message;
  std::vector<std::byte> answer;
  std::vector<std::byte> parameters;  // of the launch that is being written
  // Where the answer's payload goes, and what came behind it.
  std::span<std::byte> payload;
  CUresult payload_result = CUDA_SUCCESS;
  bool has_answer = false;  // written by whoever reads, under Session's turn_ where that is another thread

  std::vector<CUcontext> contexts;                       // the stack, current last
  std::array<CUcontext, kMostServers> told{};            // what each server takes for current
  std::array<uint64_t, kMostServers> told_generation{};  // of the session that was told
  const void* piece_link = nullptr;                      // that pieces of a payload were given to
  CUstreamCaptureMode capture_mode = CU_STREAM_CAPTURE_MODE_GLOBAL;
  std::vector<CUgraphNode> captured;  // for cuStreamGetCaptureInfo, which gives addresses out
  std::vector<CUgraphEdgeData> captured_edges;

  CUcontext current() const { return contexts.empty() ? nullptr : contexts.back(); }
};

// Of the calling thread. It is freed when the thread ends, but not with the process: the runtime calls the
// driver from its exit handlers.
ThreadState& this_thread();

}  // namespace tessera::remote
