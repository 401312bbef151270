// A CA, and what it has signed, in a folder that lives as long as this: for tests.
#pragma once

#include <memory>
#include <string>

namespace tessera::remote {

class Certificates {
 public:
  Certificates();
  ~Certificates();
  Certificates(const Certificates&) = delete;
  Certificates& operator=(const Certificates&) = delete;

  struct Files {
    std::string certificate, key;
  };
  std::string ca() const { return folder_ + "/ca.pem"; }
  // For a host (a DNS name, and 127.0.0.1) or for a client of that name.
  Files issue(const std::string& name);

 private:
  struct Authority;
  std::string folder_;
  std::unique_ptr<Authority> authority_;
};

}  // namespace tessera::remote
