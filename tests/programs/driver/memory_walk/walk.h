// One process of the walk: what it may do, and the model that judges what the driver answers.
#pragma once

#include <atomic>
#include <memory>
#include <random>

#include "../driver_check.h"
#include "offers.h"

namespace walk {

inline constexpr uint64_t kUnit = 512;  // of every charge but physical memory's
inline constexpr size_t kMaxProcesses = 8;

// What all processes see.
struct Shared {
  uint64_t limit;              // free at the start, every process having its context
  std::atomic<uint64_t> held;  // by the model: never more than what is really held
  std::atomic<uint64_t> kept;  // of that: until the process ends
  std::atomic<uint64_t> granted, refused;
  Offers offers;
};

// How a process hands descriptors to others; see descriptors.h.
struct Mail {
  size_t self, count;                       // of the processes
  int inbox;                                // of this process
  std::array<int, kMaxProcesses> outboxes;  // to each
  int hat_in, hat_out;                      // one for all: who takes gets what anybody put in
};

class Walk {
 public:
  Walk(Shared& shared, const Mail& mail, uint64_t seed) : shared_(shared), mail_(mail), dice_(seed) {}

  uint64_t roll(uint64_t sides) { return dice_() % sides; }
  Shared& shared() { return shared_; }
  const Mail& mail() const { return mail_; }
  // Whether no other process does anything meanwhile.
  bool in_turn() const { return in_turn_; }
  void set_in_turn(bool in_turn) { in_turn_ = in_turn; }

  // A size for one allocation, charged as it is.
  uint64_t some_bytes() { return (1 + roll(shared_.limit / 5 / kUnit)) * kUnit; }
  bool fits(uint64_t bytes) const { return shared_.held + bytes <= shared_.limit; }

  // Makes a call that takes so much; whether it was granted. Taking turns, what fits may be refused only
  // while another process is too slow to give its budget back: the daemon waits for that 200 ms.
  template <typename Call>
  bool takes(uint64_t bytes, Call call) {
    CUresult result = call();
    for (int tries = 0; result == CUDA_ERROR_OUT_OF_MEMORY && in_turn_ && fits(bytes); ++tries) {
      if (tries == kRefusalsPardoned) break;
      result = call();
    }
    if (result == CUDA_ERROR_OUT_OF_MEMORY) {
      refuse(bytes);
      return false;
    }
    CU_CHECK(result);
    ++shared_.granted;
    grew(bytes);
    return true;
  }
  void refuse(uint64_t bytes) {
    ++shared_.refused;
    REQUIRE(!in_turn_ || !fits(bytes), "%zu bytes refused, %zu of %zu held", size_t{bytes},
            size_t{shared_.held}, size_t{shared_.limit});
  }
  // After the driver took it; before the driver gives it back.
  void grew(uint64_t bytes) {
    const uint64_t now = shared_.held.fetch_add(bytes) + bytes;
    REQUIRE(now <= shared_.limit, "%zu bytes are held, %zu is the limit", size_t{now}, size_t{shared_.limit});
  }
  void shrinks(uint64_t bytes) { shared_.held -= bytes; }
  // What grew stays until the process ends.
  void keeps(uint64_t bytes) { shared_.kept += bytes; }

 private:
  static constexpr int kRefusalsPardoned = 20;

  Shared& shared_;
  const Mail mail_;
  std::mt19937_64 dice_;
  bool in_turn_ = true;
};

// One way to device memory.
class Road {
 public:
  virtual ~Road() = default;
  // A step that may take memory.
  virtual void take(Walk& walk) = 0;
  // A step that may give some back; false where nothing is left.
  virtual bool give(Walk& walk) = 0;
};
using Roads = std::vector<std::unique_ptr<Road>>;

void add_block_roads(
    Roads& roads);  // linear, pitched; pools; arrays; modules, libraries; contexts; the host's
void add_physical_road(Roads& roads);                // cuMemCreate, mapped, shared by descriptors
void add_graph_road(Roads& roads);                   // memory nodes
void add_condition_road(Roads& roads);               // handles of conditional nodes
void add_handle_road(Roads& roads);                  // cuMemAlloc, opened by other processes
void add_pool_road(Roads& roads, const Mail& mail);  // a pool that other processes import

}  // namespace walk
