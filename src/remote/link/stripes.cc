#include "remote/link/stripes.h"

#include <algorithm>
#include <utility>

#include "virtualization/quiet_thread.h"

namespace tessera::remote {
namespace {

constexpr std::chrono::seconds kPatience(10);

}  // namespace

Stripes::~Stripes() {
  end(Status(Code::kUnavailable, "the session has ended"));
  for (const auto& stripe : stripes_) {
    pthread_join(stripe->sender, nullptr);
    pthread_join(stripe->receiver, nullptr);
  }
}

Status Stripes::add(std::unique_ptr<Link> link) {
  std::lock_guard lock(lock_);
  if (stripes_.size() >= kMost) return {Code::kResourceExhausted, "the session has enough connections"};
  auto stripe = std::make_unique<Stripe>();
  stripe->all = this;
  stripe->index = stripes_.size();
  stripe->link = std::move(link);
  constexpr auto kSend = [](void* one) -> void* {
    static_cast<Stripe*>(one)->all->send_all(*static_cast<Stripe*>(one));
    return nullptr;
  };
  constexpr auto kReceive = [](void* one) -> void* {
    static_cast<Stripe*>(one)->all->receive_all(*static_cast<Stripe*>(one));
    return nullptr;
  };
  TESSERA_ASSIGN_OR_RETURN(stripe->receiver,
                           vgpu::start_quiet_thread("tessera-stripe", kReceive, stripe.get()));
  auto sender = vgpu::start_quiet_thread("tessera-stripe", kSend, stripe.get());
  if (!sender.ok()) {
    stripe->link->end();
    lock_.unlock();
    pthread_join(stripe->receiver, nullptr);
    lock_.lock();
    return sender.status();
  }
  stripe->sender = *sender;
  stripes_.push_back(std::move(stripe));
  return Status();
}

size_t Stripes::count() const {
  std::lock_guard lock(lock_);
  return has_ended_ ? 0 : stripes_.size();
}

void Stripes::end(const Status& why) {
  std::vector<Link*> links;
  {
    std::lock_guard lock(lock_);
    if (!has_ended_) why_ = why.ok() ? Status(Code::kUnavailable, "the session has ended") : why;
    has_ended_ = true;
    for (const auto& stripe : stripes_) links.push_back(stripe->link.get());
  }
  changed_.notify_all();
  for (Link* link : links) link->end();
}

Result<uint64_t> Stripes::send(ByteSpan piece, size_t among) {
  std::unique_lock lock(lock_);
  Stripe* free = nullptr;
  changed_.wait(lock, [&] {
    for (size_t i = 0; i < std::min(among, stripes_.size()); ++i) {
      Stripe& one = *stripes_[i];
      if (one.waiting.size() >= kMostWaiting) continue;
      if (free == nullptr || one.waiting.size() < free->waiting.size()) free = &one;
    }
    return has_ended_ || free != nullptr;
  });
  if (has_ended_) return why_;
  const uint64_t number = next_++;
  free->waiting.push_back({number, {piece.begin(), piece.end()}});
  changed_.notify_all();
  return number;
}

Status Stripes::send_one(Stripe& stripe, Piece piece) {
  if (stripe.sent.size() >= kMostSent) {
    TESSERA_RETURN_IF_ERROR(stripe.link->wait_taken(stripe.sent.front().first));
    stripe.sent.pop_front();
  }
  const Head head{piece.number, piece.bytes.size()};
  auto& kept = stripe.sent.emplace_back(0, std::move(piece));
  Link::Sender sender(*stripe.link);
  sender.append(std::as_bytes(std::span(&head, 1)));
  kept.first = sender.append_borrowed(kept.second.bytes);
  return sender.flush();
}

void Stripes::send_all(Stripe& stripe) {
  std::unique_lock lock(lock_);
  while (!has_ended_) {
    if (stripe.waiting.empty()) {
      changed_.wait(lock);
      continue;
    }
    Piece piece = std::move(stripe.waiting.front());
    stripe.waiting.pop_front();
    stripe.is_sending = true;
    lock.unlock();
    changed_.notify_all();
    const Status status = send_one(stripe, std::move(piece));
    lock.lock();
    stripe.is_sending = false;
    if (!stripe.sent.empty()) stripe.sent_until = stripe.sent.back().first;
    changed_.notify_all();
    if (status.ok()) continue;
    lock.unlock();
    end(status);
    lock.lock();
  }
}

Status Stripes::drain() {
  std::vector<std::pair<Link*, uint64_t>> ends;
  {
    std::unique_lock lock(lock_);
    changed_.wait(lock, [&] {
      return has_ended_ || std::all_of(stripes_.begin(), stripes_.end(), [](const auto& one) {
               return one->waiting.empty() && !one->is_sending;
             });
    });
    if (has_ended_) return why_;
    for (const auto& stripe : stripes_) ends.emplace_back(stripe->link.get(), stripe->sent_until);
  }
  for (const auto& [link, until] : ends) TESSERA_RETURN_IF_ERROR(link->wait_taken(until));
  return Status();
}

uint64_t Stripes::peer_had() const {
  std::lock_guard lock(lock_);
  uint64_t had = 0;
  for (const auto& stripe : stripes_) had += stripe->link->peer_had();
  return had;
}

Status Stripes::receive_one(Stripe& stripe) {
  Head head;
  TESSERA_RETURN_IF_ERROR(stripe.link->read(std::as_writable_bytes(std::span(&head, 1))));
  if (head.bytes == 0 || head.bytes > kMostPieceBytes)
    return Status(Code::kInvalidData, "a piece of a size that cannot be");
  std::vector<std::byte> bytes(head.bytes);
  TESSERA_RETURN_IF_ERROR(stripe.link->read(bytes));
  std::unique_lock lock(lock_);
  if (!arrived_.emplace(head.number, Arrived{stripe.index, std::move(bytes)}).second)
    return Status(Code::kInvalidData, "two pieces of one number");
  ++stripe.uncollected;
  changed_.notify_all();
  changed_.wait(lock, [&] { return has_ended_ || stripe.uncollected < kMostUncollected; });
  return Status();
}

void Stripes::receive_all(Stripe& stripe) {
  for (;;) {
    const Status status = receive_one(stripe);
    std::unique_lock lock(lock_);
    if (has_ended_) return;
    if (status.ok()) continue;
    lock.unlock();
    end(status);
    return;
  }
}

Result<std::vector<std::byte>> Stripes::take(uint64_t number) {
  std::unique_lock lock(lock_);
  // Its connection may be about to be added.
  const bool is_any = changed_.wait_for(lock, kPatience, [&] { return has_ended_ || !stripes_.empty(); });
  if (!is_any) return Status(Code::kInvalidData, "a piece is to come over a connection that there is not");
  changed_.wait(lock, [&] { return has_ended_ || arrived_.contains(number); });
  const auto found = arrived_.find(number);
  if (found == arrived_.end()) return why_;
  std::vector<std::byte> bytes = std::move(found->second.bytes);
  --stripes_[found->second.stripe]->uncollected;
  arrived_.erase(found);
  changed_.notify_all();
  return bytes;
}

}  // namespace tessera::remote
