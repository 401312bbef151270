// A program that closes every descriptor it does not know, as daemons do, and opens files of its own under
// the freed numbers. What the driver was granted goes on working, nothing of the driver's is ever written
// into those files, and a request that cannot be served any more is refused with CUDA's error.
#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <string>

#include "driver_check.h"

extern "C" const char memory_ptx[];

namespace {

constexpr int kLast = 1023;
const std::string kContents = "the program's own\n";

int file_with_contents() {
  char path[] = "/tmp/closed_fds.XXXXXX";
  const int file = mkstemp(path);
  REQUIRE(file >= 0, "cannot make a file: %d", errno);
  unlink(path);
  REQUIRE(write(file, kContents.data(), kContents.size()) == static_cast<ssize_t>(kContents.size()), "write");
  return file;
}

// Every number up to kLast names the program's file from here on.
int take_all_numbers() {
  for (int number = 3; number <= kLast; ++number) close(number);
  const int file = file_with_contents();
  for (int number = 3; number <= kLast; ++number) {
    if (number != file) (void)dup2(file, number);  // fails beyond the limit of descriptors
  }
  return file;
}

void check_file(int file) {
  char contents[256] = {};
  const ssize_t size = pread(file, contents, sizeof contents, 0);
  REQUIRE(size == static_cast<ssize_t>(kContents.size()) && contents == kContents,
          "the program's file was written to: %zd bytes", size);
  REQUIRE(lseek(file, 0, SEEK_CUR) == static_cast<off_t>(kContents.size()),
          "the program's file was read or moved");
}

void work(const check::Module& module) {
  constexpr uint32_t kCount = 1000;
  check::DeviceArray<uint32_t> values(std::vector<uint32_t>(kCount, 7));
  check::launch(module.function("add_index"), {8}, {128}, nullptr, values.get(), kCount);
  const std::vector<uint32_t> got = values.download();
  for (uint32_t i = 0; i < kCount; ++i) REQUIRE(got[i] == 7 + i, "values[%u] is %u", i, got[i]);
}

// Served or refused; never another error, and never a crash.
int ask_for_much() {
  constexpr size_t kStep = 32u << 20;
  std::vector<CUdeviceptr> blocks;
  for (int i = 0; i < 8; ++i) {
    CUdeviceptr block = 0;
    const CUresult result = cuMemAlloc_v2(&block, kStep);
    if (result == CUDA_ERROR_OUT_OF_MEMORY) break;
    CU_CHECK(result);
    blocks.push_back(block);
  }
  for (const CUdeviceptr block : blocks) CU_CHECK(cuMemFree_v2(block));
  return static_cast<int>(blocks.size());
}

}  // namespace

int main() {
  const check::Context context;
  const check::Module module(memory_ptx);
  CUdeviceptr before = 0;
  CU_CHECK(cuMemAlloc_v2(&before, 1 << 20));
  const int file = take_all_numbers();
  work(module);
  const int served = ask_for_much();
  CU_CHECK(cuMemFree_v2(before));
  work(module);
  // A child forked now must leave the numbers alone as well.
  const pid_t child = fork();
  if (child == 0) {
    check_file(file);
    _exit(0);
  }
  REQUIRE(child > 0, "fork: %d", errno);
  check_file(file);
  return check::pass("kernels and memory as granted; %d of 8 further blocks of 32 MiB", served);
}
