#include "softgpu/driver/print_fifo.h"

#include <cstdio>
#include <utility>

namespace tessera::softgpu {

void PrintFifo::append(std::string text) {
  std::lock_guard lock(mutex_);
  bytes_ += text.size();
  texts_.push_back(std::move(text));
  while (bytes_ > capacity_ && texts_.size() > 1) {
    bytes_ -= texts_.front().size();
    texts_.pop_front();
  }
}

void PrintFifo::set_capacity(size_t bytes) {
  std::lock_guard lock(mutex_);
  capacity_ = bytes;
}

void PrintFifo::flush() {
  std::deque<std::string> texts;
  {
    std::lock_guard lock(mutex_);
    if (texts_.empty()) return;
    texts.swap(texts_);
    bytes_ = 0;
  }
  for (const std::string& text : texts) fwrite(text.data(), 1, text.size(), stdout);
  fflush(stdout);
}

}  // namespace tessera::softgpu
