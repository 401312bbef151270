#include "node/http_address.h"

#include <arpa/inet.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>

#include "common/fd.h"
#include "common/strings.h"

namespace tessera::node {
namespace {

constexpr size_t kLeastTokenBytes = 16, kMostTokenBytes = 512;

Status not_an_address(std::string_view text) {
  return Status::error(Code::kInvalidArgument,
                       "'%.*s' is no address and port, as 127.0.0.1:9400 or [::1]:9400",
                       static_cast<int>(std::min<size_t>(text.size(), 80)), text.data());
}

// Fills in host, is_v6 and is_loopback.
bool read_host(const std::string& host, HttpAddress& address) {
  constexpr uint32_t kLoopbackNet = 127;
  in_addr v4{};
  in6_addr v6{};
  address.host = host;
  if (inet_pton(AF_INET, host.c_str(), &v4) == 1) {
    address.is_loopback = ntohl(v4.s_addr) >> 24 == kLoopbackNet;
    return true;
  }
  address.is_v6 = inet_pton(AF_INET6, host.c_str(), &v6) == 1;
  address.is_loopback = address.is_v6 && IN6_IS_ADDR_LOOPBACK(&v6);
  return address.is_v6;
}

bool is_token_character(char c) {
  const bool alphanumeric = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
  return alphanumeric || std::string_view("-._~+/=").find(c) != std::string_view::npos;
}

}  // namespace

std::string HttpAddress::text() const {
  return (is_v6 ? "[" + host + "]" : host) + ":" + std::to_string(port);
}

Result<HttpAddress> parse_http_address(std::string_view text) {
  const size_t colon = text.rfind(':');
  const std::string_view port_text = colon == std::string_view::npos ? text : text.substr(colon + 1);
  std::string_view host = colon == std::string_view::npos ? "127.0.0.1" : text.substr(0, colon);
  const auto port = parse_uint(std::string(port_text));
  if (!port || *port > UINT16_MAX || host.empty()) return not_an_address(text);
  const bool bracketed = host.size() > 2 && host.front() == '[' && host.back() == ']';
  if (bracketed) host = host.substr(1, host.size() - 2);
  HttpAddress address;
  address.port = static_cast<uint16_t>(*port);
  if (!read_host(std::string(host), address) || address.is_v6 != bracketed) return not_an_address(text);
  return address;
}

bool is_local_host(std::string_view host) {
  const size_t bracket = host.rfind(']');
  const size_t colon = host.find(':', bracket == std::string_view::npos ? 0 : bracket);
  host = host.substr(0, colon);
  if (host.size() > 2 && host.front() == '[' && host.back() == ']') host = host.substr(1, host.size() - 2);
  if (host == "localhost") return true;
  HttpAddress address;
  return read_host(std::string(host), address) && address.is_loopback;
}

Result<std::string> read_http_token(const std::string& path) {
  struct stat info {};
  if (stat(path.c_str(), &info) != 0)
    return Status::from_errno(errno, "cannot read the token in %s", path.c_str());
  if (!S_ISREG(info.st_mode) || (info.st_mode & (S_IRWXG | S_IRWXO)) != 0) {
    return Status::error(Code::kPermissionDenied, "others than its owner can use %s: chmod 600 it",
                         path.c_str());
  }
  TESSERA_ASSIGN_OR_RETURN(std::string token, read_file(path, 2 * kMostTokenBytes));
  while (!token.empty() && (token.back() == '\n' || token.back() == '\r')) token.pop_back();
  const bool fits = token.size() >= kLeastTokenBytes && token.size() <= kMostTokenBytes;
  if (!fits || !std::all_of(token.begin(), token.end(), is_token_character)) {
    return Status::error(
        Code::kInvalidData,
        "%s holds no token: 16 to 512 letters, digits and -._~+/=, as of 'openssl rand -hex 32'",
        path.c_str());
  }
  return token;
}

bool carries_token(std::string_view authorization, std::string_view token) {
  constexpr std::string_view kScheme = "bearer ";
  if (authorization.size() != kScheme.size() + token.size()) return false;
  unsigned different = 0;
  for (size_t i = 0; i < kScheme.size(); ++i) {
    const char c = authorization[i];
    const char lower = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    different |= static_cast<unsigned>(lower != kScheme[i]);
  }
  for (size_t i = 0; i < token.size(); ++i)
    different |= static_cast<unsigned char>(authorization[kScheme.size() + i] ^ token[i]);
  return different == 0;
}

}  // namespace tessera::node
