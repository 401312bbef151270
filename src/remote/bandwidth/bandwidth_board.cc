#include "remote/bandwidth/bandwidth_board.h"

#include <algorithm>

namespace tessera::remote {
namespace {

constexpr uint64_t kSecondNs = 1'000'000'000;
constexpr uint64_t kHeadroom = 1'000'000;  // bytes a second beyond what somebody has used: to begin with

}  // namespace

void BandwidthBoard::add(Key key, const std::string& identity, BandwidthPage* page) {
  sessions_.emplace(key, Session{identity, page, {}});
}

// Who was held up wants all there is; who was not may want more next time.
uint64_t BandwidthBoard::wanted(Seen& seen, BandwidthPage::OneWay& page, uint64_t elapsed_ns) {
  const Seen before = seen;
  // The session may write what it likes there: it is told less, or has its ceiling, as others do.
  seen = {page.gone.load(std::memory_order_relaxed), page.held_up.load(std::memory_order_relaxed)};
  if (seen.held_up != before.held_up) return UINT64_MAX;
  const auto rate =
      static_cast<unsigned __int128>(seen.gone - before.gone) * kSecondNs / std::max<uint64_t>(elapsed_ns, 1);
  return static_cast<uint64_t>(std::min<unsigned __int128>(2 * rate + kHeadroom, UINT64_MAX));
}

void BandwidthBoard::share(const BandwidthOptions& options, uint64_t now_ns) {
  const uint64_t elapsed_ns = now_ns - std::min(then_ns_, now_ns);
  then_ns_ = now_ns;
  for (const Way way : kBothWays) share(options, way, elapsed_ns);
}

void BandwidthBoard::share(const BandwidthOptions& options, Way way, uint64_t elapsed_ns) {
  const uint64_t total = way == Way::kDownload ? options.download : options.upload;
  std::map<std::string, size_t> places;
  std::vector<TenantClaim> claims;
  std::vector<std::vector<BandwidthPage::OneWay*>> pages;
  for (auto& [key, session] : sessions_) {
    const auto [place, is_new] = places.try_emplace(session.identity, claims.size());
    if (is_new) {
      const auto found = options.identities.find(session.identity);
      const BandwidthTerms terms = found == options.identities.end() ? BandwidthTerms() : found->second;
      claims.push_back({way == Way::kDownload ? terms.download : terms.upload, {}});
      pages.emplace_back();
    }
    BandwidthPage::OneWay& page = session.page->way(way);
    claims[place->second].sessions.push_back(
        {{}, wanted(session.seen[way == Way::kUpload], page, elapsed_ns)});
    pages[place->second].push_back(&page);
  }
  const auto rates = share_rates(total == 0 ? UINT64_MAX : total, claims);
  for (size_t i = 0; i < claims.size(); ++i) {
    const bool limited = total != 0 || claims[i].terms.ceiling != UINT64_MAX;
    for (size_t j = 0; j < rates[i].size(); ++j)
      pages[i][j]->rate.store(limited ? rates[i][j] : BandwidthPage::kUnlimited, std::memory_order_relaxed);
  }
}

}  // namespace tessera::remote
