#include "node/webhook_sender.h"

#include <curl/curl.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <memory>

#include "common/strings.h"

namespace tessera::node {
namespace {

constexpr long kConnectTimeoutS = 5, kTimeoutS = 10;

size_t pass_over(char*, size_t size, size_t count, void*) { return size * count; }

struct HeaderList {
  curl_slist* list = nullptr;
  void add(const std::string& header) { list = curl_slist_append(list, header.c_str()); }
  ~HeaderList() { curl_slist_free_all(list); }
};

// Empty where it was taken.
std::string post_once(CURL* curl, const WebhookOptions& options, const std::string& body) {
  HeaderList headers;
  headers.add("Content-Type: application/json");
  headers.add("User-Agent: tesserad");
  if (!options.secret.empty()) headers.add("X-Tessera-Signature: " + webhook_signature(options.secret, body));
  curl_easy_reset(curl);
  std::array<char, CURL_ERROR_SIZE> error{};
  curl_easy_setopt(curl, CURLOPT_URL, options.url.c_str());
  curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body.data());
  curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE, static_cast<long>(body.size()));
  curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers.list);
  curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, pass_over);
  curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, kConnectTimeoutS);
  curl_easy_setopt(curl, CURLOPT_TIMEOUT, kTimeoutS);
  curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, error.data());
  const CURLcode result = curl_easy_perform(curl);
  if (result != CURLE_OK) return error[0] != '\0' ? error.data() : curl_easy_strerror(result);
  long status = 0;
  curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
  return status >= 200 && status < 300 ? "" : str_format("it answered %ld", status);
}

}  // namespace

std::string webhook_signature(const std::string& secret, const std::string& body) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned int size = 0;
  HMAC(EVP_sha256(), secret.data(), static_cast<int>(secret.size()),
       reinterpret_cast<const unsigned char*>(body.data()), body.size(), digest.data(), &size);
  std::string text = "sha256=";
  for (unsigned int i = 0; i < size; ++i) text += str_format("%02x", digest[i]);
  return text;
}

Status check_webhook_url(const std::string& url) {
  if ((url.starts_with("http://") || url.starts_with("https://")) &&
      url.find_first_of(" \r\n") == std::string::npos)
    return Status();
  return Status(Code::kInvalidArgument, "'" + url + "' is no address that begins with http:// or https://");
}

int send_webhooks(const WebhookOptions& options, FILE* input, FILE* output) {
  curl_global_init(CURL_GLOBAL_DEFAULT);
  const std::unique_ptr<CURL, void (*)(CURL*)> curl(curl_easy_init(), curl_easy_cleanup);
  if (!curl) return 1;
  char* line = nullptr;
  size_t room = 0;
  for (;;) {
    ssize_t size = getline(&line, &room, input);
    if (size < 0) break;
    if (size > 0 && line[size - 1] == '\n') --size;
    const std::string body(line, static_cast<size_t>(size));
    std::string problem;
    long pause_ms = options.first_pause_ms;
    for (int attempt = 1; attempt <= kMostTries; ++attempt, pause_ms *= 2) {
      problem = post_once(curl.get(), options, body);
      if (problem.empty() || attempt == kMostTries) break;
      usleep(static_cast<useconds_t>(pause_ms * 1000));
    }
    if (problem.empty()) continue;
    fprintf(output, "an alert could not be sent to %s in %d tries: %s\n", options.url.c_str(), kMostTries,
            problem.c_str());
    fflush(output);
  }
  free(line);
  return 0;
}

}  // namespace tessera::node
