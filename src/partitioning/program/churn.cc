#include "partitioning/program/churn.h"

#include <algorithm>
#include <map>
#include <random>

namespace tessera::partitioning {
namespace {

using scheduling::kWhole;

constexpr double kMeanLife = 1;  // of a slice; the unit of time
constexpr double kResizesPerLife = 0.5;

// What requests ask for, in thousandths of a GPU: many small, some odd, few large.
constexpr uint32_t kShares[] = {0, 50, 100, 125, 125, 125, 200, 250, 250, 250, 300, 333, 375, 500, 500, 750};
constexpr uint32_t kMemories[] = {31, 62, 62, 125, 125, 125, 200, 250, 250, 375, 500, 750};

template <size_t N>
double mean_of(const uint32_t (&values)[N]) {
  double sum = 0;
  for (uint32_t value : values) sum += value;
  return sum / N;
}

class Churn {
 public:
  Churn(const ChurnOptions& options, const ChurnPolicy& policy)
      : options_(options), policy_(policy), dice_(options.seed), gpus_(options.gpus), owners_(options.gpus) {
    for (GpuState& gpu : gpus_) {
      gpu.memory_bytes = options.memory_bytes;
      gpu.sm_count = options.sms;
      if (options.space) gpu.control = SmControl::kSets;
    }
  }

  ChurnResult run() {
    // Offered load = rate * life * mean share / GPUs.
    const double rate = options_.load * options_.gpus / (kMeanLife * mean_of(kShares) / kWhole);
    double next_arrival = 0;
    while (result_.arrivals < options_.arrivals && result_.broken.ok()) {
      const bool arrives = lives_.empty() || next_arrival <= lives_.begin()->first;
      advance(arrives ? next_arrival : lives_.begin()->first);
      if (arrives) {
        arrive();
        next_arrival = now_ + after(1 / rate);
      } else {
        change(lives_.begin());
      }
      result_.broken = check();
    }
    average();
    return result_;
  }

 private:
  struct Life {
    uint64_t slice;
    uint32_t gpu;
    double end;
  };
  using Lives = std::multimap<double, Life>;  // by when it next changes or ends

  double after(double mean) { return std::exponential_distribution<double>(1 / mean)(dice_); }
  template <size_t N>
  uint32_t one_of(const uint32_t (&values)[N]) {
    return values[dice_() % N];
  }

  void advance(double to) {
    const double passed = to - now_;
    for (const GpuState& gpu : gpus_) {
      uint32_t promised = 0, beyond = 0;
      for (const Part& part : gpu.parts) {
        promised += part.share_permille;
        const uint32_t own = part.sms.count() * kWhole / gpu.sm_count;
        beyond += own - std::min(own, part.share_permille);
      }
      result_.promised_compute += passed * promised / kWhole;
      result_.held_beyond_promise += passed * beyond / kWhole;
      result_.promised_memory += passed * static_cast<double>(gpu.memory_bytes - gpu.unreserved_bytes()) /
                                 static_cast<double>(gpu.memory_bytes);
      result_.whole_gpus += gpu.parts.empty() ? passed : 0;
    }
    now_ = to;
  }

  void average() {
    if (now_ == 0) return;
    result_.promised_compute /= now_ * options_.gpus;
    result_.promised_memory /= now_ * options_.gpus;
    result_.held_beyond_promise /= now_ * options_.gpus;
    result_.whole_gpus /= now_;
  }

  void note(uint64_t value) { result_.hash = (result_.hash ^ value) * 0x100000001b3; }

  ComputeSpec compute_of(uint32_t share) const {
    ComputeSpec compute;
    compute.share_permille = share;
    compute.mode = share == 0 ? SmMode::kAuto : policy_.mode;
    return compute;
  }

  void arrive() {
    ++result_.arrivals;
    PartRequest request;
    request.memory_bytes = options_.memory_bytes / kWhole * one_of(kMemories);
    request.compute = compute_of(one_of(kShares));
    const double end = now_ + after(kMeanLife);
    const double change_at = std::min(end, now_ + after(kMeanLife / kResizesPerLife));
    auto place = choose_gpu(gpus_, request, policy_.packing);
    note(place.ok() ? place->gpu + 1 : 0);
    if (!place.ok()) {
      ++result_.refused;
      return;
    }
    for (uint64_t word : place->sms.words()) note(word);
    result_.in_space += place->sms.empty() ? 0 : 1;
    gpus_[place->gpu].parts.push_back({request.memory_bytes, request.compute.share_permille, place->sms});
    owners_[place->gpu].push_back(++last_slice_);
    lives_.emplace(change_at, Life{last_slice_, place->gpu, end});
  }

  // It ends, or asks for another share where it is.
  void change(Lives::iterator at) {
    const Life life = at->second;
    const bool ends = at->first >= life.end;
    lives_.erase(at);
    GpuState& gpu = gpus_[life.gpu];
    std::vector<uint64_t>& owners = owners_[life.gpu];
    const auto index = std::find(owners.begin(), owners.end(), life.slice) - owners.begin();
    Part part = gpu.parts[static_cast<size_t>(index)];
    gpu.parts.erase(gpu.parts.begin() + index);
    owners.erase(owners.begin() + index);
    if (ends) return;
    resize(gpu, life.gpu, part);
    gpu.parts.push_back(part);
    owners.push_back(life.slice);
    lives_.emplace(std::min(life.end, now_ + after(kMeanLife / kResizesPerLife)), life);
  }

  void resize(const GpuState& gpu, uint32_t index, Part& part) {
    const ComputeSpec compute = compute_of(one_of(kShares));
    auto sms = plan_sms(gpu, index, compute, part.sms);
    ++result_.resizes;
    note(sms.ok());
    if (!sms.ok()) {
      ++result_.resizes_refused;
      return;
    }
    part.share_permille = compute.share_permille;
    part.sms = *sms;
  }

  Status check() const {
    for (const GpuState& gpu : gpus_) {
      IndexSet owned;
      uint64_t reserved = 0;
      for (const Part& part : gpu.parts) {
        if (part.sms.intersects(owned)) return Status(Code::kInternal, "an SM is two slices' own");
        owned |= part.sms;
        reserved += part.reserved_bytes;
      }
      if (reserved > gpu.memory_bytes) {
        return Status(Code::kInternal, "more memory is promised than there is");
      }
      if (gpu.promised_in_time_permille() > gpu.shared_permille()) {
        return Status(Code::kInternal, "more is promised in time than the SMs hold that are nobody's own");
      }
    }
    return Status();
  }

  const ChurnOptions options_;
  const ChurnPolicy policy_;
  std::mt19937_64 dice_;
  std::vector<GpuState> gpus_;
  std::vector<std::vector<uint64_t>> owners_;  // of each GPU's parts
  Lives lives_;
  uint64_t last_slice_ = 0;
  double now_ = 0;
  ChurnResult result_;
};

}  // namespace

ChurnResult run_churn(const ChurnOptions& options, const ChurnPolicy& policy) {
  return Churn(options, policy).run();
}

}  // namespace tessera::partitioning
