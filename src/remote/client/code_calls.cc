// Modules, libraries, the linker, and the functions in them.
#include <cstring>
#include <map>
#include <memory>
#include <mutex>
#include <span>

#include "common/fd.h"
#include "common/log.h"
#include "cuda/code_image.h"
#include "remote/client/bulk.h"
#include "remote/client/connection.h"
#include "remote/client/functions.h"
#include "remote/client/installs.h"
#include "remote/client/managed_variables.h"
#include "remote/client/own_memory.h"
#include "remote/client/request.h"
#include "remote/client/servers.h"
#include "remote/rpc.h"
#include "remote/wire/content.h"

namespace tessera::remote {
namespace {

constexpr size_t kMostFileBytes = size_t{1} << 30;

struct Options {
  unsigned count = 0;
  CUjit_option* options = nullptr;
  void** values = nullptr;
};

int index_of(const Options& jit, CUjit_option wanted) {
  for (unsigned i = 0; i < jit.count; ++i) {
    if (jit.options[i] == wanted) return static_cast<int>(i);
  }
  return -1;
}

// Into the program's buffer; how much was written is told in the place of the size.
void give_log(const Options& jit, Request& answer, CUjit_option buffer, CUjit_option size) {
  uint64_t bytes = 0;
  const char* text = answer.next_array<char>(&bytes);
  const int at = index_of(jit, buffer), size_at = index_of(jit, size);
  if (at < 0 || size_at < 0 || jit.values[at] == nullptr) return;
  const auto room = static_cast<uint32_t>(reinterpret_cast<uintptr_t>(jit.values[size_at]));
  const size_t written = room == 0 ? 0 : std::min<size_t>(bytes, room - 1);
  if (written > 0) memcpy(jit.values[at], text, written);
  if (room > 0) static_cast<char*>(jit.values[at])[written] = '\0';
  jit.values[size_at] = reinterpret_cast<void*>(written);
}

// Damaged headers may say more than there is: then it is no image, and no crash. What is said to be much has
// its end looked at first: room for it would cost more than all else.
bool append_readable(ByteSpan piece, std::vector<std::byte>& bytes) {
  std::byte last;
  if (!piece.empty() && !read_own(reinterpret_cast<uint64_t>(&piece.back()), {&last, 1})) return false;
  const size_t at = bytes.size();
  bytes.resize(at + piece.size());
  return read_own(reinterpret_cast<uint64_t>(piece.data()), std::span(bytes).subspan(at));
}

// Handles come first in the answer, whether the call has succeeded or not; logs follow.
void take_loaded(Request& answer, const Options& jit, uint64_t* handle) {
  uint64_t handles = 0;
  const auto* first = answer.next_array<uint64_t>(&handles);
  if (handles == 1) memcpy(handle, first, sizeof *handle);
  give_log(jit, answer, CU_JIT_INFO_LOG_BUFFER, CU_JIT_INFO_LOG_BUFFER_SIZE_BYTES);
  give_log(jit, answer, CU_JIT_ERROR_LOG_BUFFER, CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES);
}

// Code that the server has had before is only named: `send` is given it, or nothing in its place.
template <typename Send>
CUresult send_code(unsigned server, ByteSpan code, Send send) {
  Session* its = session_of(server);
  const auto name = its == nullptr ? std::nullopt : its->bulk().name_of_code(code);
  if (!name) return send(code);
  (void)announce_content(server, *name, code.size(), false);
  const CUresult result = send({});
  if (result != kContentWanted) return result;
  (void)announce_content(server, *name, code.size(), true);
  return send(code);
}

CUresult load(Op op, const void* image, const Options& jit, uint64_t* handle) {
  auto found = cuda::find_code_image(image);
  if (!found.ok()) {
    LOG_INFO("remote", "%s", found.status().message().c_str());
    return image == nullptr ? CUDA_ERROR_INVALID_VALUE : CUDA_ERROR_INVALID_IMAGE;
  }
  std::vector<uint64_t> sizes;
  std::vector<std::byte> payload;
  for (ByteSpan piece : found->pieces) {
    sizes.push_back(piece.size());
    if (!append_readable(piece, payload)) return CUDA_ERROR_INVALID_IMAGE;
  }
  std::vector<uint64_t> values(jit.count);
  for (unsigned i = 0; i < jit.count; ++i) values[i] = reinterpret_cast<uint64_t>(jit.values[i]);
  const auto send = [&](ByteSpan bytes) {
    Request request(op, false);
    request.value(static_cast<uint32_t>(found->form)).array(sizes.data(), sizes.size());
    request.array(jit.options, jit.options == nullptr ? 0 : jit.count).array(values.data(), values.size());
    const CUresult result = request.run_with_results(bytes);
    if (result != kContentWanted) take_loaded(request, jit, handle);
    return result;
  };
  return send_code(current_server(), payload, send);
}

CUresult module_load_data_ex(CUmodule* module, const void* image, unsigned int count, CUjit_option* options,
                             void** values) {
  if (!is_initialised()) return CUDA_ERROR_NOT_INITIALIZED;
  if (module == nullptr || (count != 0 && (options == nullptr || values == nullptr)))
    return CUDA_ERROR_INVALID_VALUE;
  uint64_t handle = 0;
  const CUresult result = load(Op::cuModuleLoadDataEx, image, {count, options, values}, &handle);
  if (result == CUDA_SUCCESS) *module = reinterpret_cast<CUmodule>(handle);
  return result;
}

CUresult module_load_data(CUmodule* module, const void* image) {
  return module_load_data_ex(module, image, 0, nullptr, nullptr);
}

// Files lie where the program runs.
template <typename Load>
CUresult load_file(const char* path, Load load_bytes) {
  if (path == nullptr) return CUDA_ERROR_INVALID_VALUE;
  auto bytes = read_file(path, kMostFileBytes);
  if (!bytes.ok()) return CUDA_ERROR_FILE_NOT_FOUND;
  // Headers are believed as far as the file goes.
  if (!cuda::is_whole_code(std::as_bytes(std::span(bytes->c_str(), bytes->size() + 1))))
    return CUDA_ERROR_INVALID_IMAGE;
  return load_bytes(bytes->c_str());
}

CUresult module_load(CUmodule* module, const char* path) {
  return load_file(path, [&](const void* image) { return module_load_data(module, image); });
}

CUresult library_load_data(CUlibrary* library, const void* code, CUjit_option* options, void** values,
                           unsigned int count, CUlibraryOption* library_options, void**,
                           unsigned int library_count) {
  if (!is_initialised()) return CUDA_ERROR_NOT_INITIALIZED;
  if (library == nullptr || (count != 0 && (options == nullptr || values == nullptr)))
    return CUDA_ERROR_INVALID_VALUE;
  // That the program keeps its image is no news for the server, which has a copy.
  for (unsigned i = 0; i < library_count; ++i) {
    if (library_options[i] != CU_LIBRARY_BINARY_IS_PRESERVED) {
      return not_over_the_wire("cuLibraryLoadData with a table of host functions");
    }
  }
  uint64_t handle = 0;
  const CUresult result = load(Op::cuLibraryLoadData, code, {count, options, values}, &handle);
  if (result == CUDA_SUCCESS) *library = reinterpret_cast<CUlibrary>(handle);
  return result;
}

CUresult library_load_from_file(CUlibrary* library, const char* path, CUjit_option* options, void** values,
                                unsigned int count, CUlibraryOption* library_options, void** library_values,
                                unsigned int library_count) {
  return load_file(path, [&](const void* image) {
    return library_load_data(library, image, options, values, count, library_options, library_values,
                             library_count);
  });
}

void forget_code(unsigned server) {
  forget_functions();
  forget_gone_variables(server);
}

CUresult module_unload(CUmodule module) {
  if (!is_initialised()) return CUDA_ERROR_NOT_INITIALIZED;
  const CUresult result = rpc::cuModuleUnload(false, module);
  if (result == CUDA_SUCCESS) forget_code(server_of_handle(module));
  return result;
}

CUresult library_unload(CUlibrary library) {
  if (!is_initialised()) return CUDA_ERROR_NOT_INITIALIZED;
  const CUresult result = rpc::cuLibraryUnload(false, library);
  if (result == CUDA_SUCCESS) forget_code(server_of_handle(library));
  return result;
}

template <typename Handle, typename Holder>
CUresult get_function(Op op, Handle* function, Holder holder, const char* name) {
  if (!is_initialised()) return CUDA_ERROR_NOT_INITIALIZED;
  if (function == nullptr || name == nullptr) return CUDA_ERROR_INVALID_VALUE;
  Request request(op, false);
  const CUresult result = request.value(holder).text(name).run();
  if (result != CUDA_SUCCESS) return result;
  *function = reinterpret_cast<Handle>(request.next_value<uint64_t>());
  learn_function(reinterpret_cast<CUfunction>(*function), request);
  return result;
}

CUresult module_get_function(CUfunction* function, CUmodule module, const char* name) {
  return get_function(Op::cuModuleGetFunction, function, module, name);
}

CUresult library_get_kernel(CUkernel* kernel, CUlibrary library, const char* name) {
  return get_function(Op::cuLibraryGetKernel, kernel, library, name);
}

CUresult kernel_get_function(CUfunction* function, CUkernel kernel) {
  return rpc::cuKernelGetFunction(false, function, kernel);
}

CUresult func_get_name(const char** name, CUfunction function) { return name_of_function(function, name); }
CUresult kernel_get_name(const char** name, CUkernel kernel) {
  return name_of_function(reinterpret_cast<CUfunction>(kernel), name);
}

CUresult func_set_attribute(CUfunction function, CUfunction_attribute attribute, int value) {
  const CUresult result = rpc::cuFuncSetAttribute(false, function, attribute, value);
  if (result == CUDA_SUCCESS) ask_at_next_launches();
  return result;
}

CUresult kernel_set_attribute(CUfunction_attribute attribute, int value, CUkernel kernel, CUdevice device) {
  const CUresult result = rpc::cuKernelSetAttribute(false, attribute, value, kernel, device);
  if (result == CUDA_SUCCESS) ask_at_next_launches();
  return result;
}

// --- The linker. Results are memory of ours that lives until the link is destroyed.

struct LinkInProgress {
  // The program's buffers, which live as long as the link; how much is in them is told in the place of their
  // sizes.
  char* info = nullptr;
  char* error = nullptr;
  void** info_size = nullptr;
  void** error_size = nullptr;
  uint32_t info_bytes = 0, error_bytes = 0;
  std::vector<std::byte> image;
};

struct Links {
  std::mutex lock;
  std::map<CUlinkState, LinkInProgress> known;
};

Links& links() {
  static auto* found = new Links;
  return *found;
}

void put_log(Request& answer, char* buffer, void** size, uint32_t room) {
  uint64_t bytes = 0;
  const char* text = answer.next_array<char>(&bytes);
  if (buffer == nullptr || size == nullptr || room == 0) return;
  const size_t written = std::min<size_t>(bytes, room - 1);
  if (written > 0) memcpy(buffer, text, written);
  buffer[written] = '\0';
  *size = reinterpret_cast<void*>(written);
}

void take_logs(CUlinkState state, Request& answer) {
  std::lock_guard lock(links().lock);
  LinkInProgress& link = links().known[state];
  put_log(answer, link.info, link.info_size, link.info_bytes);
  put_log(answer, link.error, link.error_size, link.error_bytes);
}

CUresult link_create(unsigned int count, CUjit_option* options, void** values, CUlinkState* state) {
  if (!is_initialised()) return CUDA_ERROR_NOT_INITIALIZED;
  if (state == nullptr || (count != 0 && (options == nullptr || values == nullptr)))
    return CUDA_ERROR_INVALID_VALUE;
  constexpr uint32_t kMostLogBytes = 1 << 20;
  const Options jit{count, options, values};
  LinkInProgress link;
  const auto find = [&](CUjit_option buffer, CUjit_option size, char*& place, void**& size_place,
                        uint32_t& bytes) {
    const int at = index_of(jit, buffer), size_at = index_of(jit, size);
    if (at < 0 || size_at < 0 || values[at] == nullptr) return;
    place = static_cast<char*>(values[at]);
    size_place = &values[size_at];
    bytes = std::min(static_cast<uint32_t>(reinterpret_cast<uintptr_t>(values[size_at])), kMostLogBytes);
  };
  find(CU_JIT_INFO_LOG_BUFFER, CU_JIT_INFO_LOG_BUFFER_SIZE_BYTES, link.info, link.info_size, link.info_bytes);
  find(CU_JIT_ERROR_LOG_BUFFER, CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES, link.error, link.error_size,
       link.error_bytes);
  Request request(Op::cuLinkCreate_v2, false);
  std::vector<CUjit_option> others;
  std::vector<uint64_t> numbers;
  for (unsigned i = 0; i < count; ++i) {
    const bool is_log =
        options[i] == CU_JIT_INFO_LOG_BUFFER || options[i] == CU_JIT_INFO_LOG_BUFFER_SIZE_BYTES ||
        options[i] == CU_JIT_ERROR_LOG_BUFFER || options[i] == CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES;
    if (is_log) continue;
    others.push_back(options[i]);
    numbers.push_back(reinterpret_cast<uint64_t>(values[i]));
  }
  request.value<uint64_t>(link.info_bytes).value<uint64_t>(link.error_bytes);
  const CUresult result =
      request.array(others.data(), others.size()).array(numbers.data(), numbers.size()).run();
  request.take(state);
  if (result != CUDA_SUCCESS) return result;
  std::lock_guard lock(links().lock);
  links().known[*state] = std::move(link);
  return result;
}

CUresult link_add_data(CUlinkState state, CUjitInputType type, void* data, size_t size, const char* name,
                       unsigned int, CUjit_option*, void**) {
  if (!is_initialised()) return CUDA_ERROR_NOT_INITIALIZED;
  if (data == nullptr || size == 0 || size > kMostFileBytes) return CUDA_ERROR_INVALID_VALUE;
  return send_code(server_of_handle(state), {static_cast<const std::byte*>(data), size}, [&](ByteSpan code) {
    Request request(Op::cuLinkAddData_v2, false);
    request.value(state).value(type).value<uint64_t>(size).text(name);
    const CUresult result = request.run_with_results(code);
    if (result != kContentWanted) take_logs(state, request);
    return result;
  });
}

CUresult link_add_file(CUlinkState state, CUjitInputType type, const char* path, unsigned int count,
                       CUjit_option* options, void** values) {
  if (path == nullptr) return CUDA_ERROR_INVALID_VALUE;
  auto bytes = read_file(path, kMostFileBytes);
  if (!bytes.ok()) return CUDA_ERROR_FILE_NOT_FOUND;
  return link_add_data(state, type, bytes->data(), bytes->size(), path, count, options, values);
}

CUresult link_complete(CUlinkState state, void** image, size_t* size) {
  if (!is_initialised()) return CUDA_ERROR_NOT_INITIALIZED;
  if (image == nullptr) return CUDA_ERROR_INVALID_VALUE;
  Request request(Op::cuLinkComplete, false);
  const CUresult result = request.value(state).run_with_results({});
  take_logs(state, request);
  if (result != CUDA_SUCCESS) return result;
  uint64_t bytes = 0;
  const auto* found = request.next_array<std::byte>(&bytes);
  std::lock_guard lock(links().lock);
  auto& kept = links().known[state].image;
  kept.assign(found, found + bytes);
  *image = kept.data();
  if (size != nullptr) *size = kept.size();
  return result;
}

CUresult link_destroy(CUlinkState state) {
  if (!is_initialised()) return CUDA_ERROR_NOT_INITIALIZED;
  const CUresult result = rpc::cuLinkDestroy(false, state);
  std::lock_guard lock(links().lock);
  if (result == CUDA_SUCCESS) links().known.erase(state);
  return result;
}

}  // namespace

void install_code_calls(cuda::DriverTable& table) {
  table.cuModuleLoad = module_load;
  table.cuModuleLoadData = module_load_data;
  table.cuModuleLoadDataEx = module_load_data_ex;
  table.cuModuleLoadFatBinary = module_load_data;
  table.cuModuleUnload = module_unload;
  table.cuModuleGetFunction = module_get_function;
  table.cuModuleGetGlobal_v2 = module_get_global;
  table.cuLibraryLoadData = library_load_data;
  table.cuLibraryLoadFromFile = library_load_from_file;
  table.cuLibraryUnload = library_unload;
  table.cuLibraryGetKernel = library_get_kernel;
  table.cuLibraryGetManaged = library_get_managed;
  table.cuKernelGetFunction = kernel_get_function;
  table.cuKernelGetName = kernel_get_name;
  table.cuFuncGetName = func_get_name;
  table.cuFuncSetAttribute = func_set_attribute;
  table.cuKernelSetAttribute = kernel_set_attribute;
  table.cuLinkCreate = link_create;
  table.cuLinkCreate_v2 = link_create;
  table.cuLinkAddData = link_add_data;
  table.cuLinkAddData_v2 = link_add_data;
  table.cuLinkAddFile = link_add_file;
  table.cuLinkAddFile_v2 = link_add_file;
  table.cuLinkComplete = link_complete;
  table.cuLinkDestroy = link_destroy;
}

}  // namespace tessera::remote
