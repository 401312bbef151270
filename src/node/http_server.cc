#include "node/http_server.h"

#include <microhttpd.h>
#include <netdb.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "common/log.h"
#include "common/strings.h"
#include "node/json.h"

namespace tessera::node {
namespace {

constexpr uint64_t kNsPerMs = 1'000'000;
constexpr int kBacklog = 64;
constexpr std::string_view kApi = "/api/", kMetrics = "/metrics";

// What every answer carries. Pages load nothing from elsewhere and are shown inside no other's.
constexpr std::pair<const char*, const char*> kHeaders[] = {
    {"Content-Security-Policy",
     "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
     "frame-ancestors 'none'; "
     "base-uri 'none'; form-action 'none'"},
    {"X-Content-Type-Options", "nosniff"},
    {"Referrer-Policy", "no-referrer"},
    {"Cross-Origin-Resource-Policy", "same-origin"},
};

std::optional<std::string_view> find_value(MHD_Connection* connection, MHD_ValueKind kind, const char* key) {
  const char* value = MHD_lookup_connection_value(connection, kind, key);
  if (value == nullptr) return std::nullopt;
  return std::string_view(value);
}

Result<UniqueFd> open_listener(HttpAddress& address) {
  addrinfo hints{};
  hints.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE;
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  const int error = getaddrinfo(address.host.c_str(), std::to_string(address.port).c_str(), &hints, &found);
  if (error != 0)
    return Status::error(Code::kInvalidArgument, "cannot use %s: %s", address.text().c_str(),
                         gai_strerror(error));
  const std::unique_ptr<addrinfo, void (*)(addrinfo*)> owner(found, freeaddrinfo);
  UniqueFd listener(socket(found->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  const int yes = 1;
  sockaddr_storage bound{};
  socklen_t length = sizeof bound;
  const bool listens = listener &&
                       setsockopt(listener.get(), SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes) == 0 &&
                       bind(listener.get(), found->ai_addr, found->ai_addrlen) == 0 &&
                       ::listen(listener.get(), kBacklog) == 0 &&
                       getsockname(listener.get(), reinterpret_cast<sockaddr*>(&bound), &length) == 0;
  if (!listens) return Status::from_errno(errno, "cannot listen on %s", address.text().c_str());
  std::array<char, NI_MAXSERV> port{};
  if (getnameinfo(reinterpret_cast<sockaddr*>(&bound), length, nullptr, 0, port.data(), port.size(),
                  NI_NUMERICSERV) == 0) {
    address.port = static_cast<uint16_t>(strtoul(port.data(), nullptr, 10));
  }
  return listener;
}

}  // namespace

std::optional<std::string_view> HttpRequest::query(const char* key) const {
  return find_value(connection_, MHD_GET_ARGUMENT_KIND, key);
}

std::optional<std::string_view> HttpRequest::header(const char* name) const {
  return find_value(connection_, MHD_HEADER_KIND, name);
}

HttpAnswer http_text(unsigned status, const char* type, std::string text) {
  return {.status = status, .type = type, .body = std::make_shared<const std::string>(std::move(text))};
}

HttpAnswer http_error(unsigned status, const Status& why) {
  Json error;
  error["error"]["code"] = code_name(why.code());
  error["error"]["message"] = why.message();
  return http_text(status, "application/json", json_text(error) + "\n");
}

// What libmicrohttpd calls.
struct HttpEntries {
  static MHD_Result access(void* self, MHD_Connection* connection, const char* url, const char* method,
                           const char*, const char*, size_t* upload_bytes, void** state) {
    auto& server = *static_cast<HttpServer*>(self);
    static int seen;
    const bool is_first = *state == nullptr;
    *state = &seen;
    if (is_first) {
      const auto length = find_value(connection, MHD_HEADER_KIND, "Content-Length");
      const bool has_body =
          (length && *length != "0") || find_value(connection, MHD_HEADER_KIND, "Transfer-Encoding");
      const auto refused = server.refuse(connection, method, url, has_body);
      if (!refused) return MHD_YES;
      return server.send(connection, *refused) ? MHD_YES : MHD_NO;
    }
    if (*upload_bytes != 0) return MHD_NO;
    return server.answer(connection, url) ? MHD_YES : MHD_NO;
  }
  static void log(void*, const char* format, va_list arguments) {
    if (!log_enabled(LogLevel::kDebug)) return;
    std::string text = str_format_list(format, arguments);
    while (!text.empty() && text.back() == '\n') text.pop_back();
    LOG_DEBUG("http", "%s", text.c_str());
  }
  static void release(void* body) { delete static_cast<std::shared_ptr<const std::string>*>(body); }
};

Result<std::unique_ptr<HttpServer>> HttpServer::start(EventLoop& loop, HttpOptions options, Handler handler) {
  if (!options.address.is_loopback && options.token.empty()) {
    return Status::error(
        Code::kInvalidArgument,
        "%s can be reached from other machines: give --http-token FILE, whose token they must carry",
        options.address.text().c_str());
  }
  std::unique_ptr<HttpServer> server(new HttpServer(loop, std::move(options), std::move(handler)));
  TESSERA_RETURN_IF_ERROR(server->listen());
  return server;
}

Status HttpServer::listen() {
  TESSERA_ASSIGN_OR_RETURN(listener_, open_listener(options_.address));
  daemon_ = MHD_start_daemon(MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG, 0, nullptr,
                             nullptr, &HttpEntries::access, this, MHD_OPTION_LISTEN_SOCKET, listener_.get(),
                             MHD_OPTION_EXTERNAL_LOGGER, &HttpEntries::log, nullptr,
                             MHD_OPTION_CONNECTION_LIMIT, kMaxHttpConnections, MHD_OPTION_CONNECTION_TIMEOUT,
                             kHttpTimeoutS, MHD_OPTION_CONNECTION_MEMORY_LIMIT, kHttpConnectionBytes,
                             MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_END);
  if (daemon_ == nullptr) return Status(Code::kInternal, "cannot start libmicrohttpd");
  const MHD_DaemonInfo* info = MHD_get_daemon_info(daemon_, MHD_DAEMON_INFO_EPOLL_FD);
  if (info == nullptr) return Status(Code::kUnsupported, "libmicrohttpd is built without epoll");
  (void)listener_.release();  // libmicrohttpd closes it
  TESSERA_ASSIGN_OR_RETURN(watch_, loop_.watch(info->epoll_fd, EPOLLIN, [this](uint32_t) { run(); }));
  run();
  return Status();
}

HttpServer::~HttpServer() {
  loop_.unwatch(watch_);
  if (daemon_ == nullptr) return;
  for (MHD_Connection* connection : waiting_) MHD_resume_connection(connection);
  waiting_.clear();
  handler_ = [](const HttpRequest&) {
    return http_error(503, Status(Code::kUnavailable, "the daemon ends"));
  };
  MHD_stop_daemon(daemon_);
}

void HttpServer::run() {
  // One that ends where there were the most makes room, which libmicrohttpd sees when it runs again.
  const bool was_full = connections() >= kMaxHttpConnections;
  MHD_run(daemon_);
  if (was_full && connections() < kMaxHttpConnections) MHD_run(daemon_);
  MHD_UNSIGNED_LONG_LONG timeout_ms = 0;
  deadline_ns_.reset();
  if (MHD_get_timeout(daemon_, &timeout_ms) == MHD_YES) deadline_ns_ = loop_.now_ns() + timeout_ms * kNsPerMs;
}

unsigned HttpServer::connections() const {
  const MHD_DaemonInfo* info = MHD_get_daemon_info(daemon_, MHD_DAEMON_INFO_CURRENT_CONNECTIONS);
  return info == nullptr ? 0 : info->num_connections;
}

void HttpServer::tick(uint64_t now_ns) {
  if (deadline_ns_ && now_ns >= *deadline_ns_) run();
}

void HttpServer::wake() {
  if (waiting_.empty()) return;
  const std::set<MHD_Connection*> waiting = std::move(waiting_);
  waiting_.clear();
  for (MHD_Connection* connection : waiting) MHD_resume_connection(connection);
  run();
}

std::optional<HttpAnswer> HttpServer::refuse(MHD_Connection* connection, std::string_view method,
                                             std::string_view path, bool has_body) const {
  if (method != MHD_HTTP_METHOD_GET && method != MHD_HTTP_METHOD_HEAD)
    return http_error(405, Status(Code::kUnsupported, "only GET and HEAD are answered here"));
  if (!path.starts_with('/')) return http_error(400, Status(Code::kInvalidArgument, "a path begins with /"));
  if (has_body) return http_error(413, Status(Code::kInvalidArgument, "a request here has no body"));
  if (!options_.token.empty()) {
    // The page's own files say nothing of anybody; what fills it in does.
    if (!path.starts_with(kApi) && path != kMetrics) return std::nullopt;
    const auto carried = find_value(connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_AUTHORIZATION);
    if (carried && carries_token(*carried, options_.token)) return std::nullopt;
    return http_error(401, Status(Code::kPermissionDenied,
                                  "carry the daemon's token: Authorization: Bearer TOKEN, see --http-token"));
  }
  const auto host = find_value(connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_HOST);
  if (host && !is_local_host(*host)) {
    return http_error(403, Status(Code::kPermissionDenied,
                                  "without a token only requests for this machine's loopback are answered"));
  }
  return std::nullopt;
}

bool HttpServer::answer(MHD_Connection* connection, std::string_view path) {
  const std::optional<HttpAnswer> answer = handler_(HttpRequest(connection, path));
  if (answer) return send(connection, *answer);
  MHD_suspend_connection(connection);
  waiting_.insert(connection);
  return true;
}

bool HttpServer::send(MHD_Connection* connection, const HttpAnswer& answer) const {
  const auto known = find_value(connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_IF_NONE_MATCH);
  const bool unchanged = !answer.etag.empty() && known && known->find(answer.etag) != std::string_view::npos;
  MHD_Response* response = nullptr;
  if (unchanged) {
    response = MHD_create_response_from_buffer(0, nullptr, MHD_RESPMEM_PERSISTENT);
  } else if (answer.body) {
    // The text is shared by all who asked for it, and lives as long as the slowest of them reads.
    auto* body = new std::shared_ptr<const std::string>(answer.body);
    response = MHD_create_response_from_buffer_with_free_callback_cls(
        (*body)->size(), const_cast<char*>((*body)->data()), &HttpEntries::release, body);
    if (response == nullptr) HttpEntries::release(body);
  } else {
    response = MHD_create_response_from_buffer(
        answer.constant.size(), const_cast<char*>(answer.constant.data()), MHD_RESPMEM_PERSISTENT);
  }
  if (response == nullptr) return false;
  for (const auto& [name, value] : kHeaders) MHD_add_response_header(response, name, value);
  MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, answer.type);
  if (answer.encoding != nullptr && !unchanged)
    MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_ENCODING, answer.encoding);
  if (answer.status == 401) MHD_add_response_header(response, MHD_HTTP_HEADER_WWW_AUTHENTICATE, "Bearer");
  if (answer.status == 405) MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, "GET, HEAD");
  MHD_add_response_header(response, MHD_HTTP_HEADER_CACHE_CONTROL,
                          answer.etag.empty() ? "no-store" : "no-cache");
  if (!answer.etag.empty())
    MHD_add_response_header(response, MHD_HTTP_HEADER_ETAG, ("\"" + answer.etag + "\"").c_str());
  const bool queued = MHD_queue_response(connection, unchanged ? 304 : answer.status, response) == MHD_YES;
  MHD_destroy_response(response);
  return queued;
}

}  // namespace tessera::node
