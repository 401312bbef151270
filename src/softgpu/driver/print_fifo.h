// What kernels print, until the next synchronisation shows it.
#pragma once

#include <deque>
#include <mutex>
#include <string>

namespace tessera::softgpu {

class PrintFifo {
 public:
  // Once more than `capacity` bytes wait, the oldest text is lost, as CUDA says.
  void append(std::string text);
  void set_capacity(size_t bytes);
  // To the program's stdout, in its own buffer, so that the order with the program's own output is kept.
  void flush();

 private:
  std::mutex mutex_;
  std::deque<std::string> texts_;
  size_t bytes_ = 0;
  size_t capacity_ = 1u << 20;
};

}  // namespace tessera::softgpu
