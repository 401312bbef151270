// One call of the driver on its way to the server.
#pragma once

#include <algorithm>
#include <cstring>
#include <type_traits>

#include "cuda/driver_table.h"
#include "remote/client/servers.h"
#include "remote/client/session.h"
#include "remote/ops.h"
#include "remote/wire/embedded_devices.h"
#include "remote/wire/embedded_handles.h"
#include "remote/wire/writer.h"

namespace tessera::remote {

class Request {
 public:
  Request(Op op, bool per_thread) : Request(static_cast<uint16_t>(op), per_thread) {}
  Request(Message message, bool per_thread) : Request(static_cast<uint16_t>(message), per_thread) {}

  // --- fields, in the order of the parameters
  template <typename T>
  Request& value(const T& value) {
    if constexpr (is_handle_type<T>) about(reinterpret_cast<uint64_t>(value));
    writer_.value(value);
    return *this;
  }
  // A device by its place in the list.
  Request& device(CUdevice device) {
    to(server_of_device(device));
    writer_.value(local_device(device));
    return *this;
  }
  // Memory of a device: it says which server is meant where nothing else does.
  Request& address(CUdeviceptr address) {
    if (has_several_servers() && by_address_ < 0) by_address_ = Known::server_of(address);
    writer_.value(address);
    return *this;
  }
  Request& text(const char* text) {
    writer_.text(text);
    return *this;
  }
  template <typename T>
  Request& array(const T* elements, uint64_t count) {
    writer_.array(elements, count);
    if (elements != nullptr && has_several_servers()) localise(elements, count);
    return *this;
  }
  template <typename T>
  Request& structure(const T* structure) {
    return array(structure, 1);
  }
  template <typename T>
  Request& want(const T* place) {
    writer_.value<uint64_t>(place != nullptr ? 1 : 0);
    return *this;
  }
  Request& raw(const void* bytes, size_t count) {
    writer_.raw(bytes, count);
    return *this;
  }

  // Which server is meant: what is said first holds, and without any it is the current context's.
  Request& to(unsigned server) {
    if (server_ < 0) server_ = static_cast<int>(server);
    return *this;
  }
  Request& about(uint64_t handle) {
    if (server_ < 0 && is_handle_id(handle)) server_ = static_cast<int>(server_of(handle));
    return *this;
  }
  unsigned server() const {
    if (server_ >= 0) return static_cast<unsigned>(server_);
    return by_address_ >= 0 ? static_cast<unsigned>(by_address_) : current_server();
  }

  // Waits for the answer: the call's result.
  CUresult run(ByteSpan payload = {}, std::span<std::byte> payload_to = {});
  // run, where results come with failures, too.
  CUresult run_with_results(ByteSpan payload = {}) {
    const CUresult result = run(payload);
    tells_ = thread_.answer.size() >= sizeof(AnswerHead);
    return result;
  }
  // run, with one result.
  template <typename T>
  CUresult run_take(T* place) {
    const CUresult result = run();
    uint64_t bytes = 0;
    const auto* value = next_array<std::byte>(&bytes);
    if (result == CUDA_SUCCESS && bytes == sizeof(T)) memcpy(place, value, sizeof(T));
    return result;
  }
  // Session::send_piece.
  CUresult send_piece(ByteSpan payload, bool is_borrowed, uint64_t* taken_at);
  // Sends without waiting.
  CUresult queue(ByteSpan payload = {});
  // run, and what an earlier queued call failed with: for calls that say such things.
  CUresult run_and_tell();

  // --- results, in the order of the parameters; nothing is written where the call has failed
  template <typename T>
  void take(T* place) {
    take_array(place, 1);
  }
  template <typename T>
  void take_array(T* place, uint64_t count) {
    uint64_t found = 0;
    const T* values = next_array<T>(&found);
    if (place == nullptr || values == nullptr) return;
    memcpy(place, values, std::min(found, count) * sizeof(T));  // NOLINT(bugprone-sizeof-expression)
    if (!has_several_servers()) return;
    for (uint64_t i = 0; i < std::min(found, count); ++i) {
      each_device(place[i], [&](int& device) { device = global_device(server(), device); });
    }
  }
  void take_device(CUdevice* place) {
    take(place);
    if (tells_ && place != nullptr) *place = global_device(server(), *place);
  }
  // An array in the answer, valid until the thread's next request.
  template <typename T>
  const T* next_array(uint64_t* count) {
    *count = 0;
    const uint64_t number = next_value<uint64_t>();
    // Handles are pointers. NOLINTNEXTLINE(bugprone-sizeof-expression)
    if (number == kAbsent || number > left() / sizeof(T)) return nullptr;
    const auto* found = reinterpret_cast<const T*>(thread_.answer.data() + at_);
    at_ += padded(number * sizeof(T));  // NOLINT(bugprone-sizeof-expression)
    *count = number;
    return found;
  }
  template <typename T>
  T next_value() {
    T value{};
    if (!tells_ || left() < sizeof(T)) return value;
    memcpy(&value, thread_.answer.data() + at_, sizeof(T));
    at_ += padded(sizeof(T));
    return value;
  }

 private:
  Request(uint16_t op, bool per_thread);
  // What was written last: whose it is, and its devices as their server calls them. One of another server is
  // none there.
  template <typename T>
  void localise(const T* elements, uint64_t count) {
    if constexpr (is_handle_type<T>) {
      for (uint64_t i = 0; i < count; ++i) about(reinterpret_cast<uint64_t>(elements[i]));
    } else if constexpr (std::is_class_v<T> || std::is_union_v<T>) {
      const size_t start = thread_.message.size() - padded(count * sizeof(T));
      for (uint64_t i = 0; i < count; ++i) {
        T one = elements[i];
        each_handle(one, [&](HandleKind, auto& handle) { about((uint64_t)handle); });
        each_device(one, [&](int& device) {
          to(server_of_device(device));
          device = server_of_device(device) == server() ? local_device(device) : -1;
        });
        memcpy(thread_.message.data() + start + i * sizeof(T), &one, sizeof one);
      }
    }
  }
  uint64_t left() const { return tells_ && at_ < thread_.answer.size() ? thread_.answer.size() - at_ : 0; }

  ThreadState& thread_;
  Writer writer_;
  const uint16_t op_;
  const uint16_t flags_;
  size_t at_ = sizeof(AnswerHead);
  int server_ = -1, by_address_ = -1;  // below 0: not said
  bool tells_ = false;                 // the answer has results
};

// What calls answer that only make sense on one machine.
CUresult not_over_the_wire(const char* name);

// Puts into the table what calls of the program do. Nothing is connected before the first of them.
void install_generated_calls(cuda::DriverTable& table);

}  // namespace tessera::remote
