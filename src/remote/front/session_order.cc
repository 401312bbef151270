#include "remote/front/session_order.h"

#include <cstring>
#include <memory>
#include <span>
#include <type_traits>

#include "remote/transport/passed_files.h"
#include "remote/transport/socket_transport.h"

namespace tessera::remote {
namespace {

constexpr size_t kMostOrderBytes = 64 << 10;
static_assert(kMostWishesBytes < kMostOrderBytes / 2);

// Both write down, or read, one thing after another; the order is that of fields().
class OrderWriter {
 public:
  template <typename T>
  void operator()(const T& value) {
    static_assert(std::is_trivially_copyable_v<T>);
    bytes_.append(reinterpret_cast<const char*>(&value), sizeof value);
  }
  void operator()(const std::string& text) {
    (*this)(static_cast<uint32_t>(text.size()));
    bytes_ += text;
  }
  template <typename T>
  void operator()(const std::vector<T>& all) {
    (*this)(static_cast<uint32_t>(all.size()));
    for (const T& one : all) (*this)(one);
  }
  void operator()(const std::pair<std::string, std::string>& both) {
    (*this)(both.first);
    (*this)(both.second);
  }
  std::string& bytes() { return bytes_; }

 private:
  std::string bytes_;
};

class OrderReader {
 public:
  explicit OrderReader(ByteSpan bytes) : bytes_(bytes) {}
  template <typename T>
  void operator()(T& value) {
    static_assert(std::is_trivially_copyable_v<T>);
    const auto found = read_at<T>(bytes_, at_);
    if (!found) return fail();
    value = *found;
    at_ += sizeof value;
  }
  void operator()(std::string& text) {
    uint32_t size = 0;
    (*this)(size);
    const auto found = slice_at(bytes_, at_, size);
    if (!found) return fail();
    text.assign(reinterpret_cast<const char*>(found->data()), found->size());
    at_ += size;
  }
  template <typename T>
  void operator()(std::vector<T>& all) {
    uint32_t count = 0;
    (*this)(count);
    for (uint32_t i = 0; i < count && !failed_; ++i) (*this)(all.emplace_back());
  }
  void operator()(std::pair<std::string, std::string>& both) {
    (*this)(both.first);
    (*this)(both.second);
  }
  bool whole() const { return !failed_ && at_ == bytes_.size(); }

 private:
  void fail() { failed_ = true; }

  const ByteSpan bytes_;
  size_t at_ = 0;
  bool failed_ = false;
};

// The identity's token is not among them: no session has it.
template <typename Session, typename Visitor>
void fields(Session& session, Visitor& visit) {
  visit(session.flavour);
  visit(session.secret);
  visit(session.answer);
  auto& start = session.start;
  visit(start.id);
  visit(start.checksums);
  visit(start.tenant_key);
  visit(start.wishes);
  visit(start.peer);
  visit(start.identity.name);
  visit(start.identity.certificates);
  visit(start.identity.sessions);
  visit(start.identity.connections_per_second);
  visit(start.identity.slice);
}

}  // namespace

Status send_order(int control, const NewSession& session, int socket) {
  OrderWriter writer;
  fields(session, writer);
  const auto bytes = std::as_writable_bytes(std::span<char>(writer.bytes()));
  Status sent(Code::kResourceExhausted, "a session has more to say than goes into a message");
  if (bytes.size() <= kMostOrderBytes) sent = pass_files(control, bytes, std::span(&socket, 1));
  forget(bytes);
  return sent;
}

Result<NewSession> receive_order(int control) {
  // Of that much room little is used: what is not written costs no pages.
  const auto room = std::make_unique_for_overwrite<std::byte[]>(kMostOrderBytes);
  UniqueFd socket;
  TESSERA_ASSIGN_OR_RETURN(const size_t count,
                           take_files(control, {room.get(), kMostOrderBytes}, std::span(&socket, 1)));
  const std::span<std::byte> said(room.get(), count);
  if (count == 0) return Status(Code::kUnavailable, "the server's front has gone");
  NewSession session;
  OrderReader reader(said);
  fields(session, reader);
  forget(said);
  if (!reader.whole() || !socket) return Status(Code::kInternal, "the server's front gives no whole session");
  const char* const kind = is_local(session.flavour) ? "unix" : "tcp";
  TESSERA_ASSIGN_OR_RETURN(session.transport, SocketTransport::create(std::move(socket), kind));
  return session;
}

}  // namespace tessera::remote
