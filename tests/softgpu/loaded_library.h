// A library opened by path, as tools do it, and its functions with the types of our declarations.
#pragma once

#include <dlfcn.h>
#include <gtest/gtest.h>

namespace tessera {

class LoadedLibrary {
 public:
  explicit LoadedLibrary(const char* path) : handle_(dlopen(path, RTLD_NOW | RTLD_LOCAL)) {
    EXPECT_NE(handle_, nullptr) << dlerror();
  }
  // Never closed: CUDA's libraries stay for the life of the process.

  void* symbol(const char* name) const { return dlsym(handle_, name); }
  template <typename Function>
  Function function(const char* name) const {
    void* found = symbol(name);
    EXPECT_NE(found, nullptr) << name;
    return reinterpret_cast<Function>(found);
  }

 private:
  void* const handle_;
};

// LOADED(library, cuInit)(0)
#define LOADED(library, name) (library).function<decltype(&::name)>(#name)

}  // namespace tessera
