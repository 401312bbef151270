// A libcuda.so.1 that passes each call on to another and writes down what it returned:
//
//   TRACED_DRIVER   the libcuda.so.1 that answers
//   TRACE_FILE      where it is written: a line for each call, "process thread name result", in the order in
//                   which calls of a thread return
//
// What a driver does by itself below its functions is not seen, and is not a program's matter.
#pragma once

#include "cuda/driver_table.h"

namespace tessera::trace {

// Of the driver that answers.
const cuda::DriverTable& traced();
// Our own functions.
const cuda::DriverTable& exported();

CUresult tell(const char* name, CUresult result);
template <typename Result>
Result tell(const char*, Result result) {
  return result;
}

template <typename Result>
Result missing();

}  // namespace tessera::trace
