// A node's compute broker with slices and their processes, for its tests.
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <set>
#include <string>

#include "node/compute_broker.h"

namespace tessera::node::testing {

using TenantSpec = partitioning::ComputeSpec;
using vgpu::GateState;

constexpr uint64_t kMs = 1'000'000;

// A GPU whose slices have one process each (lease = slice), as it would look from outside: the gates follow
// the orders.
class Node {
 public:
  // `sms`: its own, as IndexSet::parse() takes them.
  void open(SliceId slice, TenantSpec spec = {}, uint32_t gpu = 0, const char* own = "") {
    Slice record;
    record.id = slice;
    record.devices.resize(1);
    record.devices[0].gpu = gpu;
    record.devices[0].compute = spec;
    if (*own != '\0') record.devices[0].sms = *IndexSet::parse(own);
    GateOrders orders;
    ASSERT_TRUE(broker.add_slice(record, now, orders).ok());
    apply(orders);
  }
  void attach(SliceId slice, LeaseId lease) {
    GateOrders orders;
    broker.attach(slice, lease, now, orders);
    apply(orders);
  }
  void start(SliceId slice, TenantSpec spec = {}, const char* own = "") {
    open(slice, spec, 0, own);
    attach(slice, slice);
  }
  void wake(SliceId slice, LeaseId lease) {
    GateOrders orders;
    broker.wake(slice, lease, 0, now, orders);
    apply(orders);
  }
  void wake(SliceId slice) { wake(slice, slice); }
  void idle(SliceId slice, LeaseId lease, uint32_t word) {
    GateOrders orders;
    broker.idle(slice, lease, 0, word, now, orders);
    apply(orders);
  }
  void idle(SliceId slice) { idle(slice, slice, words[slice]); }
  void detach(SliceId slice) {
    GateOrders orders;
    broker.detach(slice, slice, now, orders);
    apply(orders);
  }
  void remove(SliceId slice) {
    GateOrders orders;
    broker.remove_slice(slice, now, orders);
    words.erase(slice);
    apply(orders);
  }
  void isolate(SliceId slice, bool isolated) {
    GateOrders orders;
    broker.set_isolated(slice, isolated, now, orders);
    apply(orders);
  }
  void change(SliceId slice, const SliceDevice& part) {
    GateOrders orders;
    ASSERT_TRUE(broker.update(slice, 0, part, now, orders).ok());
    apply(orders);
  }
  // Time goes by; whoever runs is busy all the while.
  void pass(uint64_t ns) {
    const uint64_t end = now + ns;
    while (now < end) {
      const uint64_t next =
          std::min(end, std::max(std::min(broker.next_deadline_ns().value_or(end), next_end()), now + 1));
      for (const auto& [slice, word] : words) {
        const GateState state = vgpu::gate_state(word);
        if (state != GateState::kRun && state != GateState::kFree) continue;
        busy[slice] += next - now;
        ready_sm_ns[slice] += (next - now) * wants[slice];
        kernel_parts[slice] += (next - now) * scheduling::kWhole / kernel_permille(slice);
        broker.report(
            slice, slice, 0,
            {busy[slice], kernel_parts[slice] / kMs, wants[slice] == 0 ? 0 : busy[slice], ready_sm_ns[slice]},
            next);
      }
      now = next;
      end_turns();
      decide();
    }
  }
  void decide() {
    GateOrders orders;
    broker.decide(now, orders);
    apply(orders);
  }
  void stopped(SliceId slice, LeaseId lease, uint32_t word) {
    GateOrders orders;
    broker.stopped(slice, lease, 0, word, now, orders);
    apply(orders);
  }
  GateState state(SliceId slice) const { return vgpu::gate_state(words.at(slice)); }
  double share(SliceId slice) const {
    uint64_t total = 0;
    for (const auto& [other, ns] : busy) total += ns;
    return total == 0 ? 0 : static_cast<double>(busy.at(slice)) / static_cast<double>(total);
  }

  ComputeBroker broker;
  std::map<SliceId, uint32_t> words;
  std::map<SliceId, std::string> sms;  // that they may use
  std::map<SliceId, uint64_t> ends;    // of the turn that a gate is in, as its processes know it
  std::map<SliceId, bool> woken;       // by its last order
  std::map<SliceId, uint64_t> busy;
  uint64_t now = 1'000 * kMs;
  bool stops = true;       // processes do as they are told
  std::set<SliceId> deaf;  // but these
  // SMs that its kernels, of a millisecond each, could fill; none: its driver does not measure it.
  std::map<SliceId, uint64_t> wants;
  std::map<SliceId, uint64_t> hurt_permille;  // how much longer they take beside others

 private:
  uint64_t kernel_permille(SliceId slice) {
    const bool company = broker.company(slice, 0).now;
    return scheduling::kWhole + (company ? hurt_permille[slice] : 0);
  }

  std::map<SliceId, uint64_t> ready_sm_ns, kernel_parts;

  bool obeys(SliceId slice) const { return stops && !deaf.contains(slice); }
  bool knows_end(SliceId slice) const {
    return state(slice) == GateState::kRun && obeys(slice) && ends.at(slice) != scheduling::kNever;
  }
  uint64_t next_end() const {
    uint64_t next = scheduling::kNever;
    for (const auto& [slice, word] : words) {
      if (knows_end(slice)) next = std::min(next, ends.at(slice));
    }
    return next;
  }
  // As gates do: whose turn is up stops by itself.
  void end_turns() {
    const auto all = words;
    for (const auto& [slice, word] : all) {
      if (!knows_end(slice) || ends.at(slice) > now || words.at(slice) != word) continue;
      ends[slice] = scheduling::kNever;
      say_stopped(slice, word);
    }
  }
  void say_stopped(SliceId slice, uint32_t word) {
    for (const LeaseId lease : {slice, slice + 100, slice + 200}) stopped(slice, lease, word);
  }

  // As gates do: whoever is to stop does, and says so.
  void apply(const GateOrders& orders) {
    for (const GateOrder& order : orders) {
      words[order.slice] = order.gate.word;
      sms[order.slice] = order.gate.sms.text();
      woken[order.slice] = order.gate.wakes;
      ends[order.slice] = order.gate.turn_ns == 0 ? scheduling::kNever : now + order.gate.turn_ns;
    }
    for (const GateOrder& order : orders) {
      if (vgpu::gate_state(order.gate.word) == GateState::kStop && order.gate.wakes && obeys(order.slice))
        say_stopped(order.slice, order.gate.word);
    }
  }
};

inline TenantSpec with_share(uint32_t permille) {
  TenantSpec spec;
  spec.share_permille = permille;
  return spec;
}

}  // namespace tessera::node::testing
