#include "eval/store.h"

#include <sqlite3.h>

#include <utility>

#include "base/error.h"

namespace touchstone {
namespace {
namespace fs = std::filesystem;

constexpr int kSchemaVersion = 1;
constexpr int kApplicationId = 0x54537431;  // "TSt1", in the file's header: tells our files from others

constexpr const char* kSchema = R"(
CREATE TABLE document(name TEXT PRIMARY KEY, json TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE item(
  number INTEGER PRIMARY KEY, suite TEXT NOT NULL, item TEXT NOT NULL, position INTEGER NOT NULL,
  prompt TEXT NOT NULL, expected TEXT NOT NULL, UNIQUE(suite, item));
CREATE TABLE answer(
  candidate INTEGER NOT NULL, suite TEXT NOT NULL, item TEXT NOT NULL, sample INTEGER NOT NULL,
  prompt TEXT NOT NULL, prompt_tokens INTEGER NOT NULL, text TEXT NOT NULL, reasoning TEXT NOT NULL,
  reasoning_closed INTEGER NOT NULL, tokens INTEGER NOT NULL, hit_length INTEGER NOT NULL,
  loops INTEGER NOT NULL, ttft_ms REAL NOT NULL, total_ms REAL NOT NULL,
  outcome TEXT, extracted TEXT, why TEXT,
  PRIMARY KEY(candidate, suite, item, sample),
  FOREIGN KEY(suite, item) REFERENCES item(suite, item));
CREATE TABLE latency(
  candidate INTEGER NOT NULL, repetition INTEGER NOT NULL, prompt_tokens INTEGER NOT NULL,
  cached_tokens INTEGER NOT NULL, new_tokens INTEGER NOT NULL, ttft_ms REAL NOT NULL,
  decode_tokens_per_second REAL NOT NULL, PRIMARY KEY(candidate, repetition));
)";

constexpr const char* kAnswerColumns =
    "answer.candidate, answer.suite, answer.item, answer.sample, answer.prompt, answer.prompt_tokens, "
    "answer.text, answer.reasoning, answer.reasoning_closed, answer.tokens, answer.hit_length, answer.loops, "
    "answer.ttft_ms, answer.total_ms, answer.outcome, answer.extracted, answer.why";

constexpr const char* kAnswerTables = " FROM answer JOIN item USING(suite, item)";
constexpr const char* kAnswerOrder = " ORDER BY answer.candidate, item.number, answer.sample";

struct CloseDatabase {
  void operator()(sqlite3* database) const { sqlite3_close(database); }
};

[[noreturn]] void fail(sqlite3* database, const std::string& file, int code) {
  const int primary = code & 0xff;
  const std::string text = database != nullptr ? sqlite3_errmsg(database) : sqlite3_errstr(code);
  if (primary == SQLITE_BUSY || primary == SQLITE_LOCKED) {
    throw Error(file + " is in use by another process", "wait for it to end, or choose another folder");
  }
  if (primary == SQLITE_FULL || primary == SQLITE_IOERR) {
    throw Error("cannot write " + file + ": " + text,
                "free some disk space, then continue with --resume; all answers committed so far are kept");
  }
  if (primary == SQLITE_NOTADB || primary == SQLITE_CORRUPT) {
    throw Error(file + " is damaged or not a touchstone run: " + text, "start a new run");
  }
  throw Error("cannot use " + file + ": " + text, "check the folder and its permissions");
}

/// An open file and how its failures are told.
struct Database {
  std::string file;
  std::unique_ptr<sqlite3, CloseDatabase> handle;

  void check(int code) const {
    if (code != SQLITE_OK && code != SQLITE_ROW && code != SQLITE_DONE) fail(handle.get(), file, code);
  }
  void execute(const char* sql) const { check(sqlite3_exec(handle.get(), sql, nullptr, nullptr, nullptr)); }
};

/// A prepared statement; values are bound in order, columns read in order.
class Statement {
 public:
  Statement(const Database& database, const std::string& sql) {
    database.check(sqlite3_prepare_v2(database.handle.get(), sql.c_str(), static_cast<int>(sql.size()),
                                      &statement_, nullptr));
  }
  Statement(const Statement&) = delete;
  Statement& operator=(const Statement&) = delete;
  ~Statement() { sqlite3_finalize(statement_); }

  Statement& bind(std::string_view text) {
    sqlite3_bind_text64(statement_, ++bound_, text.data(), text.size(), SQLITE_TRANSIENT, SQLITE_UTF8);
    return *this;
  }
  Statement& bind(int number) {
    sqlite3_bind_int(statement_, ++bound_, number);
    return *this;
  }
  Statement& bind(double number) {
    sqlite3_bind_double(statement_, ++bound_, number);
    return *this;
  }
  Statement& bind_null() {
    sqlite3_bind_null(statement_, ++bound_);
    return *this;
  }

  /// SQLITE_ROW, SQLITE_DONE or an error code.
  int step() {
    column_ = 0;
    return sqlite3_step(statement_);
  }
  void reset() {
    sqlite3_reset(statement_);
    bound_ = 0;
  }

  std::string text() {
    const auto* bytes = reinterpret_cast<const char*>(sqlite3_column_text(statement_, column_));
    const int size = sqlite3_column_bytes(statement_, column_);
    ++column_;
    return bytes == nullptr ? std::string() : std::string(bytes, static_cast<std::size_t>(size));
  }
  bool is_null() const { return sqlite3_column_type(statement_, column_) == SQLITE_NULL; }
  int integer() { return sqlite3_column_int(statement_, column_++); }
  double real() { return sqlite3_column_double(statement_, column_++); }

 private:
  sqlite3_stmt* statement_ = nullptr;
  int bound_ = 0;
  int column_ = 0;
};

bool next_row(const Database& database, Statement& statement) {
  const int code = statement.step();
  database.check(code);
  return code == SQLITE_ROW;
}

/// Rolls back unless commit() was reached.
class Transaction {
 public:
  explicit Transaction(const Database& database) : database_(database) {
    database_.execute("BEGIN IMMEDIATE");
  }
  Transaction(const Transaction&) = delete;
  Transaction& operator=(const Transaction&) = delete;
  ~Transaction() {
    if (!done_) sqlite3_exec(database_.handle.get(), "ROLLBACK", nullptr, nullptr, nullptr);
  }
  void commit() {
    database_.execute("COMMIT");
    done_ = true;
  }

 private:
  const Database& database_;
  bool done_ = false;
};

StoredAnswer read_answer(Statement& row) {
  StoredAnswer answer;
  answer.candidate = row.integer();
  answer.suite = row.text();
  answer.item = row.text();
  answer.sample = row.integer();
  answer.prompt = row.text();
  answer.prompt_tokens = row.integer();
  answer.text = row.text();
  answer.reasoning = row.text();
  answer.reasoning_closed = row.integer() != 0;
  answer.tokens = row.integer();
  answer.hit_length = row.integer() != 0;
  answer.loops = row.integer() != 0;
  answer.ttft_ms = row.real();
  answer.total_ms = row.real();
  if (!row.is_null()) {
    StoredGrade grade;
    grade.outcome = find_outcome(row.text()).value_or(Outcome::error);
    grade.extracted = row.text();
    grade.why = row.text();
    answer.grade = std::move(grade);
  }
  return answer;
}

void bind_grade(Statement& statement, const std::optional<StoredGrade>& grade) {
  if (grade) {
    statement.bind(outcome_name(grade->outcome)).bind(grade->extracted).bind(grade->why);
  } else {
    statement.bind_null().bind_null().bind_null();
  }
}

/// Opens and takes the file's lock, which is held until it is closed.
Database open_database(const fs::path& file, int flags) {
  Database database{.file = file.string(), .handle = nullptr};
  sqlite3* handle = nullptr;
  const int code = sqlite3_open_v2(file.c_str(), &handle, flags, nullptr);
  database.handle.reset(handle);
  database.check(code);
  sqlite3_extended_result_codes(handle, 1);
  database.execute("PRAGMA locking_mode = EXCLUSIVE; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;");
  database.execute("BEGIN EXCLUSIVE; COMMIT");
  return database;
}

int read_pragma(const Database& database, const char* name) {
  Statement statement(database, std::string("PRAGMA ") + name);
  return next_row(database, statement) ? statement.integer() : 0;
}

}  // namespace

std::string_view outcome_name(Outcome outcome) {
  switch (outcome) {
    case Outcome::correct:
      return "correct";
    case Outcome::wrong:
      return "wrong";
    case Outcome::cut_off:
      return "cut_off";
    case Outcome::looped:
      return "looped";
    case Outcome::unparsable:
      return "unparsable";
    case Outcome::timed_out:
      return "timed_out";
    case Outcome::error:
      break;
  }
  return "error";
}

std::optional<Outcome> find_outcome(std::string_view name) {
  for (const Outcome outcome : kOutcomes) {
    if (outcome_name(outcome) == name) return outcome;
  }
  return std::nullopt;
}

struct Store::Impl : Database {};

Store::Store(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Store::Store(Store&&) noexcept = default;
Store& Store::operator=(Store&&) noexcept = default;
Store::~Store() = default;

Store Store::create(const fs::path& file) {
  if (fs::exists(file)) {
    throw Error(file.string() + " exists already",
                "continue it with --resume " + file.parent_path().string() + ", or choose another --out");
  }
  auto impl = std::make_unique<Impl>(Impl{open_database(file, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE)});
  Transaction transaction(*impl);
  impl->execute(kSchema);
  impl->execute(("PRAGMA application_id = " + std::to_string(kApplicationId)).c_str());
  impl->execute(("PRAGMA user_version = " + std::to_string(kSchemaVersion)).c_str());
  transaction.commit();
  return Store(std::move(impl));
}

Store Store::open(const fs::path& file) {
  if (!fs::is_regular_file(file)) {
    throw Error(
        "there is no run in " + file.parent_path().string() + ": " + file.filename().string() + " is missing",
        "name the folder that an earlier compare wrote");
  }
  auto impl = std::make_unique<Impl>(Impl{open_database(file, SQLITE_OPEN_READWRITE)});
  if (read_pragma(*impl, "application_id") != kApplicationId) {
    throw Error(file.string() + " is not a touchstone run", "name the folder that an earlier compare wrote");
  }
  if (const int version = read_pragma(*impl, "user_version"); version != kSchemaVersion) {
    throw Error(file.string() + " has schema version " + std::to_string(version) + ", this program writes " +
                    std::to_string(kSchemaVersion),
                "start a new run");
  }
  return Store(std::move(impl));
}

void Store::put_document(std::string_view name, std::string_view json) {
  Statement statement(*impl_, "INSERT OR REPLACE INTO document(name, json) VALUES(?, ?)");
  statement.bind(name).bind(json);
  impl_->check(statement.step());
}

std::optional<std::string> Store::find_document(std::string_view name) const {
  Statement statement(*impl_, "SELECT json FROM document WHERE name = ?");
  statement.bind(name);
  if (!next_row(*impl_, statement)) return std::nullopt;
  return statement.text();
}

void Store::put_items(std::span<const StoredItem> items) {
  Transaction transaction(*impl_);
  Statement statement(*impl_,
                      "INSERT INTO item(suite, item, position, prompt, expected) VALUES(?, ?, ?, ?, ?)");
  for (const StoredItem& item : items) {
    statement.bind(item.suite).bind(item.item).bind(item.position).bind(item.prompt).bind(item.expected);
    impl_->check(statement.step());
    statement.reset();
  }
  transaction.commit();
}

std::vector<StoredItem> Store::items() const {
  Statement row(*impl_, "SELECT suite, item, position, prompt, expected FROM item ORDER BY number");
  std::vector<StoredItem> items;
  while (next_row(*impl_, row)) {
    StoredItem item;
    item.suite = row.text();
    item.item = row.text();
    item.position = row.integer();
    item.prompt = row.text();
    item.expected = row.text();
    items.push_back(std::move(item));
  }
  return items;
}

void Store::put_answers(std::span<const StoredAnswer> answers) {
  Transaction transaction(*impl_);
  Statement statement(*impl_, "INSERT INTO answer VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)");
  for (const StoredAnswer& answer : answers) {
    statement.bind(answer.candidate).bind(answer.suite).bind(answer.item).bind(answer.sample);
    statement.bind(answer.prompt).bind(answer.prompt_tokens).bind(answer.text).bind(answer.reasoning);
    statement.bind(answer.reasoning_closed ? 1 : 0).bind(answer.tokens).bind(answer.hit_length ? 1 : 0);
    statement.bind(answer.loops ? 1 : 0).bind(answer.ttft_ms).bind(answer.total_ms);
    bind_grade(statement, answer.grade);
    impl_->check(statement.step());
    statement.reset();
  }
  transaction.commit();
}

void Store::put_grade(const StoredAnswer& answer, const StoredGrade& grade) {
  Statement statement(*impl_,
                      "UPDATE answer SET outcome = ?, extracted = ?, why = ? "
                      "WHERE candidate = ? AND suite = ? AND item = ? AND sample = ?");
  bind_grade(statement, grade);
  statement.bind(answer.candidate).bind(answer.suite).bind(answer.item).bind(answer.sample);
  impl_->check(statement.step());
}

std::set<Store::AnswerKey> Store::answered(int candidate) const {
  Statement row(*impl_, "SELECT suite, item, sample FROM answer WHERE candidate = ?");
  row.bind(candidate);
  std::set<AnswerKey> keys;
  while (next_row(*impl_, row)) {
    std::string suite = row.text();
    std::string item = row.text();
    keys.emplace(std::move(suite), std::move(item), row.integer());
  }
  return keys;
}

std::vector<StoredAnswer> Store::answers() const {
  Statement row(*impl_, std::string("SELECT ") + kAnswerColumns + kAnswerTables + kAnswerOrder);
  std::vector<StoredAnswer> answers;
  while (next_row(*impl_, row)) answers.push_back(read_answer(row));
  return answers;
}

std::vector<StoredAnswer> Store::ungraded_answers(int candidate) const {
  Statement row(*impl_, std::string("SELECT ") + kAnswerColumns + kAnswerTables +
                            " WHERE answer.outcome IS NULL AND answer.candidate = ?" + kAnswerOrder);
  row.bind(candidate);
  std::vector<StoredAnswer> answers;
  while (next_row(*impl_, row)) answers.push_back(read_answer(row));
  return answers;
}

void Store::put_latency(std::span<const StoredLatency> rows) {
  Transaction transaction(*impl_);
  impl_->execute("DELETE FROM latency");
  Statement statement(*impl_, "INSERT INTO latency VALUES(?, ?, ?, ?, ?, ?, ?)");
  for (const StoredLatency& row : rows) {
    statement.bind(row.candidate).bind(row.repetition).bind(row.prompt_tokens).bind(row.cached_tokens);
    statement.bind(row.new_tokens).bind(row.ttft_ms).bind(row.decode_tokens_per_second);
    impl_->check(statement.step());
    statement.reset();
  }
  transaction.commit();
}

std::vector<StoredLatency> Store::latency() const {
  Statement row(*impl_,
                "SELECT candidate, repetition, prompt_tokens, cached_tokens, new_tokens, ttft_ms, "
                "decode_tokens_per_second FROM latency ORDER BY repetition, candidate");
  std::vector<StoredLatency> rows;
  while (next_row(*impl_, row)) {
    StoredLatency latency;
    latency.candidate = row.integer();
    latency.repetition = row.integer();
    latency.prompt_tokens = row.integer();
    latency.cached_tokens = row.integer();
    latency.new_tokens = row.integer();
    latency.ttft_ms = row.real();
    latency.decode_tokens_per_second = row.real();
    rows.push_back(latency);
  }
  return rows;
}

}  // namespace touchstone
