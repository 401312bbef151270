// Work that waits for what nobody tells of: a value in memory that a kernel, the host or another process's
// device writes. It has to be looked at again and again.
#pragma once

#include "softgpu/driver/op.h"

namespace tessera::softgpu {

class WatchedOp : public Op {
 public:
  // Looks now, and from then on every 20 µs on a thread of its own: short against anything a program can
  // tell, long against a look.
  void start(const std::shared_ptr<Op>& self) final;

  // Goes on as far as it can; whether all is done. One call at a time.
  virtual bool advance() = 0;
};

}  // namespace tessera::softgpu
