// cli/: one file per subcommand; nothing but argument parsing and printing.
//
// Each add_NAME() declares its subcommand on `app` and, when the user chose it, sets `command` to what main()
// then runs.
#pragma once

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <boost/json.hpp>
#include <functional>
#include <string>
#include <vector>

#include "base/error.h"
#include "model/transformer.h"

namespace touchstone::cli {

inline constexpr int kExitDone = 0;
inline constexpr int kExitFailed = 1;
inline constexpr int kExitUsage = 2;
inline constexpr int kExitClosedPipe = 141;  // as of a program that SIGPIPE ends

/// What main() runs; returns the exit status. May throw Error.
using Command = std::function<int()>;

/// Options of every subcommand.
struct CommonOptions {
  int threads = 0;  // 0: usable_cores()
  std::string device = "auto";
  std::string isa = "auto";
  std::string dtype = "auto";
  std::string kv_dtype = "auto";
  int context_tokens = 0;  // 0: the model's own
  bool no_cache = false;   // of packed weights
  bool json = false;
};

void add_common_options(CLI::App& app, CommonOptions& options);

/// The same for a command on which only --json has an effect: scripts may give them to every command.
void accept_common_options(CLI::App& app, CommonOptions& options);

/// --log-level, which sets it as soon as it is parsed.
void add_log_level_option(CLI::App& app, const std::string& group);

/// What load_model() takes. Throws Error for a device that this build lacks.
ModelOptions model_options(const CommonOptions& options);

/// Standard input to its end. Throws Error past kMaxInputBytes.
std::string read_stdin();

/// The next line of standard input, without its end; false when there is none, or on Ctrl-C. Throws Error
/// when it cannot be read, or has no end: it should be one `unit`.
bool read_line(std::string& line, std::string_view unit);

/// Calls `handle` with each line of standard input that is not blank; `number` counts from 1. Throws Error
/// for a line of more than kMaxInputBytes.
void for_each_stdin_line(const std::function<void(const std::string& line, std::size_t number)>& handle);

/// A JSON array of token ids; the error names `source`.
std::vector<std::int32_t> parse_ids(const boost::json::value& value, const std::string& source);

/// `touchstone: error: WHAT; HINT` on standard error: one line, whatever the texts contain.
void print_error(const std::string& what, const std::string& hint);

/// Nobody reads standard output any longer (`| head -1`): main() ends quietly, with kExitClosedPipe.
struct ClosedPipe : Error {
  using Error::Error;
};

/// One JSON document and a newline on standard output. Throws as print_text().
void print_json(const boost::json::value& value);
/// Text as it is, flushed. Throws ClosedPipe, or Error when it cannot be written for another reason.
void print_text(std::string_view text);

void add_tokenize(CLI::App& app, Command& command);
void add_detokenize(CLI::App& app, Command& command);
void add_render(CLI::App& app, Command& command);
void add_score(CLI::App& app, Command& command);
void add_quantize(CLI::App& app, Command& command);
void add_generate(CLI::App& app, Command& command);
void add_chat(CLI::App& app, Command& command);
void add_inspect(CLI::App& app, Command& command);
void add_list(CLI::App& app, Command& command);
void add_bench(CLI::App& app, Command& command);
void add_grade(CLI::App& app, Command& command);
void add_compare(CLI::App& app, Command& command);
void add_serve(CLI::App& app, Command& command);
void add_replay(CLI::App& app, Command& command);

}  // namespace touchstone::cli
