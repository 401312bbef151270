// Code that belongs to the process and is loaded into each context at its first use there.
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

#include "cuda/abi.h"
#include "softgpu/driver/module.h"
#include "softgpu/ptx/ast.h"

namespace tessera::softgpu {

class Library;

class LibraryKernel {
 public:
  LibraryKernel(std::shared_ptr<Library> library, std::string name);

  CUkernel handle() const { return reinterpret_cast<CUkernel>(handle_); }
  const std::string& name() const { return name_; }
  Library& library() const { return *library_; }
  // Settings for one device, kept whether or not the library is loaded there.
  std::shared_ptr<FunctionSettings> settings(int device_ordinal);
  // The function in `context`; loads the library there.
  CUresult function(Context& context, std::shared_ptr<Function>* function);

 private:
  const std::shared_ptr<Library> library_;
  const std::string name_;
  const uintptr_t handle_;
  std::mutex mutex_;
  std::unordered_map<int, std::shared_ptr<FunctionSettings>> settings_;
};

class Library : public std::enable_shared_from_this<Library> {
 public:
  explicit Library(ptx::Module code);
  // Unloads it from every context.
  void unload();
  Library(const Library&) = delete;
  Library& operator=(const Library&) = delete;

  CUlibrary handle() const { return reinterpret_cast<CUlibrary>(handle_); }
  const std::vector<std::string>& kernel_names() const { return names_; }
  // Null where there is none; the same one at each call.
  std::shared_ptr<LibraryKernel> kernel(const std::string& name);
  // Address and size of a managed variable; it belongs to the library, not to a context, and needs none.
  CUresult managed(const std::string& name, uint64_t* address, uint64_t* size);
  // The module in `context`, linked at the first call.
  CUresult module(Context& context, std::shared_ptr<Module>* module);

 private:
  CUresult module_locked(Context& context, std::shared_ptr<Module>* module);

  const ptx::Module code_;
  const uintptr_t handle_;
  std::vector<std::string> names_;
  std::mutex mutex_;
  std::unordered_map<std::string, std::shared_ptr<LibraryKernel>> kernels_;
  std::unordered_map<uint64_t, std::shared_ptr<Module>> modules_;  // by context id
  ManagedVariables managed_;                                       // shared by all modules
};

}  // namespace tessera::softgpu
