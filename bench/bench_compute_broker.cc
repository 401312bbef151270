// What a turn on a GPU costs the daemon beside its system calls: the compute broker's decisions from one
// turn's end to the next's, against those of the GPU's scheduler alone.
//
//   bench_compute_broker [TURNS]     of each measurement; 20000 if not said
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "bench/median.h"
#include "node/compute_broker.h"

namespace {

using namespace tessera;
using namespace tessera::node;

constexpr uint64_t kStopNs = 50'000;  // that a process takes to say that its kernels have stopped
constexpr uint32_t kSms = 108;
constexpr int kRounds = 5;

// Slices with a process each, that always have work.
class Turns {
 public:
  explicit Turns(uint32_t slices) : busy_(slices + 1) {
    broker_.set_gpu_sms({kSms});
    GateOrders orders;
    for (SliceId id = 1; id <= slices; ++id) {
      Slice slice;
      slice.id = id;
      slice.devices.resize(1);
      slice.devices[0].compute.weight = 50 + 50 * static_cast<uint32_t>(id % 4);
      if (!broker_.add_slice(slice, now_ns_, orders).ok()) std::abort();
      broker_.attach(id, id, now_ns_, orders);
      broker_.wake(id, id, 0, now_ns_, orders);
    }
    obey(orders);
  }

  // As the daemon does: until the next deadline, what runs is heard, and the orders are carried out.
  void pass_turn() {
    const uint64_t due_ns = broker_.next_deadline_ns().value_or(now_ns_);
    const uint64_t went_by_ns = due_ns - now_ns_;
    now_ns_ = due_ns;
    for (const auto& running : broker_.running()) {
      busy_[running.slice] += went_by_ns;
      hear(running.slice);
    }
    GateOrders orders;
    broker_.decide(now_ns_, orders);
    obey(orders);
  }

 private:
  void hear(SliceId slice) {
    broker_.report(slice, slice, 0, {busy_[slice], busy_[slice] / 1'000'000}, now_ns_);
  }

  void obey(const GateOrders& orders) {
    for (const GateOrder& order : orders) {
      if (vgpu::gate_state(order.gate.word) != vgpu::GateState::kStop) continue;
      now_ns_ += kStopNs;
      busy_[order.slice] += kStopNs;
      hear(order.slice);
      GateOrders next;
      broker_.stopped(order.slice, order.slice, 0, order.gate.word, now_ns_, next);
    }
  }

  ComputeBroker broker_;
  std::vector<uint64_t> busy_;
  uint64_t now_ns_ = 1'000'000'000;
};

// The same slices as tenants of a scheduler.
class Decisions {
 public:
  explicit Decisions(uint32_t tenants) {
    auto made = scheduling::DeviceScheduler::create(ComputeBroker::default_config());
    if (!made.ok()) std::abort();
    scheduler_ = std::move(*made);
    for (uint32_t i = 1; i <= tenants; ++i) {
      scheduling::TenantSpec spec;
      spec.weight = 50 + 50 * (i % 4);
      const auto id = scheduler_->add(spec, now_ns_);
      if (!id.ok()) std::abort();
      scheduler_->wake(*id, now_ns_);
    }
    scheduler_->decide(now_ns_);
  }

  void pass_turn() {
    const uint64_t due_ns = scheduler_->next_decision_ns();
    for (const scheduling::Grant grant : std::vector(scheduler_->grants())) {
      scheduler_->charge(grant.tenant, due_ns - now_ns_, 1, due_ns);
    }
    scheduler_->decide(now_ns_ = due_ns);
  }

 private:
  std::unique_ptr<scheduling::DeviceScheduler> scheduler_;
  uint64_t now_ns_ = 1'000'000'000;
};

template <typename Subject>
double us_per_turn(uint32_t tenants, int turns) {
  Subject subject(tenants);
  std::vector<double> rounds;
  for (int round = 0; round < kRounds; ++round) {
    const auto begin = std::chrono::steady_clock::now();
    for (int i = 0; i < turns; ++i) subject.pass_turn();
    const std::chrono::duration<double, std::micro> took = std::chrono::steady_clock::now() - begin;
    rounds.push_back(took.count() / turns);
  }
  return bench::median(rounds);
}

}  // namespace

int main(int argc, char** argv) {
  const int turns = argc > 1 ? std::clamp(std::atoi(argv[1]), 1, 10'000'000) : 20'000;
  std::printf("%8s %14s %18s %18s\n", "slices", "a turn", "its scheduler's", "times that");
  for (const uint32_t slices : {2u, 8u, 64u, 512u}) {
    const int scaled = std::max(turns * 2 / static_cast<int>(slices), 1);
    const double turn_us = us_per_turn<Turns>(slices, scaled),
                 decision_us = us_per_turn<Decisions>(slices, scaled);
    std::printf("%8u %11.2f us %15.2f us %18.1f\n", slices, turn_us, decision_us, turn_us / decision_us);
  }
}
