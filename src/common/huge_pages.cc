#include "common/huge_pages.h"

#include "common/fd.h"

namespace tessera {

bool allows_huge_pages(std::string_view shmem_enabled) {
  for (const std::string_view setting : {"[always]", "[within_size]", "[advise]", "[force]"}) {
    if (shmem_enabled.find(setting) != std::string_view::npos) return true;
  }
  return false;
}

bool shared_memory_may_be_huge() {
  constexpr size_t kMost = 4096;
  const auto text = read_file("/sys/kernel/mm/transparent_hugepage/shmem_enabled", kMost);
  return text.ok() && allows_huge_pages(*text);
}

}  // namespace tessera
