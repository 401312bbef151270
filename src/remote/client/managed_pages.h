// Addresses of the program that managed memory has, which a server chooses: nothing is put where the program
// has anything else. Parts of memory may share a page.
#pragma once

#include <cstdint>
#include <map>
#include <mutex>

namespace tessera::remote {

// Safe from any thread.
class ManagedPages {
 public:
  // Zeros, where no part had the page before. False where the program has something else, or another part
  // lies: nothing has been done then.
  bool add(uint64_t address, uint64_t bytes);
  // Exactly what was added; pages that no other part is in are the program's no more.
  void remove(uint64_t address);

 private:
  struct Gap {
    uint64_t begin, end;
  };
  // Calls `each` with what of [begin, end), which are pages, no part is in, until that is false.
  template <typename Each>
  bool each_gap(uint64_t begin, uint64_t end, Each each) const;

  std::mutex lock_;
  std::map<uint64_t, uint64_t> parts_;  // ends by begins; none overlap
};

// The process's.
ManagedPages& managed_pages();

}  // namespace tessera::remote
