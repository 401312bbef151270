// Compares our declarations of the driver's types with the toolkit's, type by type.
#include "cuda/abi_layout.h"

#include <cstdio>

int main() {
  const auto& ours = layout_ours();
  const auto& theirs = layout_toolkit();
  int wrong = 0;
  for (size_t i = 0; i < ours.size(); ++i) {
    if (ours[i].size == theirs[i].size && ours[i].align == theirs[i].align) continue;
    std::printf("%s: ours %zu bytes (align %zu), the toolkit's %zu (align %zu)\n", ours[i].name, ours[i].size,
                ours[i].align, theirs[i].size, theirs[i].align);
    ++wrong;
  }
  std::printf("%zu types compared, %d differ\n", ours.size(), wrong);
  return wrong == 0 ? 0 : 1;
}
