// Functions of the program that wait in streams for their turn.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <unordered_map>
#include <unordered_set>

#include "common/status.h"
#include "cuda/driver_table.h"

namespace tessera::remote {

class Worker;

class Callbacks {
 public:
  // Functions that a session may have at once: of its graphs, and in its streams.
  static constexpr size_t kMost = 1'000'000;

  explicit Callbacks(Worker& worker, size_t most = kMost);
  ~Callbacks();

  // `callback` is the client's number of it. As cuLaunchHostFunc and cuStreamAddCallback.
  CUresult launch(CUstream stream, uint64_t callback);
  CUresult add(CUstream stream, uint64_t callback);
  // What a node of a graph calls instead of the client's function, and whose it is (0: none of the client's).
  // No function where there is no room for more.
  CUDA_HOST_NODE_PARAMS node(uint64_t callback);
  uint64_t number_of(const CUDA_HOST_NODE_PARAMS& params);
  // As cuUserObjectCreate: what the object calls at its end nobody waits for.
  CUresult create_object(CUuserObject* object, uint64_t callback, unsigned references, unsigned flags);
  // The client's function has returned.
  void done(uint64_t callback);
  // The client is gone: nothing waits for it any more.
  void abandon();

 private:
  struct Pending;

  void run(uint64_t callback, CUresult status, bool is_last);
  Status tell(uint64_t callback, CUresult status, bool is_last);
  bool is_called_once(CUstream stream) const;
  // Null where there is no room for more.
  std::unique_ptr<Pending> new_once(uint64_t callback);
  Pending* kept(uint64_t callback);

  Worker& worker_;
  const size_t most_;
  // Those that are called once are their own, and gone with the call; `once_` is how many there are.
  std::atomic<size_t> once_{0};
  std::mutex lock_;
  // Of nodes, and of what a stream is captured into: graphs keep them, and clones of graphs, so they stay
  // until the session ends. One for each function that the client has named so.
  std::unordered_map<uint64_t, std::unique_ptr<Pending>> kept_;
  std::unordered_map<const void*, uint64_t> numbers_;  // of kept_
  std::condition_variable changed_;
  std::unordered_multiset<uint64_t> running_;
  bool is_abandoned_ = false;
};

}  // namespace tessera::remote
