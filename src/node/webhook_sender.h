// The webhook's own process: sends what the daemon tells it, a JSON object a line, each by a POST to one
// address.
//
// A body is signed where there is a secret: X-Tessera-Signature: sha256=HEX of its HMAC-SHA256 (RFC 2104).
// What is not answered with 2xx is sent again, kMostTries times, later and later; then it is given up, and
// said.
#pragma once

#include <cstdio>
#include <string>

#include "common/status.h"

namespace tessera::node {

inline constexpr int kMostTries = 5;

struct WebhookOptions {
  std::string url;             // http:// or https://
  std::string secret;          // empty: not signed
  long first_pause_ms = 1000;  // before the second try; doubled with each
};

std::string webhook_signature(const std::string& secret, const std::string& body);
Status check_webhook_url(const std::string& url);

// Until the end of `input`; the exit code. Tells on `output` what could not be sent.
int send_webhooks(const WebhookOptions& options, FILE* input, FILE* output);

}  // namespace tessera::node
