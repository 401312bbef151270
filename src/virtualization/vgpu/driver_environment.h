// What the driver reads in the environment when it starts, and must find there as the slice wants it.
#pragma once

#include "common/status.h"
#include "virtualization/lease/account.h"

namespace tessera::vgpu {

// The slice's devices (CUDA_VISIBLE_DEVICES); and behind them, for the driver alone, those in whose memory
// something may be kept (hidden_calls.cc). False where there are none of these.
enum class Beside : bool { kNothing, kNeighbours };
bool show_devices(const Account& account, Beside beside);

// Where the slice is kept to some SMs by MPS: its portion, or less where the user has asked for less, and
// whether it yields to others. Refused where no control daemon is there, as nobody would keep it to that.
Status take_portion(const Account& account);

}  // namespace tessera::vgpu
