// Slices and leases as records of the journal, and back. What is read is checked as strangers' input is: the
// ledger checks the rest when it takes it over.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "node/json.h"
#include "node/ledger.h"
#include "node/process_image.h"

namespace tessera::node {

std::string slice_key(SliceId id);
std::string lease_key(LeaseId id);
bool is_slice_key(std::string_view key);
bool is_lease_key(std::string_view key);

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

}  // namespace tessera::node
