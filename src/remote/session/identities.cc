#include "remote/session/identities.h"

#include <algorithm>
#include <utility>

#include "remote/session/messages.h"

namespace tessera::remote {
namespace {

bool valid_name(const std::string& name) {
  return !name.empty() && name.size() <= kMostIdentityBytes &&
         std::all_of(name.begin(), name.end(), [](char c) { return c > ' ' && c < 0x7f; });
}

}  // namespace

Status Identities::add(Identity identity) {
  if (!valid_name(identity.name)) {
    return Status::error(Code::kInvalidArgument,
                         "an identity's name has 1 to %zu printable characters and no blanks",
                         kMostIdentityBytes);
  }
  if (find(identity.name) != nullptr)
    return Status::error(Code::kInvalidArgument, "identity '%s' is there twice", identity.name.c_str());
  if (!identity.token.empty() && identity.token.size() < kLeastTokenBytes) {
    return Status::error(Code::kInvalidArgument,
                         "the token of '%s' can be guessed: it has less than %zu characters; "
                         "'openssl rand -hex 32' makes a good one",
                         identity.name.c_str(), kLeastTokenBytes);
  }
  for (const std::string& certificate : identity.certificates) {
    if (with_certificate(certificate) != nullptr)
      return Status::error(Code::kInvalidArgument, "certificate '%s' means two identities",
                           certificate.c_str());
  }
  if (all_.size() == kMost) return Status::error(Code::kResourceExhausted, "more than %zu identities", kMost);
  all_.push_back(std::move(identity));
  return Status();
}

bool Identities::any_token() const {
  return std::any_of(all_.begin(), all_.end(), [](const Identity& one) { return !one.token.empty(); });
}

bool Identities::any_certificate() const {
  return std::any_of(all_.begin(), all_.end(), [](const Identity& one) { return !one.certificates.empty(); });
}

const Identity* Identities::find(std::string_view name) const {
  const auto found =
      std::find_if(all_.begin(), all_.end(), [&](const Identity& one) { return one.name == name; });
  return found == all_.end() ? nullptr : &*found;
}

Identity* Identities::find(std::string_view name) {
  return const_cast<Identity*>(std::as_const(*this).find(name));
}

const Identity* Identities::with_token(std::string_view name) const {
  const Identity* only = nullptr;
  for (const Identity& one : all_) {
    if (one.token.empty()) continue;
    if (one.name == name) return &one;
    if (!name.empty()) continue;
    if (only != nullptr) return nullptr;
    only = &one;
  }
  return only;
}

const Identity* Identities::with_certificate(std::string_view certificate) const {
  const auto found = std::find_if(all_.begin(), all_.end(), [&](const Identity& one) {
    return std::find(one.certificates.begin(), one.certificates.end(), certificate) != one.certificates.end();
  });
  return found == all_.end() ? nullptr : &*found;
}

void Identities::forget_tokens() {
  for (Identity& one : all_) {
    forget(std::as_writable_bytes(std::span(one.token)));
    one.token.clear();
  }
}

}  // namespace tessera::remote
