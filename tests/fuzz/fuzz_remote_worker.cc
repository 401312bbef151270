// A session's process that serves a client which sends what it likes: messages of every kind, to a driver
// that touches all that it is given (tests/fuzz/remote). Nothing is read or written where it should not be,
// and the session ends when its connection does.
//
// The input: eight bytes for the driver's answers, one that says whether both sides share memory and
// whether what is sent is kept, then the decisions of composer.h. make_remote_seeds makes some to begin with.
#include <cstdlib>
#include <filesystem>
#include <optional>
#include <string>

#include "cache/content_cache.h"
#include "remote/link/link.h"
#include "remote/transport/shared_area.h"
#include "remote/worker/worker.h"
#include "tests/fuzz/remote/composer.h"
#include "tests/fuzz/remote/fed_transport.h"
#include "tests/fuzz/remote/touching_driver.h"

namespace {

using namespace tessera;  // NOLINT(google-build-using-namespace): a program of its own
using namespace tessera::remote;

constexpr size_t kMostMessages = 64;
constexpr uint64_t kMostSent = 4 << 20;  // then the client has gone

// Memory that both sides see, one area each way. The client gives back at once what it is sent.
struct SharedMemory {
  AreaControl control[2] = {};
  std::vector<std::byte> slots[2] = {std::vector<std::byte>(kAreaBytes), std::vector<std::byte>(kAreaBytes)};
  SharedArea out{&control[0], slots[0].data()}, in{&control[1], slots[1].data()};

  void give_all_back() {
    for (uint32_t slot = 0; slot < kAreaSlots; ++slot) control[0].used[slot].store(0);
  }
};
SharedMemory& shared_memory() {
  static auto* memory = new SharedMemory;
  return *memory;
}

// What clients send to be kept: of all of them together, and little of it.
class Kept {
 public:
  static cache::ContentCache* content() {
    static Kept kept;
    return kept.cache_ ? &*kept.cache_ : nullptr;
  }
  Kept() {
    if (mkdtemp(folder_.data()) == nullptr) return;
    auto cache = cache::ContentCache::open({folder_, "a client", 1 << 20, 1 << 19});
    if (cache.ok()) cache_.emplace(std::move(*cache));
  }
  ~Kept() {
    cache_.reset();
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
  }

 private:
  std::string folder_ = std::filesystem::temp_directory_path() / "fuzz-content-XXXXXX";
  std::optional<cache::ContentCache> cache_;
};

class FuzzedClient final : public fuzz::FedTransport {
 public:
  FuzzedClient(fuzz::Decisions& decisions, bool has_area)
      : in_(decisions), composer_(decisions), has_area_(has_area) {
    shared_memory().give_all_back();
    composer_.hello(stream_);
    fuzz::put_frame(bytes_, fuzz::frame_of(FrameType::kStart, 0, {}), {});
  }
  SharedArea* area_out() override { return has_area_ ? &shared_memory().out : nullptr; }
  SharedArea* area_in() override { return has_area_ ? &shared_memory().in : nullptr; }

 private:
  bool make_more(std::vector<std::byte>& bytes) override {
    if (stream_.empty() && composer_.has_world_to_make()) {
      composer_.next(stream_);
    } else if (stream_.empty()) {
      if (in_.empty() || messages_ == kMostMessages) return false;
      composer_.next(stream_);
      ++messages_;
    }
    fuzz::put_data(bytes, offset_, stream_);
    offset_ += stream_.size();
    stream_.clear();
    return true;
  }
  bool heard(ByteSpan sent) override {
    composer_.learn(sent);
    if (has_area_) shared_memory().give_all_back();
    sent_ += sent.size();
    return sent_ <= kMostSent;
  }

  fuzz::Decisions& in_;
  fuzz::Composer composer_;
  std::vector<std::byte> stream_;
  size_t messages_ = 0;
  uint64_t offset_ = 0, sent_ = 0;
  const bool has_area_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  fuzz::Decisions decisions({data, size});
  fuzz::seed_driver(decisions.word(8));
  {
    const uint8_t how = decisions.byte();
    Link link(std::make_unique<FuzzedClient>(decisions, how % 2 != 0), {});
    WorkerOptions options;
    if (how % 4 >= 2) options.content = Kept::content();
    Worker worker(link, fuzz::touching_driver(), options);
    (void)worker.run();
    fuzz::join_host_functions();
  }
  fuzz::free_managed();
  return 0;
}
