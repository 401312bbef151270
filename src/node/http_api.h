// What the daemon answers over HTTP: figures for Prometheus, the API of docs/api.md, and the page's files.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "node/control_service.h"
#include "node/http_history.h"
#include "node/http_server.h"
#include "node/metrics_text.h"
#include "node/monitor_service.h"
#include "node/slice_walk.h"

namespace tessera::node {

// An answer that takes more than a moment where there are many slices: it is made over several steps of the
// loop, for all who ask meanwhile, and again only after a while.
class SlicesPage {
 public:
  virtual ~SlicesPage() = default;
  // Null: it is being made now.
  std::shared_ptr<const std::string> text(uint64_t now_ns);
  bool busy() const { return walk_.has_value(); }
  // True where it is ready now and was not.
  bool step(const std::map<SliceId, Slice>& slices, uint64_t now_ns);

 protected:
  virtual void begin() = 0;
  virtual void add(const Slice& slice) = 0;
  virtual void end(std::string& text) = 0;  // in the place of what it holds

 private:
  static constexpr uint64_t kFreshNs = 200'000'000;
  static constexpr size_t kSlicesAStep = 16;
  std::optional<SliceWalk> walk_;
  std::shared_ptr<std::string> text_;  // changed only where nobody else has it
  uint64_t made_ns_ = 0;
};

class HttpApi {
 public:
  static Result<std::unique_ptr<HttpApi>> start(EventLoop& loop, ControlService& control,
                                                LeaseService& leases, MonitorService* monitor,
                                                HttpOptions options);

  const HttpAddress& address() const { return server_->address(); }
  void tick(uint64_t now_ns);
  std::optional<uint64_t> next_deadline_ns() const;

 private:
  HttpApi(EventLoop& loop, ControlService& control, LeaseService& leases, MonitorService* monitor,
          const CompatNames& compat);
  std::optional<HttpAnswer> answer(const HttpRequest& request);
  std::optional<HttpAnswer> answer_api(const HttpRequest& request, std::string_view what);
  std::optional<HttpAnswer> page(SlicesPage& page, const char* type);
  HttpAnswer info() const;
  HttpAnswer gpus();
  HttpAnswer alerts() const;
  HttpAnswer events(const HttpRequest& request) const;

  EventLoop& loop_;
  ControlService& control_;
  LeaseService& leases_;
  MonitorService* monitor_;  // null: neither history nor alerts
  std::unique_ptr<SlicesPage> slices_page_;
  std::unique_ptr<SlicesPage> metrics_page_;
  std::unique_ptr<HttpHistory> history_;  // null where none is kept
  std::unique_ptr<HttpServer> server_;    // last: its requests need the rest
};

}  // namespace tessera::node
