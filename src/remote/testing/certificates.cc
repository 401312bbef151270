#include "remote/testing/certificates.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdlib.h>

#include <cstdio>
#include <filesystem>

namespace tessera::remote {
namespace {

using Key = std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)>;
using Certificate = std::unique_ptr<X509, decltype(&X509_free)>;

constexpr long kDaySeconds = 24 * 3600;

void require(bool done) {
  if (!done) abort();
}

Key new_key() { return {EVP_EC_gen("P-256"), &EVP_PKEY_free}; }

void extend(X509* certificate, X509* issuer, int kind, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  X509_EXTENSION* const extension = X509V3_EXT_conf_nid(nullptr, &context, kind, value.c_str());
  require(extension != nullptr && X509_add_ext(certificate, extension, -1) == 1);
  X509_EXTENSION_free(extension);
}

Certificate new_certificate(const std::string& name, EVP_PKEY* key, long serial) {
  Certificate certificate(X509_new(), &X509_free);
  X509_set_version(certificate.get(), 2);
  ASN1_INTEGER_set(X509_get_serialNumber(certificate.get()), serial);
  X509_gmtime_adj(X509_getm_notBefore(certificate.get()), -kDaySeconds);
  X509_gmtime_adj(X509_getm_notAfter(certificate.get()), kDaySeconds);
  X509_set_pubkey(certificate.get(), key);
  X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate.get()), "CN", MBSTRING_ASC,
                             reinterpret_cast<const unsigned char*>(name.c_str()), -1, -1, 0);
  return certificate;
}

void write(const std::string& path, X509* certificate, EVP_PKEY* key) {
  FILE* const file = fopen(path.c_str(), "w");
  require(file != nullptr);
  if (certificate != nullptr) require(PEM_write_X509(file, certificate) == 1);
  if (key != nullptr) require(PEM_write_PrivateKey(file, key, nullptr, nullptr, 0, nullptr, nullptr) == 1);
  require(fclose(file) == 0);
}

}  // namespace

struct Certificates::Authority {
  Key key = new_key();
  Certificate certificate = new_certificate("a CA of a test", key.get(), 1);
  long last_serial = 1;
};

Certificates::Certificates() : authority_(std::make_unique<Authority>()) {
  char name[] = "/tmp/tessera-ca-XXXXXX";
  folder_ = mkdtemp(name);
  X509* const ca = authority_->certificate.get();
  X509_set_issuer_name(ca, X509_get_subject_name(ca));
  extend(ca, ca, NID_basic_constraints, "critical,CA:TRUE");
  require(X509_sign(ca, authority_->key.get(), EVP_sha256()) > 0);
  write(this->ca(), ca, nullptr);
}

Certificates::~Certificates() { std::filesystem::remove_all(folder_); }

Certificates::Files Certificates::issue(const std::string& name) {
  const Key key = new_key();
  const Certificate certificate = new_certificate(name, key.get(), ++authority_->last_serial);
  X509* const ca = authority_->certificate.get();
  X509_set_issuer_name(certificate.get(), X509_get_subject_name(ca));
  extend(certificate.get(), ca, NID_subject_alt_name, "DNS:" + name + ",IP:127.0.0.1");
  require(X509_sign(certificate.get(), authority_->key.get(), EVP_sha256()) > 0);
  const Files files{folder_ + "/" + name + ".pem", folder_ + "/" + name + ".key"};
  write(files.certificate, certificate.get(), nullptr);
  write(files.key, nullptr, key.get());
  return files;
}

}  // namespace tessera::remote
