// Whether memory that processes share may lie in huge pages here.
#pragma once

#include <string_view>

namespace tessera {

// By the system's setting (shmem_enabled of transparent_hugepage): as a whole, or where it is asked for.
bool shared_memory_may_be_huge();
// What that says of its text, which has the setting in effect in brackets: "always [advise] never".
bool allows_huge_pages(std::string_view shmem_enabled);

}  // namespace tessera
