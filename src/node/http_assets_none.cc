// A build without a page.
#include "node/http_assets.h"

namespace tessera::node {

std::span<const HttpAsset> http_assets() { return {}; }

}  // namespace tessera::node
