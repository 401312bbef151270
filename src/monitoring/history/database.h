// SQLite as this room uses it: statements that bind and step, errors as values.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "common/status.h"

struct sqlite3;
struct sqlite3_stmt;

namespace tessera::monitoring {

class Database;

// Steps over rows or does something, once after each binding; reset by the next bind of its first parameter.
class Statement {
 public:
  Statement() = default;
  Statement(Statement&& other) noexcept;
  Statement& operator=(Statement&& other) noexcept;
  ~Statement();

  // Parameters begin at 1. Text and bytes must live until the next reset.
  Statement& bind(int parameter, int64_t value);
  Statement& bind(int parameter, std::string_view text);
  Statement& bind(int parameter, std::span<const std::byte> bytes);
  // True where there is a row.
  Result<bool> step();
  // Runs what gives no row.
  Status run();
  void reset();
  int64_t integer(int column) const;
  std::string_view text(int column) const;
  std::span<const std::byte> bytes(int column) const;

 private:
  friend class Database;
  sqlite3* database_ = nullptr;
  sqlite3_stmt* statement_ = nullptr;
};

class Database {
 public:
  enum class Access { kRead, kReadWrite };
  // Makes a file that others cannot read where there is none.
  static Result<Database> open(const std::string& path, Access access);
  Database() = default;
  Database(Database&& other) noexcept;
  Database& operator=(Database&& other) noexcept;
  ~Database();

  Status execute(const char* sql);
  Result<Statement> prepare(const char* sql);
  // The one number that a query gives.
  Result<int64_t> number(const char* sql);

 private:
  sqlite3* database_ = nullptr;
};

// What the last error means for whoever writes: kInvalidData is a file that is damaged or no database,
// kResourceExhausted a disk (or the bound of the file) that is full.
Status database_error(sqlite3* database, const char* what);

}  // namespace tessera::monitoring
