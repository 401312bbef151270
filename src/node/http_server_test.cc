#include "node/http_server.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "common/clock.h"

namespace tessera::node {
namespace {

constexpr uint64_t kPatienceNs = 10'000'000'000;
constexpr const char* kToken = "0123456789abcdef";

// A server and its clients in one thread: the loop is stepped while a client waits.
class HttpServerTest : public testing::Test {
 protected:
  void serve(HttpServer::Handler handler, const std::string& token = "") {
    auto server = HttpServer::start(
        loop_, {.address = parse_http_address("127.0.0.1:0").value(), .token = token}, std::move(handler));
    ASSERT_TRUE(server.ok()) << server.status().message();
    server_ = std::move(server).value();
  }
  UniqueFd connect() {
    UniqueFd client(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(server_->address().port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(::connect(client.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    return client;
  }
  static void send(const UniqueFd& client, const std::string& text) {
    // The server may have ended the connection before it has read all.
    (void)!::send(client.get(), text.data(), text.size(), MSG_NOSIGNAL);
  }
  void step() {
    ASSERT_TRUE(loop_.run_once(1'000'000).ok());
    server_->tick(loop_.now_ns());
  }
  // All that comes until the end, or until it has `wanted` in it.
  std::string receive(const UniqueFd& client, const std::string& wanted = "") {
    std::string text;
    const uint64_t deadline_ns = monotonic_ns() + kPatienceNs;
    while (monotonic_ns() < deadline_ns) {
      step();
      char buffer[4096];
      const ssize_t count = recv(client.get(), buffer, sizeof buffer, MSG_DONTWAIT);
      if (count == 0 || (count < 0 && errno != EAGAIN)) return text;
      if (count > 0) text.append(buffer, static_cast<size_t>(count));
      if (!wanted.empty() && text.find(wanted) != std::string::npos) return text;
    }
    ADD_FAILURE() << "no end after: " << text;
    return text;
  }
  std::string ask(const std::string& request) {
    const UniqueFd client = connect();
    send(client, request);
    return receive(client);
  }
  static std::string get(const std::string& path, const std::string& headers = "") {
    return "GET " + path + " HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n" + headers + "\r\n";
  }

  EventLoop loop_ = EventLoop::create().value();
  std::unique_ptr<HttpServer> server_;
};

HttpServer::Handler says(const std::string& text) {
  return [text](const HttpRequest&) { return http_text(200, "text/plain", text); };
}

TEST_F(HttpServerTest, AnswersWithWhatTheHandlerSays) {
  serve([](const HttpRequest& request) {
    return http_text(200, "text/plain",
                     std::string(request.path()) + "|" + std::string(request.query("a").value_or("-")) + "|" +
                         std::string(request.header("X-Thing").value_or("-")));
  });
  const std::string answer = ask(get("/a%20b?a=1%2C2", "X-Thing: yes\r\n"));
  EXPECT_TRUE(answer.starts_with("HTTP/1.1 200 OK\r\n")) << answer;
  EXPECT_TRUE(answer.ends_with("\r\n\r\n/a b|1,2|yes")) << answer;
  EXPECT_NE(answer.find("X-Content-Type-Options: nosniff\r\n"), std::string::npos);
  EXPECT_NE(answer.find("Content-Security-Policy: default-src 'none'; script-src 'self';"),
            std::string::npos);
  EXPECT_NE(answer.find("Cache-Control: no-store\r\n"), std::string::npos);
}

TEST_F(HttpServerTest, AHeadHasNoBody) {
  serve(says("some text"));
  const std::string answer = ask("HEAD / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
  EXPECT_NE(answer.find("Content-Length: 9\r\n"), std::string::npos) << answer;
  EXPECT_TRUE(answer.ends_with("\r\n\r\n")) << answer;
}

TEST_F(HttpServerTest, NothingElseIsAnswered) {
  serve(says("secret"));
  for (const char* method : {"POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH", "CONNECT", "get"}) {
    const std::string answer =
        ask(std::string(method) + " / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    EXPECT_EQ(answer.find("secret"), std::string::npos) << answer;
    EXPECT_TRUE(answer.starts_with("HTTP/1.1 405")) << answer;
  }
  for (const char* body :
       {"Content-Length: 5\r\n\r\nhello", "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        "Content-Length: 99999999999999\r\n\r\n"}) {
    const std::string answer =
        ask(std::string("GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n") + body);
    EXPECT_EQ(answer.find("secret"), std::string::npos) << answer;
    EXPECT_TRUE(answer.starts_with("HTTP/1.1 413")) << answer;
  }
}

TEST_F(HttpServerTest, APathBeginsWithASlash) {
  serve(says("secret"));
  for (const char* path : {"?", "*", "index.html", "?a=1"})
    EXPECT_TRUE(ask(get(path)).starts_with("HTTP/1.1 400")) << path;
}

TEST_F(HttpServerTest, AHeadIsBounded) {
  serve(says("fine"));
  EXPECT_TRUE(ask(get("/", "X-Long: " + std::string(6 * 1024, 'a') + "\r\n")).starts_with("HTTP/1.1 200"));
  const std::string refused = ask(get("/", "X-Long: " + std::string(20 * 1024, 'a') + "\r\n"));
  EXPECT_FALSE(refused.starts_with("HTTP/1.1 200")) << refused;
  EXPECT_FALSE(ask(get("/" + std::string(20 * 1024, 'a'))).starts_with("HTTP/1.1 200"));
}

TEST_F(HttpServerTest, APageOfElsewhereIsRefused) {
  serve(says("secret"));
  EXPECT_TRUE(
      ask("GET / HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n").starts_with("HTTP/1.1 403"));
  EXPECT_TRUE(
      ask("GET / HTTP/1.1\r\nHost: 127.0.0.1:9400\r\nConnection: close\r\n\r\n").starts_with("HTTP/1.1 200"));
}

TEST_F(HttpServerTest, FiguresNeedTheTokenAndThePageDoesNot) {
  serve(says("secret"), kToken);
  for (const char* path : {"/metrics", "/api/v1/slices", "/api/"}) {
    EXPECT_TRUE(ask(get(path)).starts_with("HTTP/1.1 401")) << path;
    EXPECT_TRUE(ask(get(path, "Authorization: Bearer 0123456789abcdeX\r\n")).starts_with("HTTP/1.1 401"));
    EXPECT_TRUE(
        ask(get(path, std::string("Authorization: Bearer ") + kToken + "\r\n")).starts_with("HTTP/1.1 200"));
  }
  EXPECT_TRUE(ask(get("/index.html")).starts_with("HTTP/1.1 200"));
}

TEST_F(HttpServerTest, BeyondTheLoopbackATokenIsNeeded) {
  HttpOptions options{.address = parse_http_address("0.0.0.0:0").value(), .token = ""};
  const auto refused = HttpServer::start(loop_, options, says(""));
  ASSERT_FALSE(refused.ok());
  EXPECT_NE(refused.status().message().find("--http-token"), std::string::npos);
  options.token = kToken;
  EXPECT_TRUE(HttpServer::start(loop_, options, says("")).ok());
}

TEST_F(HttpServerTest, AnAnswerMayTakeItsTimeAndOthersGoOn) {
  bool ready = false;
  serve([&](const HttpRequest& request) -> std::optional<HttpAnswer> {
    if (request.path() == "/slow" && !ready) return std::nullopt;
    return http_text(200, "text/plain", "done " + std::string(request.path()));
  });
  const UniqueFd slow = connect();
  send(slow, get("/slow"));
  while (!server_->any_waiting()) step();
  EXPECT_TRUE(ask(get("/quick")).ends_with("done /quick"));
  ready = true;
  server_->wake();
  EXPECT_TRUE(receive(slow).ends_with("done /slow"));
}

TEST_F(HttpServerTest, WhoLeavesWhileAnAnswerIsMadeIsForgotten) {
  serve([](const HttpRequest&) -> std::optional<HttpAnswer> { return std::nullopt; });
  {
    const UniqueFd gone = connect();
    send(gone, get("/"));
    while (!server_->any_waiting()) step();
  }
  for (int i = 0; i < 10; ++i) {
    server_->wake();
    step();
  }
  server_.reset();  // with requests without an answer
}

TEST_F(HttpServerTest, WhatHasNotChangedIsNotSentAgain) {
  serve([](const HttpRequest&) {
    return HttpAnswer{.type = "text/html", .body = {}, .constant = "page", .etag = "abc1"};
  });
  EXPECT_NE(ask(get("/")).find("ETag: \"abc1\"\r\n"), std::string::npos);
  const std::string again = ask(get("/", "If-None-Match: \"abc1\"\r\n"));
  EXPECT_TRUE(again.starts_with("HTTP/1.1 304")) << again;
  EXPECT_EQ(again.find("page"), std::string::npos);
}

TEST_F(HttpServerTest, ConnectionsAreBoundedAndOthersWait) {
  serve(says("fine"));
  std::vector<UniqueFd> idle;
  for (unsigned i = 0; i < kMaxHttpConnections + 8; ++i) {
    idle.push_back(connect());
    step();
  }
  idle.clear();
  EXPECT_TRUE(ask(get("/")).ends_with("fine"));
}

TEST_F(HttpServerTest, OneConnectionCarriesManyRequests) {
  serve(says("fine"));
  const UniqueFd client = connect();
  for (int i = 0; i < 3; ++i) {
    send(client, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
    EXPECT_TRUE(receive(client, "\r\n\r\nfine").ends_with("fine"));
  }
}

}  // namespace
}  // namespace tessera::node
