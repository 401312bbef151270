// How much of each GPU's memory each process may hold there, where the slices' limits are more than the GPU
// has. Pure: it decides what is sent, the daemon sends it.
//
// A process asks before it takes memory of the device. What fits is granted at once. Else others are asked to
// give some back (partitioning/residency.h says who), and the request waits, as long as it takes: nothing is
// refused that can ever fit, unless it waits for memory that does not move: of that nobody knows whether it
// will ever go.
//
// As long as nobody's turn is over, those that work are told that others could do with what they do not use:
// budget granted ahead, and memory that has been freed and is kept for the next block. So their part shrinks
// to what they need before any of that has to move.
//
// Who has been moved off a GPU is brought back piece by piece, while others are still on their way out, so
// that copies go both ways at a time. One process of a GPU is brought back at a time: no two wait for each
// other with half of their memory there. Requests are served in the order in which processes have begun to
// wait, but for those of who is being brought back, and of processes whose turn has not ended: they would
// hold memory and do nothing (partitioning/residency.h, PlaceInLine). Who waits for more keeps its turn. What
// somebody before them is about to need (memory/reclaim/need_forecast.h) is not for those behind: they would
// have to give it back at once.
//
// Of what a slice is guaranteed (set_terms) nobody is asked to give anything, and nobody may grow to where
// that could not be kept. How long each waits for memory is counted.
//
// What of a GPU is lent to processes of others (node/neighbour_rooms.h) is not there for its own; what of
// that is on its way back is waited for, and nobody is asked to give anything in its place.
//
// Invariant: what processes may hold of a GPU is never more than it has. After a restart of the daemon nobody
// knows what a process holds until it has attached again: until each has, or kAwaitedTimeoutNs have passed,
// nothing is granted of its GPUs.
#pragma once

#include <algorithm>
#include <deque>
#include <map>
#include <optional>
#include <span>
#include <vector>

#include "memory/reclaim/moving_speed.h"
#include "memory/reclaim/need_forecast.h"
#include "memory/reclaim/thrash_detector.h"
#include "node/broker.h"
#include "partitioning/residency.h"

namespace tessera::node {

// What is asked of a process takes copies of gigabytes; who has not answered by then is passed over until it
// does.
inline constexpr uint64_t kEvictPatienceNs = 30'000'000'000;
// After an answer that it could give nothing now.
inline constexpr uint64_t kEvictPauseNs = 250'000'000;
// Between two hints to a process that others could do with what it does not use.
inline constexpr uint64_t kShrinkPauseNs = 2'000'000'000;
// After an answer that there was no place left for what it had.
inline constexpr uint64_t kNoSwapNs = 2'000'000'000;
// In rounds (set_round): so long somebody who wants more waits for others that cannot give what they have.
inline constexpr uint64_t kImmovableRounds = 3;
// Who is being brought back and asks for nothing for so long stands in nobody's way any more.
inline constexpr uint64_t kReturnPatienceNs = 10'000'000'000;
// The same for who was granted more while it was out, and has not asked to be brought back yet.
inline constexpr uint64_t kFollowPatienceNs = 250'000'000;

class ResidencyBroker {
 public:
  // Bytes of each GPU that processes may hold together; none: limits are never more than that, and nobody
  // asks. Before the first lease.
  void set_capacities(std::vector<uint64_t> bytes) { capacities_ = std::move(bytes); }
  // Within which time everybody has had a turn; see kResidenceRoundNs.
  void set_round(uint64_t ns) { round_ns_ = ns; }
  // What a slice is promised of a GPU beside its limit, whether it has processes or not, until it is
  // forgotten.
  void set_terms(SliceId slice, uint32_t gpu, const partitioning::MemoryTerms& terms);
  void forget_terms(SliceId slice);
  bool in_use() const { return !capacities_.empty(); }
  // Processes may have memory on GPUs that are not theirs: of no GPU anything is granted until it is known of
  // all of them, for kAwaitedTimeoutNs at most.
  void set_lending() { lends_ = true; }
  // How much of the GPU is lent, and on its way back.
  void set_lent(uint32_t gpu, uint64_t bytes, uint64_t coming, uint64_t now_ns, Effects& effects);
  bool is_waited_for(uint32_t gpu) const;
  uint64_t capacity(uint32_t gpu) const { return capacities_.at(gpu); }

  // What a process may have of a GPU, at most.
  struct Promise {
    uint32_t gpu;
    uint64_t bytes;
  };
  // A process of which nothing is known but that it lives; for each of the slice's devices.
  void open(LeaseId lease, SliceId slice, std::span<const Promise> promises, uint64_t now_ns);
  // It has (again) a connection, and has said what it holds. Refused, and nothing changed, where a GPU has
  // not so much.
  Status attach(LeaseId lease, std::span<const uint64_t> bytes, uint64_t now_ns, Effects& effects);
  void disconnect(LeaseId lease, uint64_t now_ns, Effects& effects);
  void close(LeaseId lease, uint64_t now_ns, Effects& effects);

  // As Broker's. An error means that the client broke a rule.
  Status reserve(LeaseId lease, uint32_t request, const ReserveMessage& message, uint64_t now_ns,
                 Effects& effects);
  Status release(LeaseId lease, const ReleaseMessage& message, uint64_t now_ns, Effects& effects);
  Status recalled(LeaseId lease, uint32_t number, const RecalledMessage& message, uint64_t now_ns,
                  Effects& effects);
  Status returned(LeaseId lease, const ReturnedMessage& message, uint64_t now_ns, Effects& effects);

  // Whether it is asked to make room for what is to be brought back.
  bool gives_way_for_return(LeaseId lease, uint32_t device) const;

  void expire(uint64_t now_ns, Effects& effects);
  std::optional<uint64_t> next_deadline_ns() const;

  uint64_t resident_bytes(LeaseId lease, uint32_t device) const;
  uint64_t resident_bytes_of_gpu(uint32_t gpu) const;
  uint64_t evictions() const { return evictions_; }
  size_t waiting() const;
  // How long it has waited for memory of the device in all: to get more, or what it had.
  uint64_t waited_ns(LeaseId lease, uint32_t device, uint64_t now_ns) const;
  // How a GPU's time goes into moving memory.
  struct Moving {
    uint32_t percent = 0;
    bool thrashing = false;
    uint64_t turn_ns = 0;  // as long as turns are to be
  };
  Moving moving(uint32_t gpu) const;
  // What was learnt of it, for the daemon after this one.
  memory::ThrashDetector::State moving_state(uint32_t gpu) const;
  void restore_moving(uint32_t gpu, const memory::ThrashDetector::State& state) {
    gpus_[gpu].detector.restore(state);
  }
  Status check() const;  // the invariant; for tests

 private:
  struct Asked {
    uint32_t number;
    uint64_t bytes;
    uint64_t since_ns;
    bool for_return;  // of somebody else's memory
    uint64_t given = 0;
    bool overdue = false;
  };
  struct Part {
    partitioning::ResidentTenant tenant;
    std::optional<Asked> asked;
    uint64_t shrink_not_before_ns = 0;
    // It gave less than was asked, as there was no place for more: that holds for a while.
    uint64_t no_swap_until_ns = 0;
    std::optional<uint64_t> waits_since_ns;
    uint64_t waited_ns = 0;  // before that
    memory::NeedForecast forecast;

    // What it is expected to need soon beyond what it has.
    uint64_t growth_bytes(uint64_t now_ns) const {
      const uint64_t has = tenant.resident_bytes + tenant.out_bytes;
      return std::min(forecast.growth_bytes(now_ns), tenant.size() - has);
    }
  };
  struct Waiting {
    LeaseId lease;
    uint32_t request;
    ReserveMessage message;
    uint64_t since_ns;

    bool brings_back() const { return message.out_bytes > 0; }
  };
  using Queue = std::deque<Waiting>;
  struct Place {
    LeaseId lease;
    uint32_t device;

    bool operator==(const Place&) const = default;
  };
  struct Gpu {
    Queue queue;
    uint64_t resident_bytes = 0;
    uint64_t lent_bytes = 0, coming_bytes = 0;
    std::optional<Place> returning;
    uint64_t returning_until_ns = 0;  // unless it asks for more
    uint64_t returned_bytes = 0;      // of what it had, so far, since
    uint64_t first_returned_ns = 0;
    // Of the moves that go on: when the first of them was heard of; 0: none is. And when the ones before
    // ended.
    uint64_t moving_since_ns = 0, moved_ns = 0;
    memory::ThrashDetector detector{memory::ThrashDetector::Limits{}};
    memory::MovingSpeed speed;
    std::optional<uint64_t> look_at_ns;
    std::map<SliceId, partitioning::MemoryTerms> terms;  // of those that are not as all are
    bool has_waiting = false;                            // some part's waits_since_ns is there
  };
  struct Held {
    SliceId slice = 0;
    std::vector<uint32_t> gpus;
    std::vector<Part> parts;
    bool connected = false;
    uint64_t awaited_until_ns = 0;  // 0: what it holds is known
  };
  // The tenants of a GPU, and where each was found.
  struct Tenants {
    std::vector<partitioning::ResidentTenant> tenants;
    std::vector<Place> places;

    size_t number_of(const Place& place) const {
      return static_cast<size_t>(std::find(places.begin(), places.end(), place) - places.begin());
    }
  };

  // It was asked for memory, and gives it: it gets none.
  bool is_giving(const Place& place) const {
    const auto& asked = held_.at(place.lease).parts[place.device].asked;
    return asked && !asked->overdue;
  }
  Result<Part*> part_of(LeaseId lease, uint32_t device);
  Part& part(const Place& place) { return held_.at(place.lease).parts[place.device]; }
  uint64_t left(uint32_t gpu) const;
  void set_resident(Held& held, size_t device, uint64_t bytes);
  Status give_back(LeaseId lease, uint32_t device, uint64_t bytes);
  void forget_connection(LeaseId lease, Held& held);
  void stop_returning(Gpu& gpu, uint64_t now_ns);

  // Which request is next, see above; the end: none, yet.
  Queue::iterator next_request(uint32_t gpu, uint64_t now_ns);
  // With which it goes on.
  uint64_t total_bytes(const Waiting& request) const;
  void begin_return(uint32_t gpu, const Place& place, uint64_t patience_ns, uint64_t now_ns);
  // It was kept from its turn by that: it lasts as much longer.
  void end_wait(Part& part, const Waiting& request, uint64_t now_ns);
  bool can_never_fit(uint32_t gpu, const Waiting& request) const;
  // What others could give, as far as is known, and what they could not when they were last asked: for lack
  // of a place for it, or as it cannot move. Who does not answer cannot, either.
  struct Movable {
    uint64_t bytes = 0, without_place = 0;
  };
  Movable movable(uint32_t gpu, const Waiting& request, uint64_t now_ns) const;
  // Why it is not to wait any longer; none: it may.
  std::optional<vgpu::Refusal> why_refused(uint32_t gpu, const Waiting& request, uint64_t now_ns) const;
  void refuse(uint32_t gpu, Queue::iterator request, vgpu::Refusal why, Effects& effects);
  void grant(uint32_t gpu, Queue::iterator request, uint64_t now_ns, Effects& effects);
  // False where those who may be asked have not so much.
  bool ask_others(uint32_t gpu, const Waiting& request, uint64_t now_ns, Effects& effects);
  // Nobody has to give anything yet: what those that work do not use would do, perhaps.
  void ask_to_shrink(const Tenants& others, const partitioning::Need& need, uint64_t now_ns,
                     Effects& effects);
  Tenants tenants_of(uint32_t gpu, uint64_t now_ns) const;
  void deal_terms(uint32_t gpu, Tenants& tenants) const;
  partitioning::MemoryTerms terms_of(SliceId slice, uint32_t gpu) const;
  // What a process of the slice can have at most, beside what others are guaranteed.
  uint64_t attainable_bytes(uint32_t gpu, SliceId slice) const;
  // What those that are before it in the line are about to need: not for who comes after them.
  uint64_t aside_bytes(uint32_t gpu, const Waiting& request, uint64_t now_ns) const;
  partitioning::TurnRules turn_rules(uint32_t gpu,
                                     std::span<const partitioning::ResidentTenant> tenants) const;
  // As far as it is known, or guessed, of the move between two turns.
  uint64_t move_ns(uint32_t gpu, std::span<const partitioning::ResidentTenant> tenants) const;
  uint64_t expected_bytes(uint32_t gpu) const;
  // Until when processes of the GPU are awaited; none: they are not.
  std::optional<uint64_t> awaited_until_ns(uint32_t gpu, uint64_t now_ns) const;
  void serve(uint32_t gpu, uint64_t now_ns, Effects& effects);
  void serve_queue(uint32_t gpu, uint64_t now_ns, Effects& effects);
  void count_waits(uint32_t gpu, uint64_t now_ns);
  // Whether something has come of it that lets others be looked at.
  bool serve_one(uint32_t gpu, Queue::iterator request, uint64_t now_ns, Effects& effects);
  void serve_all(LeaseId lease, uint64_t now_ns, Effects& effects);

  std::vector<uint64_t> capacities_;
  bool lends_ = false;
  uint64_t round_ns_ = partitioning::kResidenceRoundNs;
  std::map<LeaseId, Held> held_;
  std::map<uint32_t, Gpu> gpus_;
  uint32_t next_number_ = 1;
  uint64_t evictions_ = 0;
};

}  // namespace tessera::node
