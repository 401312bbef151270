// Code loaded into a context, and the functions in it.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

#include "cuda/abi.h"
#include "softgpu/exec/executor.h"
#include "softgpu/ptx/ast.h"

namespace tessera::softgpu {

class Context;
class Module;
class SurfaceReference;
class TextureReference;

// What a program may set for a function; shared by a CUkernel and the CUfunction it stands for on a device.
struct FunctionSettings {
  std::atomic<int> max_dynamic_shared_bytes{48 << 10};
  std::atomic<int> preferred_carveout{-1};
  std::atomic<int> cache_config{0};
  std::atomic<int> cluster_policy{0};
  std::atomic<int> non_portable_cluster{0};
  std::atomic<int> required_cluster[3] = {};
};

// Keeps its module, and that its context: what a call has looked up stays valid until the call ends.
// What launches from before CUDA 4.0 take from their function.
struct KeptLaunch {
  exec::Dim3 block{0, 0, 0};
  uint32_t shared_bytes = 0;
  size_t parameter_bytes = 0;
  std::vector<std::byte> parameters;
};

class Function {
 public:
  Function(std::shared_ptr<Module> module, std::string name, std::shared_ptr<FunctionSettings> settings);

  CUfunction handle() const { return reinterpret_cast<CUfunction>(handle_); }
  const std::string& name() const { return name_; }
  Module& module() const { return *module_; }
  FunctionSettings& settings() const { return *settings_; }
  // Decodes the kernel at the first call. The CUDA error and a log line where it holds something that is not
  // supported.
  CUresult load(std::shared_ptr<const exec::Kernel>* kernel);
  bool loaded() const;
  // Runs `body(KeptLaunch&)` while nobody else does.
  template <typename Body>
  CUresult with_kept_launch(Body&& body) {
    std::lock_guard lock(mutex_);
    return body(kept_);
  }

 private:
  const std::shared_ptr<Module> module_;
  const std::string name_;
  const uintptr_t handle_;
  const std::shared_ptr<FunctionSettings> settings_;
  mutable std::mutex mutex_;
  std::shared_ptr<const exec::Kernel> kernel_;
  KeptLaunch kept_;
};

// Managed variables that several modules of one library share: linking the same code asks for the same
// variables in the same order.
struct ManagedVariables {
  struct Variable {
    uint64_t address = 0;
    uint64_t size = 0;
  };
  std::vector<Variable> variables;
};

class Module : public std::enable_shared_from_this<Module> {
 public:
  // Links parsed code into `context`: places its variables. `log` gets what the JIT's error log shows. With
  // `shared`, managed variables are taken from there, and added to it; they outlive the module and keep their
  // values.
  static CUresult link(Context& context, const ptx::Module& code, ManagedVariables* shared, std::string* log,
                       std::shared_ptr<Module>* module);
  ~Module();
  // Frees its variables and forgets its functions; no kernel of it may run any more.
  void unload();
  Module(const Module&) = delete;
  Module& operator=(const Module&) = delete;

  CUmodule handle() const { return reinterpret_cast<CUmodule>(handle_); }
  Context& context() const { return *context_; }
  exec::Program& program() const { return *program_; }

  // The function of that name, the same one at each call; null where there is none.
  std::shared_ptr<Function> function(const std::string& name,
                                     std::shared_ptr<FunctionSettings> settings = nullptr);
  // Loads all of its functions, where CUDA_MODULE_LOADING is EAGER.
  CUresult load_if_eager();
  const std::vector<std::string>& function_names() const { return names_; }
  // Null where there is none.
  const exec::Symbol* symbol(const std::string& name) const;
  std::shared_ptr<TextureReference> texture_reference(const std::string& name) const;
  std::shared_ptr<SurfaceReference> surface_reference(const std::string& name) const;

 private:
  friend class ModuleMemory;
  explicit Module(std::shared_ptr<Context> context);

  const std::shared_ptr<Context> context_;
  const uintptr_t handle_;
  std::shared_ptr<exec::Program> program_;
  std::vector<uint64_t> variables_;  // device memory of this module
  // Since linking; never changed afterwards.
  std::unordered_map<std::string, std::shared_ptr<TextureReference>> texture_references_;
  std::unordered_map<std::string, std::shared_ptr<SurfaceReference>> surface_references_;
  std::vector<std::string> names_;
  std::mutex mutex_;
  std::unordered_map<std::string, std::shared_ptr<Function>> functions_;
};

// CUDA_MODULE_LOADING as it was when it was first asked for; lazy unless it says EAGER.
CUmoduleLoadingMode module_loading_mode();

// CUfunction, or CUkernel cast to it, in the current context. CUDA_ERROR_INVALID_HANDLE for anything else.
CUresult function_of(CUfunction handle, std::shared_ptr<Function>* function);

}  // namespace tessera::softgpu
