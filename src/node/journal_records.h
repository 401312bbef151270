// Slices, leases, and the faults of tenants and GPUs as records of the journal, and back. What is read is
// checked as strangers' input is: the ledger checks the rest when it takes it over.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "memory/reclaim/thrash_detector.h"
#include "node/device_health.h"
#include "node/json.h"
#include "node/ledger.h"
#include "node/process_image.h"
#include "node/tenant_faults.h"

namespace tessera::node {

std::string slice_key(SliceId id);
std::string lease_key(LeaseId id);
bool is_slice_key(std::string_view key);
bool is_lease_key(std::string_view key);
std::string tenant_key(const TenantFaults::Key& tenant);
std::string gpu_key(const std::string& uuid);
bool is_tenant_key(std::string_view key);
bool is_gpu_key(std::string_view key);
std::string memory_key(const std::string& uuid);  // of a GPU's
bool is_memory_key(std::string_view key);

// GPUs travel as UUIDs: their order may differ after a restart.
Json slice_record(const Slice& slice, const std::vector<std::string>& gpu_uuids);
Json lease_record(const Lease& lease, const ProcessImage& image);

// Nothing where the record is not one, or names a GPU that is not among `gpu_uuids`.
std::optional<Slice> read_slice_record(const Json& record, const std::vector<std::string>& gpu_uuids);
struct LeaseRecordText {
  Lease lease;  // attached ones as awaited, where they hold something
  ProcessImage image;
};
std::optional<LeaseRecordText> read_lease_record(const Json& record);

Json tenant_record(const TenantFaults::Key& tenant, const TenantFaults::Record& faults);
struct TenantRecordText {
  TenantFaults::Key tenant;
  scheduling::FaultHistory::State state;
  uint64_t latest_error = 0;
};
std::optional<TenantRecordText> read_tenant_record(const Json& record);

Json gpu_record(const std::string& uuid, const DeviceHealth::Record& health);
std::optional<std::pair<std::string, DeviceHealth::Record>> read_gpu_record(const Json& record);

// How a GPU's time went into moving memory.
Json memory_record(const memory::ThrashDetector::State& state);
std::optional<memory::ThrashDetector::State> read_memory_record(const Json& record);

}  // namespace tessera::node
