// JSON without exceptions: readers that check, a writer that cannot fail.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

namespace tessera::node {

using Json = nlohmann::ordered_json;

// An object, or nothing: text from a peer may be anything.
inline std::optional<Json> parse_json_object(std::string_view text) {
  Json value = Json::parse(text, nullptr, false);
  if (!value.is_object()) return std::nullopt;
  return value;
}

// Bytes that are not UTF-8 are replaced, as names of programs may be anything.
inline std::string json_text(const Json& value, int indent = -1) {
  return value.dump(indent, ' ', false, Json::error_handler_t::replace);
}

inline std::string json_string(const Json& object, const char* key) {
  auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

inline std::optional<uint64_t> json_uint(const Json& object, const char* key) {
  auto found = object.find(key);
  if (found == object.end() || !found->is_number_unsigned()) return std::nullopt;
  return found->get<uint64_t>();
}

inline bool json_bool(const Json& object, const char* key) {
  auto found = object.find(key);
  return found != object.end() && found->is_boolean() && found->get<bool>();
}

// The array under `key`; an empty one where there is none.
inline Json json_array(const Json& object, const char* key) {
  auto found = object.find(key);
  return found != object.end() && found->is_array() ? *found : Json::array();
}

}  // namespace tessera::node
