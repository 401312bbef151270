// The entries of every handler family of one instruction set.
#pragma once

#include "softgpu/exec/op.h"

#define TESSERA_FOR_EACH_FAMILY(apply)                                                                 \
  apply(Integer) apply(Bits) apply(Moves) apply(Carry) apply(Compare) apply(Float) apply(FloatMath)    \
      apply(Half) apply(Convert) apply(Memory) apply(Atomic) apply(Shuffle) apply(Video) apply(Matrix) \
          apply(MatrixMemory) apply(AsyncCopy) apply(Mbarrier) apply(Cluster) apply(Float8)

#define TESSERA_DECLARE_FAMILY(name)     \
  extern const Entry k##name##Entries[]; \
  extern const size_t k##name##Count;

namespace tessera::softgpu::exec {
namespace TESSERA_ISA {
TESSERA_FOR_EACH_FAMILY(TESSERA_DECLARE_FAMILY)
}  // namespace TESSERA_ISA
}  // namespace tessera::softgpu::exec
