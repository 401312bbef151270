#include "virtualization/quiet_thread.h"

#include <signal.h>

namespace tessera::vgpu {
namespace {

constexpr size_t kStackBytes = 256 * 1024;

}  // namespace

Result<pthread_t> start_quiet_thread(const char* name, void* (*body)(void*), void* argument) {
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, kStackBytes);
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  pthread_t thread{};
  const int error = pthread_create(&thread, &attributes, body, argument);
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  pthread_attr_destroy(&attributes);
  if (error != 0) return Status::from_errno(error, "cannot start the thread %s", name);
  pthread_setname_np(thread, name);
  return thread;
}

}  // namespace tessera::vgpu
