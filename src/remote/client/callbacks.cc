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
  bool is_kept = false;  // of a graph: others may name it, too
};

struct Numbers {
  std::mutex lock;
  std::unordered_map<uint64_t, Registered> registered;
  std::map<std::pair<CUhostFn, void*>, uint64_t> functions;  // of graphs
  uint64_t next = 1;

  uint64_t add(const Registered& one) {
    registered.emplace(next, one);
    return next++;
  }
};

Numbers& numbers() {
  static auto* found = new Numbers;
  return *found;
}

}  // namespace

uint64_t number_graph_function(CUhostFn function, void* argument) {
  std::lock_guard lock(numbers().lock);
  auto& functions = numbers().functions;
  const auto found = functions.find({function, argument});
  if (found != functions.end()) return found->second;
  if (functions.size() >= kMostGraphFunctions) return 0;
  const uint64_t number = numbers().add({function, nullptr, nullptr, argument, true});
  functions.emplace(std::pair(function, argument), number);
  return number;
}

uint64_t number_host_function(CUhostFn function, void* argument) {
  std::lock_guard lock(numbers().lock);
  return numbers().add({function, nullptr, nullptr, argument, false});
}

uint64_t number_stream_callback(CUstreamCallback callback, CUstream stream, void* argument) {
  std::lock_guard lock(numbers().lock);
  return numbers().add({nullptr, callback, stream, argument, false});
}

void forget_number(uint64_t number) {
  std::lock_guard lock(numbers().lock);
  const auto found = numbers().registered.find(number);
  if (found != numbers().registered.end() && !found->second.is_kept) numbers().registered.erase(found);
}

size_t numbered_functions() {
  std::lock_guard lock(numbers().lock);
  return numbers().registered.size();
}

bool host_function_of(uint64_t number, CUhostFn* function, void** argument) {
  std::lock_guard lock(numbers().lock);
  auto found = numbers().registered.find(number);
  if (found == numbers().registered.end()) return false;
  *function = found->second.function;
  *argument = found->second.argument;
  return true;
}

void run_callback(const CallbackTurn& turn) {
  Registered registered;
  {
    std::lock_guard lock(numbers().lock);
    auto found = numbers().registered.find(turn.callback);
    if (found == numbers().registered.end()) return;
    registered = found->second;
    if (turn.is_last != 0 && !registered.is_kept) numbers().registered.erase(found);
  }
  if (registered.function != nullptr) registered.function(registered.argument);
  if (registered.callback != nullptr)
    registered.callback(registered.stream, static_cast<CUresult>(turn.status), registered.argument);
}

}  // namespace tessera::remote
