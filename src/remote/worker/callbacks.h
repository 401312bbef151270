// Functions of the program that wait in streams for their turn.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <unordered_map>
#include <unordered_set>

#include "cuda/driver_table.h"

namespace tessera::remote {

class Worker;

class Callbacks {
 public:
  explicit Callbacks(Worker& worker);
  ~Callbacks();

  // `callback` is the client's number of it. As cuLaunchHostFunc and cuStreamAddCallback.
  CUresult launch(CUstream stream, uint64_t callback);
  CUresult add(CUstream stream, uint64_t callback);
  // What a node of a graph calls instead of the client's function, and whose it is (0: none of the client's).
  CUDA_HOST_NODE_PARAMS node(uint64_t callback);
  uint64_t number_of(const CUDA_HOST_NODE_PARAMS& params);
  // What an object calls at its end, which nobody waits for.
  CUDA_HOST_NODE_PARAMS ending(uint64_t callback);
  // The client's function has returned.
  void done(uint64_t callback);
  // The client is gone: nothing waits for it any more.
  void abandon();

 private:
  struct Pending;

  void run(uint64_t callback, CUresult status);

  Worker& worker_;
  Pending* kept(uint64_t callback);

  std::mutex lock_;
  // Of launched functions: what a stream is captured into keeps them, so they stay until the session ends.
  // One for each function that the client has named.
  std::unordered_map<uint64_t, std::unique_ptr<Pending>> kept_;
  std::condition_variable changed_;
  std::unordered_multiset<uint64_t> running_;
  bool is_abandoned_ = false;
};

}  // namespace tessera::remote
