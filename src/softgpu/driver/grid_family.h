// What the blocks of one grid launch: child grids, copies and fills, in the streams of the CUDA device
// runtime.
//
// A grid is finished when its blocks and all that it launched are, tail launches last and one after the
// other. Stream 0 is one for each thread block; streams made in a kernel are the grid's.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <utility>

#include "softgpu/driver/kernel_op.h"

namespace tessera::softgpu {

class GridFamily final : public exec::GridRuntime {
 public:
  explicit GridFamily(KernelOp& parent);
  ~GridFamily() override;

  uint32_t parameter_buffer(uint64_t function, const exec::Dim3& grid, const exec::Dim3& block,
                            uint32_t dynamic_shared_bytes, uint64_t* buffer) override;
  uint32_t launch(uint64_t buffer, uint64_t stream, uint64_t thread_block) override;
  uint32_t copy(uint64_t to, uint64_t from, uint64_t bytes, uint64_t stream, uint64_t thread_block) override;
  uint32_t fill(uint64_t to, uint8_t value, uint64_t bytes, uint64_t stream, uint64_t thread_block) override;
  uint32_t create_stream(uint32_t flags, uint64_t* stream) override;
  uint32_t destroy_stream(uint64_t stream) override;
  uint32_t attribute(int32_t attribute, int32_t device, int32_t* value) override;
  int32_t device() override;
  int32_t runtime_version() override;

  // The blocks and all other children are finished: begins the next tail launch. False where there is none.
  bool begin_tail();

 private:
  // A stream, and for stream 0 the thread block.
  using Key = std::pair<uint64_t, uint64_t>;
  // Begins work that calls finished(key) once when it is done.
  using Work = std::function<void()>;
  class Child;

  uint32_t submit(uint64_t stream, uint64_t thread_block, const std::function<Work(Key)>& make);
  bool known(uint64_t stream);
  void finished(Key key);

  KernelOp& parent_;
  std::mutex mutex_;
  std::map<uint64_t, GridLaunch> prepared_;  // by parameter buffer
  std::map<Key, std::deque<Work>> streams_;  // the first of each is running
  std::deque<Work> tail_;
  std::set<uint64_t> made_;  // streams of this grid
};

}  // namespace tessera::softgpu
