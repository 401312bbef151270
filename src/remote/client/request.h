// One call of the driver on its way to the server.
#pragma once

#include <algorithm>
#include <cstring>

#include "cuda/driver_table.h"
#include "remote/client/session.h"
#include "remote/ops.h"
#include "remote/wire/writer.h"

namespace tessera::remote {

class Request {
 public:
  Request(Op op, bool per_thread) : Request(static_cast<uint16_t>(op), per_thread) {}
  Request(Message message, bool per_thread) : Request(static_cast<uint16_t>(message), per_thread) {}

  // --- fields, in the order of the parameters
  template <typename T>
  Request& value(const T& value) {
    writer_.value(value);
    return *this;
  }
  Request& text(const char* text) {
    writer_.text(text);
    return *this;
  }
  template <typename T>
  Request& array(const T* elements, uint64_t count) {
    writer_.array(elements, count);
    return *this;
  }
  template <typename T>
  Request& structure(const T* structure) {
    writer_.structure(structure);
    return *this;
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
    if (place != nullptr && values != nullptr) memcpy(place, values, std::min(found, count) * sizeof(T));
  }
  // An array in the answer, valid until the thread's next request.
  template <typename T>
  const T* next_array(uint64_t* count) {
    *count = 0;
    const uint64_t number = next_value<uint64_t>();
    if (number == kAbsent || number > left() / sizeof(T)) return nullptr;
    const auto* found = reinterpret_cast<const T*>(thread_.answer.data() + at_);
    at_ += padded(number * sizeof(T));
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
  uint64_t left() const { return tells_ && at_ < thread_.answer.size() ? thread_.answer.size() - at_ : 0; }

  ThreadState& thread_;
  Writer writer_;
  const uint16_t op_;
  const uint16_t flags_;
  size_t at_ = sizeof(AnswerHead);
  bool tells_ = false;  // the answer has results
};

// What calls answer that only make sense on one machine.
CUresult not_over_the_wire(const char* name);

// Puts into the table what calls of the program do. Nothing is connected before the first of them.
void install_generated_calls(cuda::DriverTable& table);

}  // namespace tessera::remote
