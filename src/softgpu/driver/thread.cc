#include "softgpu/driver/thread.h"

#include <pthread.h>

#include <csignal>
#include <thread>

namespace tessera::softgpu {

void start_thread(const char* name, std::function<void()> body) {
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  std::thread thread([name, body = std::move(body)] {
    pthread_setname_np(pthread_self(), name);
    body();
  });
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  thread.detach();
}

}  // namespace tessera::softgpu
