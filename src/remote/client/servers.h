// The servers that the process uses: each has a session, and its devices a part of one list.
#pragma once

#include <cstdint>

#include "cuda/abi.h"
#include "remote/wire/handle_id.h"

namespace tessera::remote {

class Session;

unsigned server_count();  // 1 before they are known
inline bool has_several_servers() { return server_count() > 1; }
// Null as session().
Session* session_of(unsigned server);
// Whose the calling thread's current context is; the first without one.
unsigned current_server();

// By the place of a device in the list: whose it is (the first server's, where there is no such device), and
// what it is called there; and back.
unsigned server_of_device(CUdevice device);
CUdevice local_device(CUdevice device);
CUdevice global_device(unsigned server, CUdevice device);

// Any context of that server, or null: for calls that concern it while another server's is current.
CUcontext some_context_of(unsigned server);

template <typename Handle>
unsigned server_of_handle(Handle handle) {
  const auto id = reinterpret_cast<uint64_t>(handle);
  return is_handle_id(id) ? server_of(id) : current_server();
}

// Of two servers, which know nothing of each other's.
template <typename First, typename Second>
bool are_apart(First first, Second second) {
  return has_several_servers() && server_of_handle(first) != server_of_handle(second);
}

// What is called a handle by the driver's interface, and has an id across the wire.
template <typename T>
inline constexpr bool is_handle_type = false;
template <>
inline constexpr bool is_handle_type<CUcontext> = true;
template <>
inline constexpr bool is_handle_type<CUmodule> = true;
template <>
inline constexpr bool is_handle_type<CUfunction> = true;
template <>
inline constexpr bool is_handle_type<CUlibrary> = true;
template <>
inline constexpr bool is_handle_type<CUkernel> = true;
template <>
inline constexpr bool is_handle_type<CUarray> = true;
template <>
inline constexpr bool is_handle_type<CUmipmappedArray> = true;
template <>
inline constexpr bool is_handle_type<CUtexref> = true;
template <>
inline constexpr bool is_handle_type<CUsurfref> = true;
template <>
inline constexpr bool is_handle_type<CUevent> = true;
template <>
inline constexpr bool is_handle_type<CUstream> = true;
template <>
inline constexpr bool is_handle_type<CUgraph> = true;
template <>
inline constexpr bool is_handle_type<CUgraphNode> = true;
template <>
inline constexpr bool is_handle_type<CUgraphExec> = true;
template <>
inline constexpr bool is_handle_type<CUmemoryPool> = true;
template <>
inline constexpr bool is_handle_type<CUuserObject> = true;
template <>
inline constexpr bool is_handle_type<CUlinkState> = true;

}  // namespace tessera::remote
