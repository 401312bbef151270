#include "remote/transport/address.h"

#include <sys/un.h>

#include <algorithm>

#include "common/strings.h"

namespace tessera::remote {
namespace {

constexpr size_t kMostHostBytes = 253;  // of a name in DNS
constexpr size_t kMostPathBytes = sizeof(sockaddr_un::sun_path) - 1;
constexpr const char* kForms = "host:7070, tls://host:7070, [::1]:7070 or shm:/path/to/socket";

Status wrong(std::string_view text, const char* what) {
  return Status::error(Code::kInvalidArgument, "'%.*s': %s; a server is named as %s",
                       static_cast<int>(std::min<size_t>(text.size(), 80)), text.data(), what, kForms);
}

bool take(std::string_view& rest, std::string_view prefix) {
  if (!rest.starts_with(prefix)) return false;
  rest.remove_prefix(prefix.size());
  return true;
}

Result<Address> parse_local(std::string_view text, std::string_view path, Flavour flavour) {
  if (!path.starts_with('/')) return wrong(text, "the path of a socket begins with /");
  if (path.size() > kMostPathBytes) return wrong(text, "the path is longer than a socket's may be (107)");
  if (path.find('\0') != std::string_view::npos) return wrong(text, "the path has a zero byte");
  return Address{flavour, "", 0, std::string(path)};
}

bool valid_host(std::string_view host, bool in_brackets) {
  return !host.empty() && host.size() <= kMostHostBytes &&
         std::all_of(host.begin(), host.end(), [in_brackets](char c) {
           const bool word = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
           return word || c == '.' || c == '-' || c == '_' || (in_brackets && (c == ':' || c == '%'));
         });
}

Result<Address> parse_inet(std::string_view text, std::string_view rest, Flavour flavour, Purpose purpose) {
  const bool in_brackets = take(rest, "[");
  const size_t end = in_brackets ? rest.find(']') : rest.find(':');
  if (end == std::string_view::npos) return wrong(text, in_brackets ? "no ']'" : "no port");
  const std::string_view host = rest.substr(0, end);
  rest.remove_prefix(end + (in_brackets ? 1 : 0));
  if (!take(rest, ":")) return wrong(text, "no port");
  if (in_brackets && host.find(':') == std::string_view::npos)
    return wrong(text, "only an IPv6 address goes into brackets");
  if (!in_brackets && rest.find(':') != std::string_view::npos)
    return wrong(text, "an IPv6 address goes into brackets");
  if (!valid_host(host, in_brackets)) return wrong(text, "that is no host's name or address");
  const auto port = rest.size() <= 5 && !rest.starts_with("0x") ? parse_uint(rest) : std::nullopt;
  if (!port || *port > UINT16_MAX || (*port == 0 && purpose != Purpose::kListen))
    return wrong(text, "a port is a number from 1 to 65535");
  return Address{flavour, std::string(host), static_cast<uint16_t>(*port), ""};
}

}  // namespace

const char* flavour_name(Flavour flavour) {
  switch (flavour) {
    case Flavour::kTcp:
      return "tcp";
    case Flavour::kTls:
      return "tls";
    case Flavour::kShm:
      return "shm";
    case Flavour::kUnix:
      return "unix";
  }
  return "unknown";
}

Result<Address> parse_address(std::string_view text, Purpose purpose) {
  std::string_view rest = text;
  if (take(rest, "shm:")) return parse_local(text, rest, Flavour::kShm);
  if (take(rest, "unix:")) return parse_local(text, rest, Flavour::kUnix);
  if (take(rest, "tls://")) return parse_inet(text, rest, Flavour::kTls, purpose);
  take(rest, "tcp://");
  return parse_inet(text, rest, Flavour::kTcp, purpose);
}

Result<std::vector<Address>> parse_addresses(std::string_view text) {
  std::vector<Address> addresses;
  for (const std::string_view part : split(text, ',')) {
    if (addresses.size() == kMostAddresses) return wrong(text, "more than 64 servers");
    TESSERA_ASSIGN_OR_RETURN(Address address, parse_address(trim(part)));
    addresses.push_back(std::move(address));
  }
  return addresses;
}

std::string to_text(const Address& address) {
  const std::string scheme = flavour_name(address.flavour);
  if (is_local(address.flavour)) return scheme + ":" + address.path;
  const bool brackets = address.host.find(':') != std::string::npos;
  const std::string host = brackets ? "[" + address.host + "]" : address.host;
  return scheme + "://" + host + ":" + std::to_string(address.port);
}

}  // namespace tessera::remote
