#include "node/webhook_sender.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "common/fd.h"

namespace tessera::node {
namespace {

// Answers one request on each connection with the statuses that it was given; the last for all others.
class Receiver {
 public:
  explicit Receiver(std::vector<int> statuses)
      : statuses_(std::move(statuses)), socket_(socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    bind(socket_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address);
    listen(socket_.get(), 16);
    socklen_t length = sizeof address;
    getsockname(socket_.get(), reinterpret_cast<sockaddr*>(&address), &length);
    port_ = ntohs(address.sin_port);
    thread_ = std::thread([this] { serve(); });
  }
  ~Receiver() {
    shutdown(socket_.get(), SHUT_RDWR);
    thread_.join();
  }
  std::string url() const { return "http://127.0.0.1:" + std::to_string(port_) + "/hook"; }
  std::vector<std::string> requests() {
    shutdown(socket_.get(), SHUT_RDWR);
    if (thread_.joinable()) thread_.join();
    thread_ = std::thread([] {});
    return requests_;
  }

 private:
  void serve() {
    for (;;) {
      UniqueFd client(accept(socket_.get(), nullptr, nullptr));
      if (!client) return;
      std::string text;
      char buffer[4096];
      size_t wanted = std::string::npos;
      while (wanted == std::string::npos || text.size() < wanted) {
        const ssize_t count = recv(client.get(), buffer, sizeof buffer, 0);
        if (count <= 0) break;
        text.append(buffer, static_cast<size_t>(count));
        const size_t end = text.find("\r\n\r\n"), length = text.find("Content-Length: ");
        if (end != std::string::npos && length != std::string::npos)
          wanted = end + 4 + std::stoul(text.substr(length + strlen("Content-Length: ")));
      }
      const int status = statuses_[std::min(requests_.size(), statuses_.size() - 1)];
      requests_.push_back(text);
      const std::string answer = "HTTP/1.1 " + std::to_string(status) +
                                 " Whatever\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
      send(client.get(), answer.data(), answer.size(), MSG_NOSIGNAL);
    }
  }

  const std::vector<int> statuses_;
  UniqueFd socket_;
  uint16_t port_ = 0;
  std::vector<std::string> requests_;
  std::thread thread_;
};

// What is told of what could not be sent.
std::string run(const WebhookOptions& options, const std::string& lines) {
  FILE* input = fmemopen(const_cast<char*>(lines.data()), lines.size(), "r");
  char* told = nullptr;
  size_t size = 0;
  FILE* output = open_memstream(&told, &size);
  EXPECT_EQ(send_webhooks(options, input, output), 0);
  fclose(input);
  fclose(output);
  const std::string text(told, size);
  free(told);
  return text;
}

// RFC 4231, test case 2.
TEST(Webhook, SignsAsOthersDo) {
  EXPECT_EQ(webhook_signature("Jefe", "what do ya want for nothing?"),
            "sha256=5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
}

TEST(Webhook, SendsEachLineSigned) {
  Receiver receiver({200});
  EXPECT_EQ(run({receiver.url(), "secret-0123456789", 1}, "{\"a\":1}\n{\"b\":2}\n"), "");
  const auto requests = receiver.requests();
  ASSERT_EQ(requests.size(), 2u);
  EXPECT_TRUE(requests[0].starts_with("POST /hook HTTP/1.1\r\n"));
  EXPECT_TRUE(requests[0].ends_with("\r\n\r\n{\"a\":1}"));
  EXPECT_NE(requests[0].find("X-Tessera-Signature: " + webhook_signature("secret-0123456789", "{\"a\":1}") +
                             "\r\n"),
            std::string::npos);
  EXPECT_TRUE(requests[1].ends_with("{\"b\":2}"));
}

TEST(Webhook, TriesAgainUntilItIsTaken) {
  Receiver receiver({500, 503, 204});
  EXPECT_EQ(run({receiver.url(), "", 1}, "x\n"), "");
  const auto requests = receiver.requests();
  ASSERT_EQ(requests.size(), 3u);
  EXPECT_EQ(requests[0].find("X-Tessera-Signature"), std::string::npos);
}

TEST(Webhook, GivesUpAndSaysSo) {
  Receiver receiver({500});
  const std::string told = run({receiver.url(), "", 1}, "x\ny\n");
  EXPECT_NE(told.find("in 5 tries: it answered 500\n"), std::string::npos) << told;
  EXPECT_EQ(receiver.requests().size(), 2u * kMostTries);
  const std::string nobody = run({"http://127.0.0.1:1/", "", 1}, "x\n");
  EXPECT_NE(nobody.find("could not be sent"), std::string::npos) << nobody;
}

TEST(Webhook, ARedirectIsNoAnswerAndIsNotFollowed) {
  Receiver receiver({302});
  EXPECT_NE(run({receiver.url(), "", 1}, "x\n").find("it answered 302"), std::string::npos);
}

TEST(Webhook, OnlyHttpIsAnAddress) {
  EXPECT_TRUE(check_webhook_url("https://example.com/x").ok());
  for (const char* url :
       {"", "example.com", "file:///etc/passwd", "ftp://a", "http://a b", "http://a\r\nX: y"})
    EXPECT_FALSE(check_webhook_url(url).ok()) << url;
}

}  // namespace
}  // namespace tessera::node
