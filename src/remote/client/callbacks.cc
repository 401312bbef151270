#include "remote/client/callbacks.h"

#include <map>
#include <mutex>
#include <unordered_map>

namespace tessera::remote {
namespace {

struct Registered {
  CUhostFn function = nullptr;
  CUstreamCallback callback = nullptr;
  CUstream stream = nullptr;
  void* argument = nullptr;
};

struct Numbers {
  std::mutex lock;
  std::unordered_map<uint64_t, Registered> registered;
  std::map<std::pair<CUhostFn, void*>, uint64_t> functions;
  uint64_t next = 1;
};

Numbers& numbers() {
  static auto* found = new Numbers;
  return *found;
}

}  // namespace

uint64_t number_host_function(CUhostFn function, void* argument) {
  std::lock_guard lock(numbers().lock);
  uint64_t& number = numbers().functions[{function, argument}];
  if (number == 0) {
    number = numbers().next++;
    numbers().registered[number] = {function, nullptr, nullptr, argument};
  }
  return number;
}

uint64_t number_stream_callback(CUstreamCallback callback, CUstream stream, void* argument) {
  std::lock_guard lock(numbers().lock);
  const uint64_t number = numbers().next++;
  numbers().registered[number] = {nullptr, callback, stream, argument};
  return number;
}

bool host_function_of(uint64_t number, CUhostFn* function, void** argument) {
  std::lock_guard lock(numbers().lock);
  auto found = numbers().registered.find(number);
  if (found == numbers().registered.end()) return false;
  *function = found->second.function;
  *argument = found->second.argument;
  return true;
}

void run_callback(uint64_t number, CUresult status) {
  Registered registered;
  {
    std::lock_guard lock(numbers().lock);
    auto found = numbers().registered.find(number);
    if (found == numbers().registered.end()) return;
    registered = found->second;
    if (registered.callback != nullptr) numbers().registered.erase(found);
  }
  if (registered.function != nullptr) registered.function(registered.argument);
  if (registered.callback != nullptr) registered.callback(registered.stream, status, registered.argument);
}

}  // namespace tessera::remote
