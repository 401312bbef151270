// What a driver says that happened to its GPUs, as a line of text and as a value.
#pragma once

#include <cstdint>
#include <cstdio>
#include <optional>
#include <string>
#include <string_view>

#include "common/status.h"

namespace tessera::node {

struct XidEvent {
  std::string uuid;
  uint32_t xid = 0;
};

// "UUID XID", without the end of the line.
std::string xid_event_text(const XidEvent& event);
std::optional<XidEvent> parse_xid_event(std::string_view line);

// What a line begins with that is no event, but said to whoever reads.
inline constexpr char kXidRemark = '#';

// Loads NVML into this process and writes each XID of each GPU to `out`, a pipe, as it comes, until nobody
// reads there any more: then Ok. Of a driver without events a remark says so, and nothing follows; an error
// says why another attempt may help.
Status print_xids(FILE* out);

}  // namespace tessera::node
