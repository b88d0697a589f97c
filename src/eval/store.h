// A run on disk: what was asked of whom under which settings, and one committed row an answer. A process can
// be killed at any instruction; what is committed stays.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

namespace touchstone {

/// What became of an answer. Everything but `correct` scores 0; `error` says nothing about the answer.
enum class Outcome {
  correct,
  wrong,
  cut_off,     // the token limit came first
  looped,      // cut off, and the tail repeats itself
  unparsable,  // finished, but nothing in it can be read as an answer
  timed_out,   // the answer's program ran past its time limit
  error,       // the grader itself failed
};

inline constexpr Outcome kOutcomes[] = {Outcome::correct, Outcome::wrong,      Outcome::cut_off,
                                        Outcome::looped,  Outcome::unparsable, Outcome::timed_out,
                                        Outcome::error};

/// "correct", "wrong", "cut_off", …: as stored and as in report.json.
std::string_view outcome_name(Outcome outcome);
std::optional<Outcome> find_outcome(std::string_view name);

struct StoredItem {
  std::string suite;
  std::string item;      // its id within the suite
  int position = 0;      // in the suite, from 0
  std::string prompt;    // the user's turn
  std::string expected;  // the right answer, in words
};

struct StoredGrade {
  Outcome outcome = Outcome::wrong;
  std::string extracted;
  std::string why;
};

struct StoredAnswer {
  int candidate = 0;  // index in the run's settings
  std::string suite;
  std::string item;
  int sample = 0;
  std::string prompt;  // as the model saw it, template applied
  int prompt_tokens = 0;
  std::string text;       // without the thinking
  std::string reasoning;  // the thinking
  bool reasoning_closed = true;
  int tokens = 0;           // generated, the end token included
  bool hit_length = false;  // ended by the token limit
  bool loops = false;       // the tail repeats itself
  double ttft_ms = 0;       // in the batch, waiting included
  double total_ms = 0;
  std::optional<StoredGrade> grade{};  // nothing until it has been graded
};

/// One repetition of the latency pass.
struct StoredLatency {
  int candidate = 0;
  int repetition = 0;
  int prompt_tokens = 0;
  int cached_tokens = 0;  // of the prompt that a prefix cache held
  int new_tokens = 0;
  double ttft_ms = 0;
  double decode_tokens_per_second = 0;
};

/// One run's SQLite file. Held exclusively while open. Every function throws Error (disk full, file locked or
/// damaged), and leaves what was committed before.
class Store {
 public:
  /// Makes a new file; throws Error where there is one.
  static Store create(const std::filesystem::path& file);
  /// Opens an existing one; throws Error for a file that is missing, of another kind or of another version.
  static Store open(const std::filesystem::path& file);
  Store(Store&&) noexcept;
  Store& operator=(Store&&) noexcept;
  ~Store();

  /// JSON documents by name: "settings", "candidate/0", "machine", …
  void put_document(std::string_view name, std::string_view json);
  std::optional<std::string> find_document(std::string_view name) const;

  void put_items(std::span<const StoredItem> items);
  std::vector<StoredItem> items() const;  // in order of suite (as first stored) and position

  /// All in one transaction: after a crash either all are there or none.
  void put_answers(std::span<const StoredAnswer> answers);
  void put_grade(const StoredAnswer& answer, const StoredGrade& grade);

  using AnswerKey = std::tuple<std::string, std::string, int>;  // suite, item, sample
  std::set<AnswerKey> answered(int candidate) const;
  std::vector<StoredAnswer> answers() const;  // in order of candidate, item and sample
  std::vector<StoredAnswer> ungraded_answers(int candidate) const;

  /// Replaces what an earlier latency pass left.
  void put_latency(std::span<const StoredLatency> rows);
  std::vector<StoredLatency> latency() const;

 private:
  struct Impl;
  explicit Store(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace touchstone
