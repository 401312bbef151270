// HTTP for the daemon: libmicrohttpd inside the event loop, without threads. Only GET and HEAD; whatever a
// client sends or leaves out costs a bounded amount of memory and time:
//   - a request's head is at most 8 KiB or so (with the rest of its connection's buffers kConnectionBytes),
//     and has no body;
//   - there are at most kMaxHttpConnections, each ended after kHttpTimeoutS without progress;
//   - an answer that is not ready leaves its connection aside; the loop goes on.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>

#include "node/compat_metrics.h"
#include "node/event_loop.h"
#include "node/http_address.h"

struct MHD_Connection;
struct MHD_Daemon;

namespace tessera::node {

inline constexpr unsigned kMaxHttpConnections = 64;
inline constexpr unsigned kHttpTimeoutS = 15;
inline constexpr size_t kHttpConnectionBytes = 16 * 1024;

struct HttpOptions {
  HttpAddress address;
  CompatNames compat{};  // names of others that /metrics has, too
  std::string token;     // empty: whoever reaches the address may ask, and must mean this machine by its name
};

// Valid within the call that it is given to.
class HttpRequest {
 public:
  HttpRequest(MHD_Connection* connection, std::string_view path) : connection_(connection), path_(path) {}
  std::string_view path() const { return path_; }  // decoded, begins with '/'
  std::optional<std::string_view> query(const char* key) const;
  std::optional<std::string_view> header(const char* name) const;

 private:
  MHD_Connection* connection_;
  std::string_view path_;
};

struct HttpAnswer {
  unsigned status = 200;
  const char* type = "application/json";
  std::shared_ptr<const std::string> body;  // or
  std::string_view constant{};              // something that lives as long as the program
  const char* encoding = nullptr;           // of the constant: "gzip"
  std::string etag{};                       // where the client may keep it
};

HttpAnswer http_text(unsigned status, const char* type, std::string text);
// {"error": {"code", "message"}}, as docs/api.md has it.
HttpAnswer http_error(unsigned status, const Status& why);

class HttpServer {
 public:
  // Nothing: the answer is not ready. The same request is asked again after wake().
  using Handler = std::function<std::optional<HttpAnswer>(const HttpRequest&)>;

  static Result<std::unique_ptr<HttpServer>> start(EventLoop& loop, HttpOptions options, Handler handler);
  ~HttpServer();
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  // With the port that it got.
  const HttpAddress& address() const { return options_.address; }
  // Answers that were not ready may be now.
  void wake();
  bool any_waiting() const { return !waiting_.empty(); }
  void tick(uint64_t now_ns);
  std::optional<uint64_t> next_deadline_ns() const { return deadline_ns_; }

 private:
  friend struct HttpEntries;
  HttpServer(EventLoop& loop, HttpOptions options, Handler handler)
      : loop_(loop), options_(std::move(options)), handler_(std::move(handler)) {}
  Status listen();
  void run();
  unsigned connections() const;
  // What is wrong with who asks and how, if anything.
  std::optional<HttpAnswer> refuse(MHD_Connection* connection, std::string_view method, std::string_view path,
                                   bool has_body) const;
  // False: the connection is to be closed.
  bool answer(MHD_Connection* connection, std::string_view path);
  bool send(MHD_Connection* connection, const HttpAnswer& answer) const;

  EventLoop& loop_;
  HttpOptions options_;
  Handler handler_;
  UniqueFd listener_;
  MHD_Daemon* daemon_ = nullptr;
  EventLoop::Watch watch_ = 0;
  std::set<MHD_Connection*> waiting_;
  std::optional<uint64_t> deadline_ns_;
};

}  // namespace tessera::node
