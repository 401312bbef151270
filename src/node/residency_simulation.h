// For tests: processes that grow, work, give way and come back under a ResidencyBroker, in simulated time.
//
// Memory moves at a given speed, and the GPU's time is shared by all that are there with all they have. So
// it is the order that decides how long they take together, and no clock.
#pragma once

#include <algorithm>
#include <deque>
#include <optional>
#include <vector>

#include "node/residency_broker.h"

namespace tessera::node {

class ResidencySimulation {
 public:
  static constexpr uint64_t kMib = uint64_t{1} << 20, kStepNs = 1'000'000, kSecondNs = 1'000'000'000;

  struct Program {
    uint64_t bytes = 0;                   // grows to that
    uint64_t limit_bytes = 0;             // its slice's
    uint64_t growing_ns = kSecondNs;      // GPU time until then
    uint64_t working_ns = 4 * kSecondNs;  // and afterwards
    uint64_t begins_ns = 0;
    partitioning::MemoryTerms terms = {};
  };
  struct Figures {
    uint64_t took_ns = 0, idle_ns = 0;  // nobody could work
    uint64_t moved_bytes = 0;           // off the GPU
    uint64_t longest_wait_ns = 0;       // of a program that has begun and not ended, without getting on
    double least_done = 1;              // of its work, by anybody when the first one ended
    bool all_ended = false;
  };

  ResidencySimulation(uint64_t capacity_bytes, double bytes_per_ns)
      : bytes_per_step_(static_cast<uint64_t>(bytes_per_ns * static_cast<double>(kStepNs))) {
    broker_.set_capacities({capacity_bytes});
  }

  void add(const Program& program) { processes_.emplace_back().program = program; }
  ResidencyBroker& broker() { return broker_; }

  Figures run(uint64_t most_ns) {
    for (; now_ns_ < kBeginNs + most_ns && !figures_.all_ended; now_ns_ += kStepNs) step();
    figures_.took_ns = now_ns_ - kBeginNs;
    return figures_;
  }
  // How long programs take one after the other.
  uint64_t alone_ns() const {
    uint64_t sum = 0;
    for (const Process& process : processes_) sum += process.all_ns();
    return sum;
  }
  Status check() const { return broker_.check(); }

 private:
  static constexpr uint64_t kBeginNs = kSecondNs;
  static constexpr uint64_t kPieceBytes = 32 * kMib, kGrantBytes = 20 * kMib, kMostReturnedBytes = 256 * kMib;
  static constexpr uint64_t kGranuleBytes = 2 * kMib;

  struct Process {
    Program program;
    bool began = false, ended = false;
    uint64_t done_ns = 0, got_on_ns = 0;
    uint64_t used = 0, held = 0, out = 0;
    std::optional<uint32_t> growing;  // waits for more
    std::optional<uint32_t> coming;   // waits to be brought back
    uint64_t granted = 0;             // and is being copied
    uint64_t copied = 0;
    std::optional<RecallOrder> order;
    uint64_t order_given = 0, order_copied = 0;

    uint64_t all_ns() const { return program.growing_ns + program.working_ns; }
    // Of its bytes, for what it has done.
    uint64_t needs() const {
      if (done_ns >= program.growing_ns) return program.bytes;
      return std::min(program.bytes,
                      kGranuleBytes + static_cast<uint64_t>(static_cast<double>(program.bytes) *
                                                            static_cast<double>(done_ns) /
                                                            static_cast<double>(program.growing_ns)));
    }
    bool can_work() const { return began && !ended && out == 0 && !growing && granted == 0 && !coming; }
  };

  LeaseId lease_of(const Process& process) const {
    return static_cast<LeaseId>(&process - processes_.data()) + 1;
  }

  void step() {
    if (const auto deadline = broker_.next_deadline_ns(); deadline && *deadline <= now_ns_) {
      Effects effects;
      broker_.expire(now_ns_, effects);
      handle(effects);
    }
    size_t working = 0;
    for (Process& process : processes_) {
      begin(process);
      give(process);
      come(process);
      working += process.can_work() ? 1 : 0;
    }
    if (working == 0) figures_.idle_ns += kStepNs;
    figures_.all_ended = true;
    for (Process& process : processes_) {
      if (process.can_work()) work(process, kStepNs / std::max<size_t>(working, 1));
      if (process.began && !process.ended)
        figures_.longest_wait_ns = std::max(figures_.longest_wait_ns, now_ns_ - process.got_on_ns);
      figures_.all_ended &= process.ended;
    }
  }

  void begin(Process& process) {
    if (process.began || now_ns_ < kBeginNs + process.program.begins_ns) return;
    process.began = true;
    process.got_on_ns = now_ns_;
    const ResidencyBroker::Promise promises[] = {{0, process.program.limit_bytes}};
    broker_.set_terms(lease_of(process), 0, process.program.terms);
    broker_.open(lease_of(process), lease_of(process), promises, now_ns_);
    Effects effects;
    const uint64_t nothing[] = {0};
    (void)broker_.attach(lease_of(process), nothing, now_ns_, effects);
    handle(effects);
  }

  void work(Process& process, uint64_t ns) {
    process.done_ns += ns;
    process.got_on_ns = now_ns_;
    if (process.done_ns >= process.all_ns()) {
      end(process);
      return;
    }
    process.used = process.needs();
    if (process.used > process.held) reserve(process, process.growing, kGranuleBytes, kGrantBytes, 0);
  }

  void end(Process& process) {
    if (!std::exchange(first_ended_, true)) {
      for (const Process& other : processes_)
        figures_.least_done = std::min(
            figures_.least_done, static_cast<double>(other.done_ns) / static_cast<double>(other.all_ns()));
    }
    process.ended = true;
    process.order.reset();
    Effects effects;
    broker_.close(lease_of(process), now_ns_, effects);
    handle(effects);
  }

  void reserve(Process& process, std::optional<uint32_t>& request, uint64_t needed, uint64_t wanted,
               uint64_t out) {
    request = ++request_;
    Effects effects;
    (void)broker_.reserve(lease_of(process), *request, {0, needed, wanted, vgpu::BudgetKind::kResident, out},
                          now_ns_, effects);
    handle(effects);
  }

  // What is asked of it leaves piece by piece.
  void give(Process& process) {
    if (!process.order || process.granted > 0) return;
    const uint64_t wanted = std::min(process.order->bytes - process.order_given, process.held);
    const uint64_t piece = std::min(wanted, kPieceBytes);
    process.order_copied += bytes_per_step_;
    if (process.order_copied < piece) return;
    process.order_copied = 0;
    process.order_given += piece;
    process.held -= piece;
    process.out += piece;
    figures_.moved_bytes += piece;
    const bool more = piece < wanted;
    const RecallOrder order = *process.order;
    if (!more) process.order.reset();
    Effects effects;
    (void)broker_.recalled(lease_of(process), order.number,
                           {0, piece, vgpu::BudgetKind::kResident, process.out, more}, now_ns_, effects);
    handle(effects);
  }

  // Back to the GPU; its thread that waits for more does not know that anything is away.
  void come(Process& process) {
    if (process.ended) return;
    if (process.granted > 0) {
      process.copied += bytes_per_step_;
      if (process.copied < process.granted) return;
      process.out -= process.granted;
      process.copied = process.granted = 0;
      if (process.out == 0) {
        Effects effects;
        (void)broker_.returned(lease_of(process), {0}, now_ns_, effects);
        handle(effects);
        return;
      }
    }
    if (process.out > 0 && !process.coming && !process.growing)
      reserve(process, process.coming, std::min(process.out, kGranuleBytes),
              std::min(process.out, kMostReturnedBytes), process.out);
  }

  void handle(const Effects& effects) {
    for (const ReserveAnswer& answer : effects.answers) {
      Process& process = processes_[answer.lease - 1];
      process.held += answer.granted_bytes;
      if (process.growing == answer.request) process.growing.reset();
      if (process.coming == answer.request) {
        process.coming.reset();
        process.granted = answer.granted_bytes;
      }
    }
    for (const RecallOrder& order : effects.recalls) {
      Process& process = processes_[order.lease - 1];
      process.order = order;
      process.order_given = process.order_copied = 0;
    }
  }

  const uint64_t bytes_per_step_;
  ResidencyBroker broker_;
  std::vector<Process> processes_;
  uint64_t now_ns_ = kBeginNs;
  uint32_t request_ = 0;
  bool first_ended_ = false;
  Figures figures_;
};

}  // namespace tessera::node
