// The process that the front keeps for the next session.
#include <sys/epoll.h>

#include "common/clock.h"
#include "common/log.h"
#include "remote/front/front.h"

namespace tessera::remote {
namespace {

constexpr uint64_t kSpareAfterNs = 50'000'000;

}  // namespace

void Front::want_spare() { spare_due_ns_ = monotonic_ns() + kSpareAfterNs; }

bool Front::has_place_for_spare() const {
  return options_.keeps_spare && !stopping_ && sessions_.size() < options_.most_sessions;
}

void Front::keep_spare(uint64_t now_ns) {
  if (spare_ && !has_place_for_spare()) {
    drop_spare();
    spare_due_ns_ = now_ns;
  }
  if (spare_ || !has_place_for_spare() || now_ns < spare_due_ns_) return;
  spare_due_ns_ = UINT64_MAX;
  auto made = SpareProcess::start(options_.hooks, [this] { forget_others(); });
  const Status watched = made.ok() ? watch(made->process.get(), EPOLLIN, next_) : made.status();
  if (!watched.ok()) {
    LOG_WARN("front", "sessions will take longer to begin: %s", watched.message().c_str());
    return;
  }
  spare_watch_ = next_++;
  spare_.emplace(std::move(*made));
}

SpareProcess Front::take_spare() {
  SpareProcess taken = std::move(*spare_);
  spare_.reset();
  (void)epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, taken.process.get(), nullptr);
  return taken;
}

void Front::drop_spare() {
  if (spare_) (void)take_spare();
}

void Front::renew_spare() {
  drop_spare();
  want_spare();
}

}  // namespace tessera::remote
