#include "remote/client/thread_state.h"

#include <pthread.h>

#include <mutex>

namespace tessera::remote {
namespace {

constinit thread_local ThreadState* mine = nullptr;

// Numbers are given again once their thread has ended.
class Numbers {
 public:
  static Numbers& get() {
    static auto* numbers = new Numbers;
    return *numbers;
  }
  uint16_t take() {
    std::lock_guard lock(lock_);
    if (free_.empty()) return next_ < kMaxThreads ? next_++ : kMaxThreads - 1;
    const uint16_t number = free_.back();
    free_.pop_back();
    return number;
  }
  void give_back(uint16_t number) {
    std::lock_guard lock(lock_);
    if (number < kMaxThreads - 1) free_.push_back(number);
  }
  pthread_key_t key() const { return key_; }

 private:
  Numbers() {
    pthread_key_create(&key_, [](void* state) {
      auto* ended = static_cast<ThreadState*>(state);
      get().give_back(ended->number);
      mine = nullptr;
      delete ended;
    });
  }

  std::mutex lock_;
  std::vector<uint16_t> free_;
  uint16_t next_ = 0;
  pthread_key_t key_{};
};

}  // namespace

ThreadState& this_thread() {
  if (mine == nullptr) [[unlikely]] {
    mine = new ThreadState;
    mine->number = Numbers::get().take();
    pthread_setspecific(Numbers::get().key(), mine);
  }
  return *mine;
}

}  // namespace tessera::remote
