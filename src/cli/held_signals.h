// Keeps Ctrl-C and its like waiting while something is done that must not be left half done. They take effect
// at the end.
#pragma once

#include <signal.h>

namespace tessera::cli {

class HeldSignals {
 public:
  HeldSignals() {
    sigemptyset(&held_);
    for (int number : {SIGINT, SIGTERM, SIGHUP}) sigaddset(&held_, number);
    sigprocmask(SIG_BLOCK, &held_, &before_);
  }
  ~HeldSignals() { sigprocmask(SIG_SETMASK, &before_, nullptr); }
  HeldSignals(const HeldSignals&) = delete;
  HeldSignals& operator=(const HeldSignals&) = delete;

  // Whether one waits.
  bool asked_to_end() const {
    sigset_t waiting;
    sigpending(&waiting);
    return sigismember(&waiting, SIGINT) != 0 || sigismember(&waiting, SIGTERM) != 0 ||
           sigismember(&waiting, SIGHUP) != 0;
  }

 private:
  sigset_t held_, before_;
};

}  // namespace tessera::cli
