// Programs on a GPU of which more is promised than there is: what one has, another needs.
//
//   driver_beside_others hold MIB   holds it in a pool of its own, says "held", and ends with its input
//   driver_beside_others free MIB   allocates and frees it, has 4 MiB from then on, says "held", and ends
//   with its input driver_beside_others ask MIB    allocates it and says what came of that
#include <algorithm>
#include <string>

#include "driver_check.h"

namespace {

void wait_for_end_of_input() {
  std::puts("held");
  std::fflush(stdout);
  while (std::getchar() != EOF) {
  }
}

void hold(size_t bytes) {
  CUmemPoolProps props = {};
  props.allocType = CU_MEM_ALLOCATION_TYPE_PINNED;
  props.location = {CU_MEM_LOCATION_TYPE_DEVICE, 0};
  CUmemoryPool pool = nullptr;
  CU_CHECK(cuMemPoolCreate(&pool, &props));
  CUdeviceptr memory = 0;
  CU_CHECK(cuMemAllocFromPoolAsync(&memory, bytes, pool, nullptr));
  CU_CHECK(cuMemsetD8_v2(memory, 0x5a, bytes));
  wait_for_end_of_input();
  CU_CHECK(cuMemFreeAsync(memory, nullptr));
  CU_CHECK(cuCtxSynchronize());
  CU_CHECK(cuMemPoolDestroy(pool));
}

// What a program that has just freed much has still is the pool's: others may have it.
void free_most(size_t bytes) {
  constexpr size_t kKept = size_t{4} << 20;
  CUdeviceptr kept = 0, freed = 0;
  CU_CHECK(cuMemAlloc_v2(&kept, kKept));
  CU_CHECK(cuMemsetD8_v2(kept, 0x5a, kKept));
  CU_CHECK(cuMemAlloc_v2(&freed, bytes));
  CU_CHECK(cuMemFree_v2(freed));
  wait_for_end_of_input();
  std::vector<uint8_t> found(kKept);
  CU_CHECK(cuMemcpyDtoH_v2(found.data(), kept, kKept));
  REQUIRE(std::count(found.begin(), found.end(), 0x5a) == static_cast<long>(kKept), "some of it has changed");
}

}  // namespace

int main(int argc, char** argv) {
  REQUIRE(argc == 3, "usage: driver_beside_others hold|free|ask MIB");
  const check::Context context;
  const size_t bytes = std::stoul(argv[2]) << 20;
  if (std::string(argv[1]) == "hold") {
    hold(bytes);
    return check::pass("held %zu bytes", bytes);
  }
  if (std::string(argv[1]) == "free") {
    free_most(bytes);
    return check::pass("freed %zu bytes", bytes);
  }
  CUdeviceptr memory = 0;
  const CUresult result = cuMemAlloc_v2(&memory, bytes);
  return check::pass("allocation of %zu bytes: %d", bytes, static_cast<int>(result));
}
