// One message of a client while it is served: its fields, and the answer that is being written.
#pragma once

#include <cstdint>
#include <vector>

#include "cuda/driver_table.h"
#include "remote/wire/arena.h"
#include "remote/wire/embedded_handles.h"
#include "remote/wire/reader.h"
#include "remote/wire/writer.h"
#include "remote/worker/content_in.h"
#include "remote/worker/handle_table.h"

namespace tessera::remote {

class Worker;

// What the server knows of a thread of the client.
struct ClientThread {
  uint16_t number = 0;
  CUcontext current = nullptr;
  CUstreamCaptureMode capture_mode = CU_STREAM_CAPTURE_MODE_GLOBAL;
  // Its own default streams, by context.
  std::vector<std::pair<CUcontext, CUstream>> default_streams;
  ContentIn content;
};

struct Serving {
  Serving(Worker& its_worker, const cuda::DriverTable& driver, HandleTable& known)
      : worker(its_worker), table(driver), handles(known), in({}, arena), out(answer) {}

  // The driver's handle for a client's id. Where there is none the call fails, with what the driver says of
  // such.
  template <typename T>
  T handle(HandleKind kind, uint64_t id) {
    return (T)real_handle(kind, id);  // pointers and integers
  }
  template <typename T>
  void translate(HandleKind kind, T* handles_in_place, uint64_t count) {
    for (uint64_t i = 0; i < count; ++i) {
      auto& place = handles_in_place[i];
      place = handle<std::remove_reference_t<decltype(place)>>(kind, (uint64_t)place);
    }
  }
  template <typename T>
  void translate_embedded(T* structures, uint64_t count) {
    for (uint64_t i = 0; i < count; ++i) {
      clear_addresses(structures[i]);
      each_handle(structures[i], [&](HandleKind kind, auto& place) {
        place = handle<std::remove_reference_t<decltype(place)>>(kind, (uint64_t)place);
      });
    }
  }
  // Results, in the order of the parameters; null where the client wanted none.
  template <typename T>
  void give(T* values, uint64_t count) {
    if (values != nullptr) {
      for (uint64_t i = 0; i < count; ++i) {
        each_handle(values[i], [&](HandleKind kind, auto& place) {
          place = (std::remove_reference_t<decltype(place)>)id_of(kind, (uint64_t)place, 0);
        });
      }
    }
    out.array(values, count);
  }
  template <typename T>
  void give_handles(HandleKind kind, T* values, uint64_t count, uint64_t parent) {
    for (uint64_t i = 0; values != nullptr && i < count; ++i) {
      values[i] = (T)id_of(kind, (uint64_t)values[i], parent);
    }
    out.array(values, count);
  }

  // The message is none that a client of this protocol sends: the session ends.
  CUresult malformed() {
    is_malformed = true;
    return CUDA_ERROR_INVALID_VALUE;
  }
  CUresult too_large() { return CUDA_ERROR_OUT_OF_MEMORY; }

  // The next bytes of the message's payload.
  Status read_payload(std::span<std::byte> space);
  // Something is in a stream afterwards; and such that may write wherever the program can look.
  void notes_work();
  void gives_work();
  // The call that comes may last as long as the GPU's work.
  void may_wait();

  uint64_t real_handle(HandleKind kind, uint64_t id);
  uint64_t id_of(HandleKind kind, uint64_t real, uint64_t parent);

  Worker& worker;
  const cuda::DriverTable& table;
  HandleTable& handles;
  Arena arena;
  ByteSpan body;  // of the message
  Reader in;
  std::vector<std::byte> answer;  // fields of the answer
  Writer out;
  ClientThread* thread = nullptr;
  uint16_t op = 0;
  bool per_thread = false;
  bool wants_answer = false;
  bool is_malformed = false;
  bool has_answered = false;       // the answer has been sent already, with its payload
  CUresult failed = CUDA_SUCCESS;  // because of a handle
};

using Serve = CUresult (*)(Serving&);
extern const Serve kServes[];
extern const bool kServedByHand[];  // those for which kServes has none (calls.tbl)
extern const bool kWaits[];         // calls that may last as long as the GPU's work (calls.tbl)
// Calls written by hand, by the number of the message; null where there is none.
Serve own_serve(uint16_t op);

}  // namespace tessera::remote
