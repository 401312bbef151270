// The page that the daemon serves, as the build has put it into the program: files by path, compressed. web/
// is what they are made of, and web/build_page.py writes the file that defines what is declared here.
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

// None where the build had no page.
std::span<const HttpAsset> http_assets();

// Why there are none, as "npm is not here"; empty where there are.
std::string_view http_assets_missing();

}  // namespace tessera::node
