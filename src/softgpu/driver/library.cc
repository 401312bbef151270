#include "softgpu/driver/library.h"

#include <algorithm>
#include <cassert>

#include "common/log.h"
#include "softgpu/driver/context.h"
#include "softgpu/driver/device.h"
#include "softgpu/driver/handle_registry.h"
#include "softgpu/driver/memory.h"
#include "softgpu/driver/state.h"

namespace tessera::softgpu {

LibraryKernel::LibraryKernel(std::shared_ptr<Library> library, std::string name)
    : library_(std::move(library)), name_(std::move(name)), handle_(next_handle()) {}

std::shared_ptr<FunctionSettings> LibraryKernel::settings(int device_ordinal) {
  std::lock_guard lock(mutex_);
  std::shared_ptr<FunctionSettings>& settings = settings_[device_ordinal];
  if (!settings) settings = std::make_shared<FunctionSettings>();
  return settings;
}

CUresult LibraryKernel::function(Context& context, std::shared_ptr<Function>* function) {
  std::shared_ptr<Module> module;
  const CUresult result = library_->module(context, &module);
  if (result != CUDA_SUCCESS) return result;
  *function = module->function(name_, settings(context.device().ordinal()));
  return *function ? CUDA_SUCCESS : CUDA_ERROR_NOT_FOUND;
}

Library::Library(ptx::Module code) : code_(std::move(code)), handle_(next_handle()) {
  for (const ptx::Function& function : code_.functions) {
    if (function.entry && function.defined) names_.push_back(function.name);
  }
}

std::shared_ptr<LibraryKernel> Library::kernel(const std::string& name) {
  if (std::find(names_.begin(), names_.end(), name) == names_.end()) return nullptr;
  std::lock_guard lock(mutex_);
  std::shared_ptr<LibraryKernel>& kernel = kernels_[name];
  if (!kernel) {
    kernel = std::make_shared<LibraryKernel>(shared_from_this(), name);
    live<LibraryKernel>().add(reinterpret_cast<uintptr_t>(kernel->handle()), kernel);
  }
  return kernel;
}

CUresult Library::module(Context& context, std::shared_ptr<Module>* module) {
  // Held while linking: a second thread that needs the library waits for the first one's result.
  std::lock_guard lock(mutex_);
  return module_locked(context, module);
}

// The runtime asks before there is any context. Placing the variables means linking; the first device's
// primary context, active or not, is where that is most likely needed next.
CUresult Library::managed(const std::string& name, uint64_t* address, uint64_t* size) {
  std::lock_guard lock(mutex_);
  std::shared_ptr<Module> module;
  if (!modules_.empty()) {
    module = modules_.begin()->second;
  } else {
    const CUresult result = module_locked(*devices().front()->primary(), &module);
    if (result != CUDA_SUCCESS) return result;
  }
  const exec::Symbol* symbol = module->symbol(name);
  if (symbol == nullptr || !symbol->managed) return CUDA_ERROR_NOT_FOUND;
  *address = symbol->address;
  *size = symbol->size;
  return CUDA_SUCCESS;
}

CUresult Library::module_locked(Context& context, std::shared_ptr<Module>* module) {
  const uint64_t id = context.id();
  auto found = modules_.find(id);
  if (found != modules_.end()) {
    *module = found->second;
    return CUDA_SUCCESS;
  }
  std::string log;
  const CUresult result = Module::link(context, code_, &managed_, &log, module);
  if (result != CUDA_SUCCESS) {
    LOG_ERROR("module", "%s", log.c_str());
    return result;
  }
  modules_.emplace(id, *module);
  context.at_teardown([weak = weak_from_this(), id] {
    if (auto self = weak.lock()) {
      std::lock_guard guard(self->mutex_);
      self->modules_.erase(id);
    }
  });
  return CUDA_SUCCESS;
}

void Library::unload() {
  std::unordered_map<std::string, std::shared_ptr<LibraryKernel>> kernels;
  std::unordered_map<uint64_t, std::shared_ptr<Module>> modules;
  ManagedVariables shared;
  {
    std::lock_guard lock(mutex_);
    kernels.swap(kernels_);
    modules.swap(modules_);
    std::swap(shared, managed_);
  }
  for (const auto& [name, kernel] : kernels) live<LibraryKernel>().remove(kernel->handle());
  for (const auto& [id, module] : modules) {
    if (live<Module>().remove(module->handle()) == nullptr) continue;
    [[maybe_unused]] const CUresult result =
        module->context().synchronize();  // a failed context is idle as well
    module->unload();
  }
  for (const auto& variable : shared.variables) {
    [[maybe_unused]] const CUresult result = free_device(variable.address, MemoryOwner::kLibrary);
    assert(result == CUDA_SUCCESS);
  }
}

}  // namespace tessera::softgpu