// libtessera_memory.so: tessera/memory_virtualization.h over memory/space. Nothing is thrown across it.
#include <algorithm>
#include <cstdio>
#include <cstring>
#include <exception>
#include <memory>
#include <new>

#include "guest/memory_space/program_driver.h"
#include "memory/driver_memory.h"
#include "memory/space/driver_copies.h"
#include "memory/space/memory_space.h"

#pragma GCC visibility push(default)  // exported, unlike all else
#include "tessera/memory_virtualization.h"
#pragma GCC visibility pop

using namespace tessera;  // NOLINT: the C interface of that namespace

struct tessera_memory_space {
  tessera_memory_space(std::unique_ptr<cuda::DriverTable> table, memory::DriverMemory lower,
                       memory::DriverCopies moves, uint64_t most_bytes)
      : driver(std::move(table)),
        device(std::move(lower)),
        copies(std::move(moves)),
        space(device, copies, most_bytes) {}

  std::unique_ptr<cuda::DriverTable> driver;  // the others hold on to it
  memory::DriverMemory device;
  memory::DriverCopies copies;
  memory::MemorySpace space;
};

namespace {

// Without a destructor: threads may end in any order.
constexpr size_t kMessageBytes = 512;
thread_local char last_message[kMessageBytes];

tessera_memory_status number_of(Code code) {
  switch (code) {
    case Code::kOk:
      return TESSERA_MEMORY_OK;
    case Code::kInvalidArgument:
      return TESSERA_MEMORY_INVALID_ARGUMENT;
    case Code::kNotFound:
      return TESSERA_MEMORY_NOT_FOUND;
    case Code::kResourceExhausted:
      return TESSERA_MEMORY_EXHAUSTED;
    case Code::kFailedPrecondition:
      return TESSERA_MEMORY_WRONG_STATE;
    case Code::kUnsupported:
      return TESSERA_MEMORY_UNSUPPORTED;
    case Code::kUnavailable:
    case Code::kDeadlineExceeded:
      return TESSERA_MEMORY_UNAVAILABLE;
    case Code::kAlreadyExists:
    case Code::kInvalidData:
    case Code::kPermissionDenied:
    case Code::kInternal:
      break;
  }
  return TESSERA_MEMORY_FAILED;
}

tessera_memory_status fail(tessera_memory_status status, const char* message) {
  snprintf(last_message, sizeof last_message, "%s", message);
  return status;
}

template <typename Body>
tessera_memory_status answer(Body body) noexcept {
  try {
    const Status status = body();
    return status.ok() ? TESSERA_MEMORY_OK : fail(number_of(status.code()), status.message().c_str());
  } catch (const std::bad_alloc&) {
    return fail(TESSERA_MEMORY_EXHAUSTED, "the process has no memory left");
  } catch (const std::exception& error) {
    return fail(TESSERA_MEMORY_FAILED, error.what());
  }
}

Status missing(const char* argument) { return Status::error(Code::kInvalidArgument, "%s is null", argument); }

// For what works on a space.
template <typename Body>
tessera_memory_status with(tessera_memory_space* space, Body body) noexcept {
  return answer([&]() -> Status { return space == nullptr ? missing("space") : body(space->space); });
}

// What the caller's version of a structure has of it.
template <typename T>
Result<T> taken(const T* given) {
  T whole{};
  if (given == nullptr) return whole;
  if (given->size < sizeof given->size || given->size > 4096)
    return Status::error(Code::kInvalidArgument, "a structure of size %zu: set it to its sizeof",
                         given->size);
  memcpy(&whole, given, std::min(given->size, sizeof whole));
  return whole;
}

template <typename T>
Status give(T whole, T* out) {
  if (out == nullptr) return missing("the structure for the answer");
  TESSERA_ASSIGN_OR_RETURN(const T asked, taken(out));
  whole.size = asked.size;
  memcpy(out, &whole, std::min(asked.size, sizeof whole));
  return {};
}

Result<std::span<const uint64_t>> span_of(const uint64_t* addresses, size_t count) {
  if (addresses == nullptr || count == 0) return Status(Code::kInvalidArgument, "no addresses are named");
  return std::span(addresses, count);
}

Status create(const tessera_memory_options* given, tessera_memory_space** space) {
  if (space == nullptr) return missing("space");
  TESSERA_ASSIGN_OR_RETURN(const tessera_memory_options options, taken(given));
  TESSERA_ASSIGN_OR_RETURN(cuda::DriverTable found, guest::load_program_driver(options.driver));
  auto driver = std::make_unique<cuda::DriverTable>(found);
  TESSERA_RETURN_IF_ERROR(guest::check_device(*driver, options.device));
  TESSERA_ASSIGN_OR_RETURN(memory::DriverMemory device,
                           memory::DriverMemory::of_device(*driver, options.device, false));
  TESSERA_ASSIGN_OR_RETURN(memory::DriverCopies copies,
                           memory::DriverCopies::of_device(*driver, options.device));
  if (options.device_bytes != 0 && options.device_bytes < device.granularity()) {
    return Status::error(Code::kInvalidArgument, "device_bytes is %llu: the driver maps no less than %llu",
                         static_cast<unsigned long long>(options.device_bytes),
                         static_cast<unsigned long long>(device.granularity()));
  }
  *space =
      new tessera_memory_space(std::move(driver), std::move(device), std::move(copies), options.device_bytes);
  return {};
}

}  // namespace

// In the header's order.
extern "C" {

const char* tessera_memory_status_name(tessera_memory_status status) {
  static constexpr const char* kNames[] = {"ok",          "invalid_argument", "not_found",   "exhausted",
                                           "wrong_state", "unsupported",      "unavailable", "failed"};
  const auto index = static_cast<size_t>(status);
  return index < std::size(kNames) ? kNames[index] : "unknown";
}

const char* tessera_memory_message() { return last_message; }

int tessera_memory_version() { return TESSERA_MEMORY_VERSION; }

tessera_memory_status tessera_memory_space_create(const tessera_memory_options* options,
                                                  tessera_memory_space** space) {
  return answer([&] { return create(options, space); });
}

void tessera_memory_space_destroy(tessera_memory_space* space) { delete space; }

tessera_memory_status tessera_memory_allocate(tessera_memory_space* space, uint64_t bytes,
                                              uint64_t* address) {
  return with(space, [&](memory::MemorySpace& in) -> Status {
    if (address == nullptr) return missing("address");
    TESSERA_ASSIGN_OR_RETURN(*address, in.allocate(bytes));
    return {};
  });
}

tessera_memory_status tessera_memory_free(tessera_memory_space* space, uint64_t address) {
  return with(space, [&](memory::MemorySpace& in) { return in.free(address); });
}

tessera_memory_status tessera_memory_acquire(tessera_memory_space* space, const uint64_t* addresses,
                                             size_t count) {
  return with(space, [&](memory::MemorySpace& in) -> Status {
    TESSERA_ASSIGN_OR_RETURN(const auto blocks, span_of(addresses, count));
    return in.acquire(blocks);
  });
}

tessera_memory_status tessera_memory_release(tessera_memory_space* space, const uint64_t* addresses,
                                             size_t count) {
  return with(space, [&](memory::MemorySpace& in) -> Status {
    TESSERA_ASSIGN_OR_RETURN(const auto blocks, span_of(addresses, count));
    return in.release(blocks);
  });
}

tessera_memory_status tessera_memory_advise(tessera_memory_space* space, uint64_t address,
                                            tessera_memory_advice advice) {
  return with(space, [&](memory::MemorySpace& in) -> Status {
    switch (advice) {
      case TESSERA_MEMORY_ADVISE_NORMAL:
        return in.advise(address, memory::Keep::kNormal);
      case TESSERA_MEMORY_ADVISE_KEEP:
        return in.advise(address, memory::Keep::kMost);
      case TESSERA_MEMORY_ADVISE_GO_FIRST:
        return in.advise(address, memory::Keep::kLeast);
    }
    return Status::error(Code::kInvalidArgument, "there is no advice %d", static_cast<int>(advice));
  });
}

tessera_memory_status tessera_memory_migrate(tessera_memory_space* space, uint64_t address,
                                             tessera_memory_place place) {
  return with(space, [&](memory::MemorySpace& in) -> Status {
    if (place == TESSERA_MEMORY_DEVICE) return in.move_in(address);
    if (place == TESSERA_MEMORY_HOST) return in.move_out(address);
    return Status::error(Code::kInvalidArgument, "there is no place %d", static_cast<int>(place));
  });
}

tessera_memory_status tessera_memory_write(tessera_memory_space* space, uint64_t address, const void* from,
                                           uint64_t bytes) {
  return with(space, [&](memory::MemorySpace& in) {
    return from == nullptr ? missing("from") : in.write(address, from, bytes);
  });
}

tessera_memory_status tessera_memory_read(tessera_memory_space* space, uint64_t address, void* to,
                                          uint64_t bytes) {
  return with(space, [&](memory::MemorySpace& in) {
    return to == nullptr ? missing("to") : in.read(address, to, bytes);
  });
}

tessera_memory_status tessera_memory_query(tessera_memory_space* space, uint64_t address,
                                           tessera_memory_block* block) {
  return with(space, [&](memory::MemorySpace& in) -> Status {
    TESSERA_ASSIGN_OR_RETURN(const memory::SpaceBlock found, in.query(address));
    const tessera_memory_advice advice = found.keep == memory::Keep::kMost    ? TESSERA_MEMORY_ADVISE_KEEP
                                         : found.keep == memory::Keep::kLeast ? TESSERA_MEMORY_ADVISE_GO_FIRST
                                                                              : TESSERA_MEMORY_ADVISE_NORMAL;
    return give({0, found.begin, found.bytes, found.on_device_bytes, found.acquired, advice}, block);
  });
}

tessera_memory_status tessera_memory_space_query(tessera_memory_space* space,
                                                 tessera_memory_figures* figures) {
  return with(space, [&](memory::MemorySpace& in) {
    const memory::SpaceFigures now = in.figures();
    return give({0, now.blocks, now.allocated_bytes, now.swap.on_device_bytes, now.swap.on_host_bytes,
                 now.swap.moved_in_bytes, now.swap.moved_out_bytes},
                figures);
  });
}

}  // extern "C"
