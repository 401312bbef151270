#include "monitoring/history/database.h"

#include <sqlite3.h>
#include <sys/stat.h>

#include <utility>

namespace tessera::monitoring {
namespace {

constexpr int kPatienceMs = 2'000;  // for another process's transaction

}  // namespace

Status database_error(sqlite3* database, const char* what) {
  const int result = sqlite3_extended_errcode(database);
  Code code = Code::kUnavailable;
  switch (result & 0xff) {
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
    case SQLITE_SCHEMA:
      code = Code::kInvalidData;
      break;
    case SQLITE_FULL:
    case SQLITE_NOMEM:
      code = Code::kResourceExhausted;
      break;
    case SQLITE_IOERR:
      // Out of space or quota shows as a write that fails.
      code = result == SQLITE_IOERR_WRITE ? Code::kResourceExhausted : Code::kUnavailable;
      if (result == SQLITE_IOERR_SHORT_READ || result == SQLITE_IOERR_CORRUPTFS) code = Code::kInvalidData;
      break;
    case SQLITE_CANTOPEN:
      code = Code::kNotFound;
      break;
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_AUTH:
      code = Code::kPermissionDenied;
      break;
    case SQLITE_MISUSE:
      code = Code::kInternal;
      break;
    default:
      break;
  }
  return Status::error(code, "%s: %s", what, sqlite3_errmsg(database));
}

Statement::Statement(Statement&& other) noexcept
    : database_(other.database_), statement_(std::exchange(other.statement_, nullptr)) {}

Statement& Statement::operator=(Statement&& other) noexcept {
  std::swap(database_, other.database_);
  std::swap(statement_, other.statement_);
  return *this;
}

Statement::~Statement() { sqlite3_finalize(statement_); }

Statement& Statement::bind(int parameter, int64_t value) {
  if (parameter == 1) reset();
  sqlite3_bind_int64(statement_, parameter, value);
  return *this;
}

Statement& Statement::bind(int parameter, std::string_view text) {
  if (parameter == 1) reset();
  sqlite3_bind_text(statement_, parameter, text.data(), static_cast<int>(text.size()), SQLITE_STATIC);
  return *this;
}

Statement& Statement::bind(int parameter, std::span<const std::byte> bytes) {
  if (parameter == 1) reset();
  sqlite3_bind_blob(statement_, parameter, bytes.data(), static_cast<int>(bytes.size()), SQLITE_STATIC);
  return *this;
}

Result<bool> Statement::step() {
  const int result = sqlite3_step(statement_);
  if (result == SQLITE_ROW) return true;
  if (result == SQLITE_DONE) return false;
  Status failed = database_error(database_, "history");
  reset();
  return failed;
}

Status Statement::run() {
  Status status;
  for (;;) {
    const auto row = step();
    if (!row.ok()) status = row.status();
    if (!row.ok() || !*row) break;
  }
  reset();
  return status;
}

void Statement::reset() {
  sqlite3_reset(statement_);
  sqlite3_clear_bindings(statement_);
}

int64_t Statement::integer(int column) const { return sqlite3_column_int64(statement_, column); }

std::string_view Statement::text(int column) const {
  const unsigned char* text = sqlite3_column_text(statement_, column);
  if (text == nullptr) return {};
  return {reinterpret_cast<const char*>(text), static_cast<size_t>(sqlite3_column_bytes(statement_, column))};
}

std::span<const std::byte> Statement::bytes(int column) const {
  const void* bytes = sqlite3_column_blob(statement_, column);
  return {static_cast<const std::byte*>(bytes),
          static_cast<size_t>(sqlite3_column_bytes(statement_, column))};
}

Result<Database> Database::open(const std::string& path, Access access) {
  Database opened;
  const int flags =
      access == Access::kRead ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE;
  const mode_t before = umask(S_IRWXG | S_IRWXO);
  const int result = sqlite3_open_v2(path.c_str(), &opened.database_, flags | SQLITE_OPEN_NOMUTEX, nullptr);
  umask(before);
  if (result != SQLITE_OK) return database_error(opened.database_, ("cannot open " + path).c_str());
  sqlite3_busy_timeout(opened.database_, kPatienceMs);
  return opened;
}

Database::Database(Database&& other) noexcept : database_(std::exchange(other.database_, nullptr)) {}

Database& Database::operator=(Database&& other) noexcept {
  std::swap(database_, other.database_);
  return *this;
}

Database::~Database() { sqlite3_close_v2(database_); }

Status Database::execute(const char* sql) {
  if (sqlite3_exec(database_, sql, nullptr, nullptr, nullptr) == SQLITE_OK) return Status();
  return database_error(database_, "history");
}

Result<Statement> Database::prepare(const char* sql) {
  Statement statement;
  statement.database_ = database_;
  if (sqlite3_prepare_v3(database_, sql, -1, SQLITE_PREPARE_PERSISTENT, &statement.statement_, nullptr) !=
      SQLITE_OK)
    return database_error(database_, "history");
  return statement;
}

Result<int64_t> Database::number(const char* sql) {
  TESSERA_ASSIGN_OR_RETURN(Statement statement, prepare(sql));
  TESSERA_ASSIGN_OR_RETURN(const bool found, statement.step());
  return found ? statement.integer(0) : 0;
}

}  // namespace tessera::monitoring
