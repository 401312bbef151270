#include "common/populate.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <vector>

namespace tessera {
namespace {

const size_t kPage = static_cast<size_t>(sysconf(_SC_PAGESIZE));

class Populate : public ::testing::TestWithParam<int> {
 protected:
  static constexpr size_t kPages = 8;

  Populate()
      : memory_(static_cast<char*>(
            mmap(nullptr, kPages * kPage, PROT_READ | PROT_WRITE, MAP_ANONYMOUS | GetParam(), -1, 0))) {}
  ~Populate() override { munmap(memory_, kPages * kPage); }

  size_t pages_there() const {
    std::vector<unsigned char> there(kPages);
    EXPECT_EQ(mincore(memory_, kPages * kPage, there.data()), 0);
    return static_cast<size_t>(std::count_if(there.begin(), there.end(), [](auto page) { return page & 1; }));
  }

  char* const memory_;
};

TEST_P(Populate, MakesWholePagesAndNoOthers) {
  populate(memory_ + kPage + 1, 3 * kPage);
  const size_t made = pages_there();
  if (made == 0) GTEST_SKIP() << "this system has no such call";
  EXPECT_EQ(made, 2u);
}

TEST_P(Populate, LooksAtTheFirstPageOnly) {
  memory_[0] = 'x';
  populate(memory_, kPages * kPage);
  EXPECT_EQ(pages_there(), 1u);
  EXPECT_EQ(memory_[0], 'x');
}

TEST_P(Populate, ChangesNothingThatIsThere) {
  memory_[2 * kPage] = 'x';
  populate(memory_, kPages * kPage);
  EXPECT_EQ(memory_[2 * kPage], 'x');
}

TEST_P(Populate, LetsMemoryBeThatCannotBeWrittenTo) {
  mprotect(memory_, kPages * kPage, PROT_NONE);
  populate(memory_, kPages * kPage);
  EXPECT_EQ(pages_there(), 0u);
  populate(memory_, 1);
}

INSTANTIATE_TEST_SUITE_P(OfBothKinds, Populate, ::testing::Values(MAP_PRIVATE, MAP_SHARED));

}  // namespace
}  // namespace tessera
