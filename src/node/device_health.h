// Which GPUs cannot be trusted: the driver's answers over time and the XIDs it tells of, judged by
// scheduling/faults. A GPU whose memory had an uncorrectable error, or that failed otherwise, is closed to
// new programs until it has been quiet for a while, was reset, or somebody says that it is well.
//
// The errors that a GPU has counted before it was first seen say nothing of today. What is closed is kept in
// the journal, so that a daemon that is started anew keeps it closed; and none ends for idleness meanwhile,
// as only a daemon can tell who asks.
#pragma once

#include <map>
#include <optional>
#include <string>

#include "monitoring/event_list.h"
#include "node/inventory.h"
#include "node/xid_events.h"
#include "scheduling/faults/fault_history.h"

namespace tessera::node {

class DeviceHealth {
 public:
  void observe(const Inventory& inventory, uint64_t now_ns);
  // What the driver said just now; the next observe() should come soon, as it may tell more.
  void hear(const XidEvent& event, uint64_t now_ns);
  // Why GPU `index` of that UUID is closed, and the way out; nothing where it is not, or is lost: then the
  // inventory says so.
  std::optional<std::string> closed(const std::string& uuid, uint32_t index, uint64_t now_ns) const;
  // The same for an event: "errors", "xid" and "minutes" until new programs get it again.
  monitoring::EventDetails closed_details(const std::string& uuid, uint64_t now_ns) const;
  // False where it is not closed.
  bool forgive(const std::string& uuid, uint64_t now_ns);
  bool any_closed(uint64_t now_ns) const;

  // For the journal: of GPUs that are closed.
  struct Record {
    scheduling::FaultHistory::State state;
    uint64_t uncorrected = 0, errors = 0;
    uint32_t xid = 0;
  };
  std::map<std::string, Record> records(uint64_t now_ns) const;
  // Before it was observed.
  void restore(const std::string& uuid, const Record& record, uint64_t now_ns);

 private:
  struct Device {
    scheduling::FaultHistory history{scheduling::kDeviceTerms};
    std::optional<uint64_t> uncorrected;  // as last seen
    uint64_t errors = 0;                  // that led to the quarantine
    uint32_t xid = 0;                     // the latest that did; 0: errors that were counted
    bool lost = false;
  };
  void observe(const Gpu& gpu, uint64_t now_ns);
  static std::string cause(const Device& device);
  static uint64_t minutes_left(const Device& device, uint64_t now_ns);
  static bool is_closed(const Device& device, uint64_t now_ns) {
    return !device.lost && device.history.standing(now_ns).quarantined;
  }

  std::map<std::string, Device> devices_;  // by UUID; at most kMaxGpus are ever seen at once
  scheduling::Random random_{1};           // a GPU's faults lead to no back-off: nothing is drawn
};

}  // namespace tessera::node
