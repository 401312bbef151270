// The page that the daemon serves, as the build has put it into the program: files by path, compressed.
// Where the build had no page there are none (http_assets_none.cc).
#pragma once

#include <span>
#include <string_view>

namespace tessera::node {

struct HttpAsset {
  std::string_view path;  // as asked for: "/index.html", "/assets/main-1a2b.js"; "/" is "/index.html"
  std::string_view mime;  // "text/html; charset=utf-8"
  std::span<const unsigned char> gzip;  // the file, compressed
  std::string_view etag;                // changes with the file: hexadecimal digits of its hash
};

std::span<const HttpAsset> http_assets();

}  // namespace tessera::node
