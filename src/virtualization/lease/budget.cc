#include "virtualization/lease/budget.h"

#include <algorithm>
#include <cassert>
#include <limits>

namespace tessera::vgpu {
namespace {

uint64_t saturating_add(uint64_t a, uint64_t b) {
  return a > std::numeric_limits<uint64_t>::max() - b ? std::numeric_limits<uint64_t>::max() : a + b;
}

}  // namespace

bool Budget::charge(uint64_t bytes) {
  if (bytes > available()) return false;
  used_ += bytes;
  return true;
}

Budget::Claim Budget::claim(uint64_t bytes) {
  uint64_t at_hand = available();
  assert(bytes > at_hand);
  claimed_ += at_hand;
  uint64_t needed = bytes - at_hand;
  return {at_hand, needed, saturating_add(needed, chunk_bytes_)};
}

void Budget::settle(const Claim& claim, uint64_t granted) {
  assert(granted >= claim.needed && granted <= claim.wanted);
  granted_ += granted;
  claimed_ -= claim.set_aside;
  used_ += claim.set_aside + claim.needed;
}

void Budget::abandon(const Claim& claim) {
  assert(claim.set_aside <= claimed_);
  claimed_ -= claim.set_aside;
}

void Budget::take(uint64_t granted) {
  granted_ += granted;
  used_ += granted;
}

uint64_t Budget::credit(uint64_t bytes) {
  assert(bytes <= used_);
  used_ -= bytes;
  if (available() <= saturating_add(chunk_bytes_, chunk_bytes_)) return 0;
  uint64_t surplus = available() - chunk_bytes_;
  granted_ -= surplus;
  return surplus;
}

uint64_t Budget::recall(uint64_t bytes) {
  uint64_t given = std::min(bytes, available());
  granted_ -= given;
  return given;
}

void Budget::give_up(uint64_t bytes) {
  assert(bytes <= used_);
  used_ -= bytes;
  granted_ -= bytes;
}

}  // namespace tessera::vgpu
