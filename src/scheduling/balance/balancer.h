// Where jobs run on several GPUs. Pure: it keeps what each GPU has promised and carries, places jobs where
// they fit, and says which job should move, where the gain is worth the cost.
//
//   spread   the GPU with the least load: waits are shortest there
//   pack     the fullest GPU that has room: whole GPUs stay free for what needs one
//
// Open GPUs are kept in order of load: a placement looks at as many as have no room.
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string_view>
#include <vector>

#include "common/status.h"
#include "scheduling/time.h"

namespace tessera::scheduling {

enum class BalancePolicy : uint8_t { kSpread, kPack };
// "spread" or "pack"; an unknown name is an error that lists them.
Result<BalancePolicy> parse_balance_policy(std::string_view name);

struct GpuShape {
  uint64_t memory_bytes = 0;
  double speed = 1;  // work it does in a second, against others
};

struct JobNeeds {
  uint64_t memory_bytes = 0;
  uint32_t share_permille = 0;  // promised; 0: what is left over
  double load = 0;              // seconds of a GPU of speed 1 it wants each second, at most 1
};

// What moving a job costs: its memory is copied out and in, and it stands still meanwhile.
struct MoveTerms {
  double bytes_per_second = 12e9;      // of one copy; PCIe 4.0 x16 carries about twice that each way
  Nanoseconds pause_ns = 500'000'000;  // that it stands still beyond the copying
  double horizon_seconds = 60;         // in which the gain has to be had
};

using GpuIndex = uint32_t;

class Balancer {
 public:
  Balancer(std::vector<GpuShape> gpus, BalancePolicy policy);

  // Whether it is open and has the room.
  bool fits(GpuIndex gpu, const JobNeeds& needs) const;
  // Nothing where it fits no GPU.
  std::optional<GpuIndex> place(const JobNeeds& needs);
  void remove(GpuIndex gpu, const JobNeeds& needs);
  // A closed GPU is given no jobs; those on it stay until they are removed.
  void set_open(GpuIndex gpu, bool open);

  // The GPU to which a job on `from` should move, where what it gains within the horizon exceeds what the
  // move costs it. Changes nothing: remove() and place_on() follow.
  std::optional<GpuIndex> better_place(GpuIndex from, const JobNeeds& needs, const MoveTerms& terms) const;
  void place_on(GpuIndex gpu, const JobNeeds& needs);

  // What a job gets of the load it wants where the GPU carries `load` in all.
  double rate_at(GpuIndex gpu, const JobNeeds& needs, double load) const;
  static double move_seconds(const JobNeeds& needs, const MoveTerms& terms);

  // The open GPU with the most load for its speed.
  std::optional<GpuIndex> most_loaded() const;

  uint64_t free_bytes(GpuIndex gpu) const { return gpus_[gpu].free_bytes; }
  uint32_t free_permille(GpuIndex gpu) const { return gpus_[gpu].free_permille; }
  double load(GpuIndex gpu) const { return gpus_[gpu].load; }
  uint32_t jobs(GpuIndex gpu) const { return gpus_[gpu].jobs; }
  bool is_open(GpuIndex gpu) const { return gpus_[gpu].open; }
  size_t size() const { return gpus_.size(); }

 private:
  struct Gpu {
    GpuShape shape;
    uint64_t free_bytes;
    uint32_t free_permille = kWhole;
    double load = 0;
    uint32_t jobs = 0;
    bool open = true;
  };
  using Key = std::pair<double, GpuIndex>;  // load for the speed, then the index: no two are equal

  Key key(GpuIndex gpu) const { return {gpus_[gpu].load / gpus_[gpu].shape.speed, gpu}; }
  void change(GpuIndex gpu, const JobNeeds& needs, int direction);
  std::optional<GpuIndex> least_loaded(const JobNeeds& needs) const;
  std::optional<GpuIndex> fullest(const JobNeeds& needs) const;

  std::vector<Gpu> gpus_;
  BalancePolicy policy_;
  std::set<Key> by_load_;  // those that are open
};

}  // namespace tessera::scheduling
