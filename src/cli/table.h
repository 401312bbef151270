// Aligned columns on standard output.
#pragma once

#include <string>
#include <vector>

namespace tessera::cli {

class Table {
 public:
  enum class Align { kLeft, kRight };
  struct Column {
    const char* title;
    Align align;
  };

  explicit Table(std::vector<Column> columns) : columns_(std::move(columns)) {}
  void add(std::vector<std::string> row);
  void print() const;

 private:
  std::vector<Column> columns_;
  std::vector<std::vector<std::string>> rows_;
};

// "42s", "3m10s", "5h02m", "2d03h"
std::string format_age(double seconds);

}  // namespace tessera::cli
