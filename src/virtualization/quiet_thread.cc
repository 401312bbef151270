#include "virtualization/quiet_thread.h"

#include <signal.h>
#include <sys/prctl.h>

#include <memory>
#include <string>
#include <utility>

namespace tessera::vgpu {
namespace {

constexpr size_t kStackBytes = 256 * 1024;

struct Begin {
  std::string name;
  void* (*body)(void*);
  void* argument;
};

// It says its name itself: from outside that is three system calls, which whoever starts it would wait for.
void* begin(void* given) {
  const Begin here = std::move(*std::unique_ptr<Begin>(static_cast<Begin*>(given)));
  prctl(PR_SET_NAME, here.name.c_str());
  return here.body(here.argument);
}

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
  auto here = std::make_unique<Begin>(Begin{name, body, argument});
  const int error = pthread_create(&thread, &attributes, begin, here.get());
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  pthread_attr_destroy(&attributes);
  if (error != 0) return Status::from_errno(error, "cannot start the thread %s", name);
  (void)here.release();  // it is the thread's
  return thread;
}

}  // namespace tessera::vgpu
