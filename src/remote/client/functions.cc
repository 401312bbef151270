#include "remote/client/functions.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <span>
#include <unordered_map>

namespace tessera::remote {
namespace {

struct Functions {
  std::shared_mutex lock;
  std::unordered_map<CUfunction, std::shared_ptr<ClientFunction>> known;
  // Handles are never given twice, and threads keep pointers: what is forgotten stays here.
  std::vector<std::shared_ptr<ClientFunction>> forgotten;
  std::atomic<uint64_t> version{1};
};

Functions& functions() {
  static auto* found = new Functions;
  return *found;
}

// What this thread launched last.
struct Last {
  uint64_t version = 0;
  CUfunction function = nullptr;
  ClientFunction* found = nullptr;
};
constinit thread_local Last last;

ClientFunction* look_up(CUfunction function) {
  std::shared_lock lock(functions().lock);
  auto found = functions().known.find(function);
  return found == functions().known.end() ? nullptr : found->second.get();
}

// One after the other, and no more than a kernel may have: the program's own are copied by them.
bool are_sane(std::span<const FunctionParameter> parameters) {
  uint64_t end = 0;
  for (const FunctionParameter& one : parameters) {
    if (one.offset < end) return false;
    end = uint64_t{one.offset} + one.bytes;
  }
  return parameters.size() <= kMaxParameters && end <= kMaxParameterBytes;
}

}  // namespace

void learn_function(CUfunction function, Request& answer) {
  auto learnt = std::make_shared<ClientFunction>();
  learnt->is_known = answer.next_value<uint32_t>() != 0;
  uint64_t count = 0;
  const auto* parameters = answer.next_array<FunctionParameter>(&count);
  if (!are_sane({parameters, count})) return;
  learnt->info.parameters.assign(parameters, parameters + count);
  std::unique_lock lock(functions().lock);
  functions().known.try_emplace(function, std::move(learnt));
}

ClientFunction* find_function(CUfunction function) {
  const uint64_t version = functions().version.load(std::memory_order_acquire);
  if (last.version == version && last.function == function) return last.found;
  ClientFunction* found = look_up(function);
  if (found == nullptr && function != nullptr) {
    Request request(Message::kFunctionInfo, false);
    if (request.value(function).run() == CUDA_SUCCESS) learn_function(function, request);
    found = look_up(function);
  }
  if (found != nullptr) last = {version, function, found};
  return found;
}

void ask_at_next_launches() {
  std::shared_lock lock(functions().lock);
  for (auto& [function, known] : functions().known)
    known->has_launched.store(false, std::memory_order_relaxed);
}

CUresult name_of_function(CUfunction function, const char** name) {
  if (name == nullptr) return CUDA_ERROR_INVALID_VALUE;
  Request request(Op::cuFuncGetName, false);
  const CUresult result = request.value(function).run();
  if (result != CUDA_SUCCESS) return result;
  uint64_t count = 0;
  const char* text = request.next_array<char>(&count);
  if (text == nullptr || count == 0) return CUDA_ERROR_NOT_SUPPORTED;
  std::string told(text, count - 1);
  if (find_function(function) == nullptr) return CUDA_ERROR_INVALID_HANDLE;
  std::unique_lock lock(functions().lock);
  auto& kept = functions().known[function];
  if (kept->name.empty()) kept->name = std::move(told);
  *name = kept->name.c_str();
  return result;
}

void forget_functions() {
  std::unique_lock lock(functions().lock);
  for (auto& [function, known] : functions().known) functions().forgotten.push_back(std::move(known));
  functions().known.clear();
  functions().version.fetch_add(1);
}

CUresult gather_parameters(const ClientFunction& function, void** parameters, void** extra,
                           std::vector<std::byte>& values) {
  const size_t start = values.size();
  const uint32_t bytes = function.info.parameter_bytes();
  values.resize(start + bytes);
  if (parameters != nullptr) {
    for (size_t i = 0; i < function.info.parameters.size(); ++i) {
      const FunctionParameter& parameter = function.info.parameters[i];
      if (parameters[i] == nullptr) return CUDA_ERROR_INVALID_VALUE;
      memcpy(values.data() + start + parameter.offset, parameters[i], parameter.bytes);
    }
    return extra == nullptr ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
  }
  if (extra == nullptr) return bytes == 0 ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
  const void* buffer = nullptr;
  size_t given = 0;
  for (size_t i = 0; extra[i] != CU_LAUNCH_PARAM_END; i += 2) {
    if (i >= 16) return CUDA_ERROR_INVALID_VALUE;
    if (extra[i] == CU_LAUNCH_PARAM_BUFFER_POINTER) buffer = extra[i + 1];
    if (extra[i] == CU_LAUNCH_PARAM_BUFFER_SIZE && extra[i + 1] != nullptr)
      given = *static_cast<size_t*>(extra[i + 1]);
  }
  if ((buffer == nullptr && bytes != 0) || given < bytes) return CUDA_ERROR_INVALID_VALUE;
  if (bytes != 0) memcpy(values.data() + start, buffer, bytes);
  return CUDA_SUCCESS;
}

}  // namespace tessera::remote
