#include "cli/table.h"

#include <algorithm>
#include <cassert>
#include <cstdint>
#include <cstdio>

#include "common/strings.h"

namespace tessera::cli {

void Table::add(std::vector<std::string> row) {
  assert(row.size() == columns_.size());
  rows_.push_back(std::move(row));
}

void Table::print() const {
  std::vector<std::string> titles;
  for (const Column& column : columns_) titles.emplace_back(column.title);
  auto width = [&](size_t i) {
    size_t widest = titles[i].size();
    for (const auto& row : rows_) widest = std::max(widest, row[i].size());
    return static_cast<int>(widest);
  };
  auto print_row = [&](const std::vector<std::string>& row) {
    std::string line;
    for (size_t i = 0; i < row.size(); ++i) {
      bool right = columns_[i].align == Align::kRight;
      line += str_format(right ? "%*s" : "%-*s", width(i), row[i].c_str());
      line += "  ";
    }
    line.erase(line.find_last_not_of(' ') + 1);
    puts(line.c_str());
  };
  print_row(titles);
  for (const auto& row : rows_) print_row(row);
}

std::string format_age(double seconds) {
  auto whole = static_cast<unsigned long long>(std::max(seconds, 0.0));
  unsigned long long minutes = whole / 60;
  unsigned long long hours = minutes / 60;
  if (minutes == 0) return str_format("%llus", whole);
  if (hours == 0) return str_format("%llum%02llus", minutes, whole % 60);
  if (hours < 24) return str_format("%lluh%02llum", hours, minutes % 60);
  return str_format("%llud%02lluh", hours / 24, hours % 24);
}

}  // namespace tessera::cli
