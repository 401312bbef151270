// Makes a session again, over a link of which nothing has been said yet, from its journal.
#pragma once

#include <functional>

#include "remote/client/durability.h"
#include "remote/link/link.h"

namespace tessera::remote {

// `generation` is above that of any session before: what the server names until it is told the old names does
// not look like those. `output`: the fields of a kOutput, whose payload comes next.
Status rebuild(Link& link, Durability& durability, uint64_t generation,
               const std::function<Status(ByteSpan fields)>& output);

}  // namespace tessera::remote
