#include "node/http_api.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <limits>

#include "common/strings.h"
#include "node/event_json.h"
#include "node/http_assets.h"
#include "node/slice_facts.h"
#include "node/version.h"

extern "C" const char openapi_json[];  // src/node/openapi.json, zero-terminated

namespace tessera::node {
namespace {

constexpr const char* kJsonType = "application/json";
constexpr const char* kMetricsType = "text/plain; version=0.0.4; charset=utf-8";
constexpr std::string_view kApiPrefix = "/api/v1/";

std::string host_name() {
  std::array<char, 256> name{};
  return gethostname(name.data(), name.size() - 1) == 0 ? name.data() : "";
}

HttpAnswer json_answer(const Json& value) { return http_text(200, kJsonType, json_text(value) + "\n"); }

HttpAnswer not_found(std::string_view path) {
  return http_error(
      404, Status::error(Code::kNotFound, "there is no %.*s here; /api/v1/openapi.json says what there is",
                         static_cast<int>(std::min<size_t>(path.size(), 200)), path.data()));
}

class SlicesJson : public SlicesPage {
 public:
  SlicesJson(EventLoop& loop, const ControlService& control) : loop_(loop), control_(control) {}
  void begin() override {
    text_ = "{\"time_ms\":" + std::to_string(loop_.wall_ms()) + ",\"slices\":[";
    is_first_ = true;
  }
  void add(const Slice& slice) override {
    if (!std::exchange(is_first_, false)) text_ += ",";
    text_ += json_text(control_.slice_with_processes(slice));
  }
  void end(std::string& text) override {
    Json rest = Json::object();
    control_.add_beside_slices(rest);
    text = std::exchange(text_, "") + "]," + json_text(rest).substr(1) + "\n";
  }

 private:
  EventLoop& loop_;
  const ControlService& control_;
  std::string text_;
  bool is_first_ = true;
};

class MetricsPage : public SlicesPage {
 public:
  MetricsPage(ControlService& control, LeaseService& leases, const CompatNames& compat)
      : control_(control), leases_(leases), compat_(compat) {}
  void begin() override {
    control_.refresh_gpus();
    metrics_.clear();
    gpus_ = control_.gpus();
    for (const Json& gpu : json_array(gpus_, "gpus")) {
      metrics_.add_gpu(gpu);
      add_compat_gpu(metrics_.exposition(), compat_, gpus_, gpu, host_name());
    }
  }
  void add(const Slice& slice) override {
    const SliceFacts facts = slice_facts(slice, leases_);
    add_metrics(metrics_, facts);
    add_compat_slice(metrics_.exposition(), compat_, gpus_, facts);
  }
  void end(std::string& text) override { metrics_.exposition().write_to(text); }

 private:
  ControlService& control_;
  LeaseService& leases_;
  const CompatNames compat_;
  Json gpus_;
  MetricsText metrics_;
};

HttpAnswer asset_answer(const HttpRequest& request) {
  const std::string_view path = request.path() == "/" ? "/index.html" : request.path();
  const auto assets = http_assets();
  if (assets.empty() && path == "/index.html") {
    return http_text(
        404, "text/plain; charset=utf-8",
        "This build of tesserad has no page: " + std::string(http_assets_missing()) +
            ".\nThe figures are under /metrics and /api/v1/, and in 'tessera ps' and 'tessera gpus'.\n");
  }
  const auto found =
      std::find_if(assets.begin(), assets.end(), [&](const HttpAsset& a) { return a.path == path; });
  if (found == assets.end()) return not_found(request.path());
  const auto accepted = request.header("Accept-Encoding");
  if (!accepted || accepted->find("gzip") == std::string_view::npos)
    return http_error(406, Status(Code::kUnsupported, "the page is compressed: accept gzip"));
  const std::string_view bytes(reinterpret_cast<const char*>(found->gzip.data()), found->gzip.size());
  return {.type = found->mime.data(),
          .body = {},
          .constant = bytes,
          .encoding = "gzip",
          .etag = std::string(found->etag)};
}

}  // namespace

std::shared_ptr<const std::string> SlicesPage::text(uint64_t now_ns) {
  if (busy()) return nullptr;
  if (text_ && now_ns - made_ns_ < kFreshNs) return text_;
  walk_.emplace();
  begin();
  return nullptr;
}

bool SlicesPage::step(const std::map<SliceId, Slice>& slices, uint64_t now_ns) {
  if (!busy() || !walk_->step(slices, kSlicesAStep, [this](const Slice& slice) { add(slice); })) return false;
  walk_.reset();
  // The room of the text before, where all who asked have it.
  if (!text_ || text_.use_count() > 1) text_ = std::make_shared<std::string>();
  end(*text_);
  made_ns_ = now_ns;
  return true;
}

HttpApi::HttpApi(EventLoop& loop, ControlService& control, LeaseService& leases, MonitorService* monitor,
                 const CompatNames& compat)
    : loop_(loop),
      control_(control),
      leases_(leases),
      monitor_(monitor),
      slices_page_(std::make_unique<SlicesJson>(loop, control)),
      metrics_page_(std::make_unique<MetricsPage>(control, leases, compat)) {
  if (monitor != nullptr && monitor->history() != nullptr)
    history_ = std::make_unique<HttpHistory>(loop, *monitor->history(), [this] { server_->wake(); });
}

Result<std::unique_ptr<HttpApi>> HttpApi::start(EventLoop& loop, ControlService& control,
                                                LeaseService& leases, MonitorService* monitor,
                                                HttpOptions options) {
  std::unique_ptr<HttpApi> api(new HttpApi(loop, control, leases, monitor, options.compat));
  TESSERA_ASSIGN_OR_RETURN(api->server_, HttpServer::start(loop, std::move(options),
                                                           [raw = api.get()](const HttpRequest& request) {
                                                             return raw->answer(request);
                                                           }));
  return api;
}

void HttpApi::tick(uint64_t now_ns) {
  const auto& slices = leases_.ledger().slices();
  const bool slices_ready = slices_page_->step(slices, now_ns);
  const bool metrics_ready = metrics_page_->step(slices, now_ns);
  if (slices_ready || metrics_ready) server_->wake();
  server_->tick(now_ns);
}

std::optional<uint64_t> HttpApi::next_deadline_ns() const {
  if (slices_page_->busy() || metrics_page_->busy()) return 0;
  return server_->next_deadline_ns();
}

std::optional<HttpAnswer> HttpApi::answer(const HttpRequest& request) {
  if (request.path() == "/metrics") return page(*metrics_page_, kMetricsType);
  if (request.path().starts_with(kApiPrefix))
    return answer_api(request, request.path().substr(kApiPrefix.size()));
  return asset_answer(request);
}

std::optional<HttpAnswer> HttpApi::answer_api(const HttpRequest& request, std::string_view what) {
  if (what == "slices") return page(*slices_page_, kJsonType);
  if (what == "gpus") return gpus();
  if (what == "events") return events(request);
  if (what == "info") return info();
  if (what == "openapi.json") return HttpAnswer{.body = {}, .constant = openapi_json};
  if (what == "alerts") return alerts();
  if (what == "history" && history_) return history_->answer(request);
  if (what == "history")
    return http_error(404,
                      Status(Code::kNotFound, "this daemon keeps no history: start it with --history FILE"));
  return not_found(request.path());
}

std::optional<HttpAnswer> HttpApi::page(SlicesPage& page, const char* type) {
  auto text = page.text(loop_.now_ns());
  if (!text) return std::nullopt;
  return HttpAnswer{.type = type, .body = std::move(text)};
}

HttpAnswer HttpApi::info() const {
  Json answer = control_.info();
  answer["time_ms"] = loop_.wall_ms();
  answer["hostname"] = host_name();
  answer["history"] = history_ != nullptr;
  const AlertService* alerts = monitor_ == nullptr ? nullptr : monitor_->alerts();
  answer["alert_rules"] = alerts == nullptr ? 0 : alerts->rules();
  return json_answer(answer);
}

HttpAnswer HttpApi::alerts() const {
  const AlertService* alerts = monitor_ == nullptr ? nullptr : monitor_->alerts();
  Json answer = alerts == nullptr ? Json{{"rules", 0}, {"alerts", Json::array()}} : alerts->told();
  answer["time_ms"] = loop_.wall_ms();
  return json_answer(answer);
}

HttpAnswer HttpApi::gpus() {
  constexpr uint64_t kNsPerMs = 1'000'000;
  control_.refresh_gpus();  // for who asks next
  Json answer = control_.gpus();
  answer["time_ms"] = loop_.wall_ms();
  answer["age_ms"] = (loop_.now_ns() - control_.asked_ns()) / kNsPerMs;
  return json_answer(answer);
}

HttpAnswer HttpApi::events(const HttpRequest& request) const {
  const auto after_text = request.query("after"), limit_text = request.query("limit");
  const auto after = after_text ? parse_uint(*after_text) : 0;
  const auto limit = limit_text ? parse_uint(*limit_text) : kMostEvents;
  if (!after || !limit)
    return http_error(400, Status(Code::kInvalidArgument, "after and limit are whole numbers"));
  Json answer = events_json(leases_.events(), *after, *limit);
  answer["time_ms"] = loop_.wall_ms();
  return json_answer(answer);
}

}  // namespace tessera::node
