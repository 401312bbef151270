// Names inside a function body: registers and variables per { } scope, the inner ones shadowing.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace tessera::softgpu::ptx {

// What a name stands for: a register of the function, or a symbol (variable, parameter) of BodyParser's list.
struct Binding {
  bool is_register = false;
  uint32_t index = 0;
};

class Scopes {
 public:
  void enter() { marks_.push_back(entries_.size()); }
  void leave();
  size_t depth() const { return marks_.size(); }

  // False where this scope has the name already. Names must outlive the scopes.
  bool declare(std::string_view name, Binding binding);
  // prefix0 … prefix<count-1>, bound to binding.index and onwards.
  bool declare_range(std::string_view prefix, Binding binding, uint32_t count);
  // The innermost binding of `name`; false where there is none.
  bool find(std::string_view name, Binding* binding) const;

 private:
  struct Entry {
    std::string_view name;
    Binding binding;
    uint32_t count = 0;  // 0 for a single name
    size_t depth = 0;
    int64_t shadowed = -1;  // entry of the same name (and kind: single or range) outside
  };
  using Map = std::unordered_map<std::string_view, int64_t>;

  bool add(Map& map, std::string_view name, Binding binding, uint32_t count);

  std::vector<Entry> entries_;  // a stack: leaving a scope pops what it declared
  std::vector<size_t> marks_;
  Map names_, ranges_;
  std::deque<std::string> expanded_;  // names made here
};

}  // namespace tessera::softgpu::ptx
