#include "remote/bandwidth/bandwidth_page.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <new>

namespace tessera::remote {
namespace {

size_t page_bytes() { return static_cast<size_t>(sysconf(_SC_PAGESIZE)); }

}  // namespace

void UnmapBandwidthPage::operator()(BandwidthPage* page) const { munmap(page, page_bytes()); }

Result<SharedBandwidthPage> make_bandwidth_page() {
  static_assert(sizeof(BandwidthPage) <= 4096);
  void* const memory = mmap(nullptr, page_bytes(), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return Status::from_errno(errno, "cannot make a page of shared memory");
  return SharedBandwidthPage(new (memory) BandwidthPage);
}

void keep_from_later_forks(BandwidthPage* page) { (void)madvise(page, page_bytes(), MADV_DONTFORK); }

}  // namespace tessera::remote
