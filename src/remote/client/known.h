// What the client knows of the session's things: enough to tell, before a call is sent without waiting, that
// the driver would not refuse it.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>

#include "cuda/abi.h"
#include "remote/client/servers.h"

namespace tessera::remote {

// Safe from any thread. All of it is the process's; nothing of it is destroyed.
class Known {
 public:
  // No stream is being captured, and no context has failed.
  static bool healthy() { return trouble_.load(std::memory_order_relaxed) == 0; }
  static bool capturing() { return captures_.load(std::memory_order_relaxed) != 0; }
  static void capture_began();
  static void capture_ended();
  // What an answer said: some results mean that the context has failed for good.
  static void heard(CUresult result);
  // A device was reset: contexts are whole again.
  static void contexts_were_reset();

  // Streams and events that this client has made. 0 and the special streams are live wherever a context is
  // current.
  static bool stream(bool per_thread, CUstream stream);
  static bool event(CUevent event);
  // Whether they are, as far as is known: both are live.
  static bool of_one_context(CUevent event, CUstream stream);
  // Of the current server.
  static uint64_t new_stream() { return numbered(streams_next_); }
  static uint64_t new_event() { return numbered(events_next_); }
  // From here on it is live; or it is not.
  static void set_stream(uint64_t id, bool is_live);
  static void set_event(uint64_t id, bool is_live);

  // Graphs that can be launched: the server names them.
  static bool graph_exec(CUgraphExec exec);
  static void add_graph_exec(CUgraphExec exec);
  static void remove_graph_exec(CUgraphExec exec);

  // Memory of devices that this client was given.
  static bool device(CUdeviceptr address, uint64_t bytes);
  static void add_device(CUdeviceptr address, uint64_t bytes) {
    add_device(address, bytes, current_server());
  }
  static void add_device(CUdeviceptr address, uint64_t bytes, unsigned server);
  static void remove_device(CUdeviceptr address);
  // The whole of it, where it is known. Null pointers are not asked for.
  static bool device_range(CUdeviceptr address, CUdeviceptr* base, size_t* bytes);
  // What a server has of it, for people.
  static std::string describe(unsigned server);
  // Which server has it; below 0 where that is not known.
  static int server_of(CUdeviceptr address);

 private:
  static uint64_t numbered(std::atomic<uint64_t>& next) {
    return next.fetch_add(1, std::memory_order_relaxed) | uint64_t{current_server()} << kServerShift;
  }

  static std::atomic<int> trouble_;  // captures and failed contexts
  static std::atomic<int> captures_;
  static std::atomic<bool> has_failed_;
  static std::atomic<uint64_t> streams_next_, events_next_;
};

}  // namespace tessera::remote
