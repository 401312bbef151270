// Pages to be moved: what the codec costs beside the bare libraries and memcpy, and how close the adaptive
// choice comes to the best encoding, by the measure of memory/codec/encoding_choice.h.
//
//   bench_page_codec [--rounds N] [--quick] [--bandwidth MB/S]...
#include <lz4.h>
#include <snappy.h>
#include <zstd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <numeric>
#include <random>
#include <string>
#include <vector>

#include "bench/median.h"
#include "memory/codec/adaptive_codec.h"

namespace {

using namespace tessera;
using namespace tessera::memory;
using Bytes = std::vector<uint8_t>;

uint64_t now() { return static_cast<uint64_t>(std::chrono::steady_clock::now().time_since_epoch().count()); }

void require(bool ok, const char* what) {
  if (ok) return;
  std::fprintf(stderr, "bench_page_codec: %s failed\n", what);
  std::exit(1);
}

void put_bf16(uint8_t* to, float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, 4);
  const auto upper = static_cast<uint16_t>((bits + 0x8000) >> 16);
  std::memcpy(to, &upper, 2);
}

// Words of a vocabulary, the common ones often, as in any language.
Bytes text(size_t bytes, std::mt19937_64& random) {
  std::vector<std::string> words(4000);
  for (std::string& word : words) {
    for (uint64_t length = 2 + random() % 9; length > 0; --length) {
      word += "etaoinshrdlucmfwypvbgkqjxz"[std::min(random() % 26, random() % 26)];
    }
  }
  Bytes made;
  while (made.size() < bytes) {
    const double rank = std::pow(4000.0, std::uniform_real_distribution<>(0, 1)(random)) - 1;
    const std::string& word = words[static_cast<size_t>(rank)];
    made.insert(made.end(), word.begin(), word.end());
    made.push_back(random() % 12 == 0 ? '\n' : ' ');
  }
  made.resize(bytes);
  return made;
}

Bytes bf16_weights(size_t bytes, std::mt19937_64& random) {
  std::normal_distribution<float> weight(0, 0.02f);
  Bytes made(bytes);
  for (size_t at = 0; at < bytes; at += 2) put_bf16(made.data() + at, weight(random));
  return made;
}

// Keys and values of attention: channels with means and spreads of their own, alike from token to token.
Bytes kv_like(size_t bytes, std::mt19937_64& random) {
  constexpr size_t kChannels = 128;
  std::normal_distribution<float> normal(0, 1);
  std::vector<float> mean(kChannels), spread(kChannels);
  for (size_t channel = 0; channel < kChannels; ++channel) {
    mean[channel] = normal(random) * 2;
    spread[channel] = std::exp(normal(random)) * 0.2f;
  }
  Bytes made(bytes);
  for (size_t at = 0; at < bytes; at += 2) {
    const size_t channel = at / 2 % kChannels;
    put_bf16(made.data() + at, mean[channel] + spread[channel] * normal(random));
  }
  return made;
}

Bytes random_bytes(size_t bytes, std::mt19937_64& random) {
  Bytes made(bytes);
  for (uint8_t& byte : made) byte = static_cast<uint8_t>(random());
  return made;
}

struct DataClass {
  const char* name;
  std::function<Bytes(size_t, std::mt19937_64&)> make;
};

const std::vector<DataClass>& data_classes() {
  static const std::vector<DataClass> classes = {
      {"zeros", [](size_t bytes, std::mt19937_64&) { return Bytes(bytes); }},
      {"text", text},
      {"bf16 weights", bf16_weights},
      {"kv-like", kv_like},
      {"random", random_bytes}};
  return classes;
}

std::vector<Bytes> pages_of(const DataClass& data, size_t page_bytes, size_t count) {
  std::mt19937_64 random(1);
  std::vector<Bytes> pages;
  pages.reserve(count);
  for (size_t i = 0; i < count; ++i) pages.push_back(data.make(page_bytes, random));
  return pages;
}

const char* name_of(Compression compression) {
  constexpr const char* kNames[] = {"none", "LZ4", "ZSTD", "Snappy", "zeros"};
  return kNames[static_cast<size_t>(compression)];
}

// The bare call that an encoding stands for, with what the library lets be kept between calls.
class Bare {
 public:
  explicit Bare(size_t page_bytes)
      : state_(static_cast<size_t>(LZ4_sizeofState())), room_(Compressor::bound(page_bytes)) {}
  ~Bare() {
    ZSTD_freeCCtx(zstd_);
    ZSTD_freeDCtx(unzstd_);
  }
  Bare(const Bare&) = delete;
  Bare& operator=(const Bare&) = delete;

  size_t encode(Compression compression, const Bytes& page) {
    const auto* from = reinterpret_cast<const char*>(page.data());
    auto* to = reinterpret_cast<char*>(room_.data());
    const auto bytes = static_cast<int>(page.size()), room = static_cast<int>(room_.size());
    size_t made = 0;
    switch (compression) {
      case Compression::kLz4:
        return static_cast<size_t>(LZ4_compress_fast_extState(state_.data(), from, to, bytes, room, 1));
      case Compression::kZstd:
        return ZSTD_compressCCtx(zstd_, to, room_.size(), from, page.size(), 1);
      case Compression::kSnappy:
        snappy::RawCompress(from, page.size(), to, &made);
        return made;
      default:
        std::memcpy(to, from, page.size());
        return page.size();
    }
  }
  bool decode(Compression compression, size_t stored, Bytes& page) {
    const auto* from = reinterpret_cast<const char*>(room_.data());
    auto* to = reinterpret_cast<char*>(page.data());
    switch (compression) {
      case Compression::kLz4:
        return LZ4_decompress_safe(from, to, static_cast<int>(stored), static_cast<int>(page.size())) > 0;
      case Compression::kZstd:
        return ZSTD_decompressDCtx(unzstd_, to, page.size(), from, stored) == page.size();
      case Compression::kSnappy:
        return snappy::RawUncompress(from, stored, to);
      default:
        std::memcpy(to, from, stored);
        return true;
    }
  }

 private:
  std::vector<char> state_;
  ZSTD_CCtx* const zstd_ = ZSTD_createCCtx();
  ZSTD_DCtx* const unzstd_ = ZSTD_createDCtx();
  Bytes room_;
};

// What is measured in turns on the same pages, each as often first as last: who comes later finds the page in
// the processor's cache. Sums without the slowest fifth: what disturbed them.
class Contest {
 public:
  void add(std::function<double(const Bytes&)> nanoseconds) {
    entrants_.push_back({std::move(nanoseconds), {}});
  }
  void run(const std::vector<Bytes>& pages, size_t turns) {
    for (size_t turn = 0; turn < turns; ++turn) {
      const size_t first = turn / pages.size();
      for (size_t i = 0; i < entrants_.size(); ++i) {
        Entrant& entrant = entrants_[(first + i) % entrants_.size()];
        entrant.times.push_back(entrant.nanoseconds(pages[turn % pages.size()]));
      }
    }
  }
  double undisturbed(size_t entrant) const {
    std::vector<double> times = entrants_[entrant].times;
    std::sort(times.begin(), times.end());
    times.resize(times.size() - times.size() / 5);
    return std::accumulate(times.begin(), times.end(), 0.0) / static_cast<double>(times.size());
  }
  double all(size_t entrant) const {
    const std::vector<double>& times = entrants_[entrant].times;
    return std::accumulate(times.begin(), times.end(), 0.0) / static_cast<double>(times.size());
  }

 private:
  struct Entrant {
    std::function<double(const Bytes&)> nanoseconds;
    std::vector<double> times;
  };
  std::vector<Entrant> entrants_;
};

void wrapper_beside_bare(const DataClass& data, Compression compression, size_t page_bytes, size_t turns) {
  Bare bare(page_bytes);
  PageCodec plain;
  auto cipher = PageCipher::create();
  require(cipher.ok(), "a cipher");
  PageCodec checked(Protection::kChecksum), sealed(Protection::kSealed, cipher->get());
  Bytes back(page_bytes), room(PageCodec::bound(page_bytes));
  Contest contest;
  contest.add([&](const Bytes& page) {
    const uint64_t begin = now();
    const size_t stored = bare.encode(compression, page);
    require(bare.decode(compression, stored, back), "the bare library");
    return static_cast<double>(now() - begin);
  });
  for (PageCodec* codec : {&plain, &checked, &sealed}) {
    contest.add([&, codec](const Bytes& page) {
      const uint64_t begin = now();
      const Result<size_t> stored = codec->encode({compression, 1}, page, room);
      require(stored.ok() && codec->decode(std::span(room).first(*stored), back).ok(), "the codec");
      return static_cast<double>(now() - begin);
    });
  }
  contest.run(pages_of(data, page_bytes, 8), turns);
  const double floor = contest.undisturbed(0);
  std::printf("%-13s %-7s %5zu KiB  bare %8.1f us  codec x%.3f  with checksum x%.3f  sealed x%.3f\n",
              data.name, compression == Compression::kNone ? "memcpy" : name_of(compression),
              page_bytes >> 10, floor / 1000, contest.undisturbed(1) / floor, contest.undisturbed(2) / floor,
              contest.undisturbed(3) / floor);
}

double moved(double nanoseconds, size_t stored, double bandwidth) {
  return nanoseconds + static_cast<double>(stored) * 1e9 / bandwidth;
}

struct Best {
  PageEncoding encoding;
  double nanoseconds = 0;  // of a page, by the measure
  double stored = 0;       // share of it
};

// Every encoding on every page; the best is best for the class.
Best best_fixed(const std::vector<Bytes>& pages, double bandwidth) {
  PageCodec codec;
  Best best;
  Bytes back(pages[0].size()), room(PageCodec::bound(pages[0].size()));
  for (const PageEncoding encoding : kPageEncodings) {
    std::vector<double> times;
    size_t stored_bytes = 0;
    for (const Bytes& page : pages) {
      const uint64_t begin = now();
      const Result<size_t> stored = codec.encode(encoding, page, room);
      require(stored.ok() && codec.decode(std::span(room).first(*stored), back).ok(), "the codec");
      times.push_back(moved(static_cast<double>(now() - begin), *stored, bandwidth));
      stored_bytes += *stored;
    }
    const double nanoseconds = bench::median(times);
    if (best.nanoseconds != 0 && nanoseconds >= best.nanoseconds) continue;
    best = {encoding, nanoseconds,
            static_cast<double>(stored_bytes) / static_cast<double>(pages.size() * pages[0].size())};
  }
  return best;
}

void adaptive_beside_best(const DataClass& data, size_t page_bytes, size_t turns, double bandwidth) {
  const std::vector<Bytes> pages = pages_of(data, page_bytes, 16);
  const Best best = best_fixed(pages, bandwidth);
  AdaptiveCodec adaptive(bandwidth, now);
  PageCodec fixed;
  Bytes back(page_bytes), room(PageCodec::bound(page_bytes));
  Contest contest;
  const auto enter = [&](auto& codec, auto encode) {
    contest.add([&, encode](const Bytes& page) {
      const uint64_t begin = now();
      const Result<size_t> stored = encode(page);
      require(stored.ok() && codec.decode(std::span(room).first(*stored), back).ok(), "a codec");
      return moved(static_cast<double>(now() - begin), *stored, bandwidth);
    });
  };
  enter(fixed, [&](const Bytes& page) { return fixed.encode(best.encoding, page, room); });
  enter(adaptive, [&](const Bytes& page) { return adaptive.encode(page, room); });
  contest.run(pages, turns);
  std::printf(
      "%-13s %5zu KiB at %5.0f MB/s  best: %-6s planes %u, stored %5.1f %%  adaptive: %5.1f %% of it "
      "(%5.1f %% with all that its %zu pages' trials took)\n",
      data.name, page_bytes >> 10, bandwidth / 1e6, name_of(best.encoding.compression),
      best.encoding.plane_width, 100 * best.stored, 100 * contest.undisturbed(0) / contest.undisturbed(1),
      100 * contest.all(0) / contest.all(1), turns);
}

}  // namespace

int main(int argc, char** argv) {
  bool quick = false;
  std::vector<double> bandwidths;
  int rounds = 3;
  for (int i = 1; i < argc; ++i) {
    if (std::strcmp(argv[i], "--quick") == 0) {
      quick = true;
    } else if (std::strcmp(argv[i], "--bandwidth") == 0 && i + 1 < argc) {
      bandwidths.push_back(std::max(std::atof(argv[++i]), 1.0) * 1e6);
    } else if (std::strcmp(argv[i], "--rounds") == 0 && i + 1 < argc) {
      rounds = std::max(std::atoi(argv[++i]), 1);
    } else {
      std::fprintf(stderr, "usage: bench_page_codec [--rounds N] [--quick] [--bandwidth MB/S]...\n");
      return 2;
    }
  }
  if (bandwidths.empty()) bandwidths = {50e6, 500e6, 5e9};
  for (const size_t page_bytes : {size_t{64} << 10, size_t{2} << 20}) {
    if (quick && page_bytes > 64 << 10) continue;
    const size_t turns = quick ? 20 : static_cast<size_t>(rounds) * (page_bytes > 64 << 10 ? 100 : 1000);
    for (const DataClass& data : data_classes()) {
      if (std::strcmp(data.name, "zeros") == 0) continue;  // no library is called for them
      for (const Compression compression :
           {Compression::kNone, Compression::kLz4, Compression::kZstd, Compression::kSnappy}) {
        wrapper_beside_bare(data, compression, page_bytes, turns);
      }
    }
    for (const double bandwidth : bandwidths) {
      for (const DataClass& data : data_classes()) {
        adaptive_beside_best(data, page_bytes, turns, bandwidth);
      }
    }
  }
}
