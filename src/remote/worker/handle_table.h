// The driver's handles of one session, and the ids that the client has for them.
#pragma once

#include <cstdint>
#include <deque>
#include <mutex>
#include <unordered_map>
#include <vector>

#include "remote/wire/handle_id.h"

namespace tessera::remote {

// Safe from any thread.
class HandleTable {
 public:
  // The driver's handle, or 0 where the client has none such.
  uint64_t find(uint64_t id) const;
  // The id of the driver's handle; a new one where it is new, and 0 where there are kMost already. `parent`:
  // whose end is its end (0: nobody's).
  uint64_t id_of(HandleKind kind, uint64_t real, uint64_t parent);
  // Takes a client's id for the driver's handle; false where the id cannot be used.
  bool bind(uint64_t id, uint64_t real, uint64_t parent);
  // From here on it has another id, which nothing has had in this session; false where that cannot be.
  bool rename(uint64_t from, uint64_t to);
  // It is gone, and what came from it.
  void forget(uint64_t id);
  // It ends with another from here on.
  void move_below(uint64_t id, uint64_t parent);
  // One of the references to an allocation is gone: each id_of() was one. Mapped, it may come back under its
  // old name, so that the last kMostReleased of them are kept.
  void release(uint64_t id);
  static constexpr size_t kMostReleased = 4096;
  // What each has of the driver takes more than its place here: no program comes to so many.
  static constexpr size_t kMost = 1 << 20;
  size_t size() const;
  // Ids that are given from here on have numbers from `first` on. Before any has been given.
  void begin_at(uint64_t first);

 private:
  struct Entry {
    uint64_t real = 0;
    uint64_t parent = 0;
    uint64_t references = 1;
    std::vector<uint64_t> children;
  };
  struct Real {
    HandleKind kind;
    uint64_t handle;
    bool operator==(const Real&) const = default;
  };
  struct RealHash {
    size_t operator()(const Real& real) const {
      return std::hash<uint64_t>()(real.handle * 31 + static_cast<uint64_t>(real.kind));
    }
  };

  void add(uint64_t id, uint64_t real, uint64_t parent);
  void forget_one(uint64_t id);
  void forget_all_of(uint64_t id);

  mutable std::mutex lock_;
  std::unordered_map<uint64_t, Entry> entries_;
  std::unordered_map<Real, uint64_t, RealHash> ids_;
  std::deque<uint64_t> released_;
  uint64_t next_number_ = 1;
};

}  // namespace tessera::remote
