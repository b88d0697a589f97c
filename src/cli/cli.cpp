#include "cli/cli.h"

#include <spdlog/spdlog.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <limits>

#include "base/cores.h"
#include "base/error.h"
#include "base/interrupt.h"
#include "cli/checks.h"
#include "formats/checked.h"
#include "model/dtypes.h"

namespace touchstone::cli {
namespace {

// Larger than any text that a small model can score, small enough that a runaway pipe is noticed: a byte of
// text can take a hundred of memory until its tokens are printed.
constexpr std::size_t kMaxInputBytes = std::size_t{64} << 20U;

// An error may name what a file holds, and that may be of any length.
constexpr std::size_t kMostErrorBytes = 2000;

[[noreturn]] void fail_reading() {
  throw Error(std::string("cannot read standard input: ") + std::strerror(errno),
              "give it a terminal, a file or a pipe that can be read");
}

std::size_t read_some(char* buffer, std::size_t size) {
  const std::size_t got = std::fread(buffer, 1, size, stdin);
  if (got == 0 && std::ferror(stdin) != 0 && errno != EINTR) {
    fail_reading();
  }
  return got;
}

void add_json_option(CLI::App& app, CommonOptions& options) {
  app.add_flag("--json", options.json, "Print JSON on standard output and nothing else there");
}

void add_machine_options(CLI::App& app, CommonOptions& options, const std::string& group) {
  const auto add = [&](const char* name, auto& value, const char* description) {
    return app.add_option(name, value, description)->group(group);
  };
  add("--threads", options.threads, "Threads (default: physical cores, as far as the CPU quota reaches)")
      ->check(number_from(1, 1024));
  add("--device", options.device, "Where the model runs")->check(device_name())->capture_default_str();
  add("--isa", options.isa, "Instruction set of the kernels")
      ->check(
          CLI::IsMember({"auto", "scalar", "avx2", "avxvnni", "avx512", "avx512vnni", "avx512bf16", "amx"}))
      ->capture_default_str();
  add("--dtype", options.dtype, "Weights: as stored (auto), widened (f32), or rounded (the others)")
      ->check(CLI::IsMember(dtype_names()))
      ->capture_default_str();
  add("--kv-dtype", options.kv_dtype, "Keys and values; auto: f32, and f16 with --dtype bf16, int8 or int4")
      ->check(CLI::IsMember(kv_dtype_names()))
      ->capture_default_str();
  app.add_flag("--no-cache", options.no_cache, "Pack weights afresh, and keep nothing for the next start")
      ->group(group);
  add("--ctx", options.context_tokens, "Context in tokens (default, and at most: the model's own)")
      ->check(number_from(1, 1 << 24));
  add_log_level_option(app, group);
}

}  // namespace

void add_common_options(CLI::App& app, CommonOptions& options) {
  add_json_option(app, options);
  add_machine_options(app, options, "Options");
}

void accept_common_options(CLI::App& app, CommonOptions& options) {
  add_json_option(app, options);
  add_machine_options(app, options, "Options that every command takes, without effect on this one");
}

void add_log_level_option(CLI::App& app, const std::string& group) {
  const auto set = [](const std::string& name) { spdlog::set_level(spdlog::level::from_str(name)); };
  app.add_option_function<std::string>("--log-level", set, "What is logged to standard error")
      ->check(CLI::IsMember({"debug", "info", "warning", "error", "off"}))
      ->default_str("warning")
      ->group(group);
}

ModelOptions model_options(const CommonOptions& options) {
  ModelOptions model{.num_threads = options.threads,
                     .device = options.device,
                     .isa = options.isa,
                     .dtype = options.dtype,
                     .kv_dtype = options.kv_dtype,
                     .packed_cache = !options.no_cache};
  check_dtypes(model);
  if (const int usable = usable_cores(); options.threads > usable) {
    spdlog::warn("{} threads share {} and wait for each other: fewer are faster, the output is the same",
                 options.threads, usable == 1 ? "one core" : std::to_string(usable) + " cores");
  }
  return model;
}

std::string read_stdin() {
  std::string text;
  char buffer[65536];
  while (const std::size_t got = read_some(buffer, sizeof buffer)) {
    text.append(buffer, got);
    if (text.size() > kMaxInputBytes) throw Error("standard input is larger than 64 MiB", "split it");
  }
  return text;
}

bool read_line(std::string& line, std::string_view unit) {
  line.clear();
  int c = 0;
  while ((c = getc_unlocked(stdin)) != EOF && c != '\n') {
    if (line.size() == kMaxInputBytes) {
      throw Error("standard input has a line that is larger than 64 MiB",
                  "give one " + std::string(unit) + " a line");
    }
    line.push_back(static_cast<char>(c));
  }
  if (interrupted()) return false;
  if (c == EOF && std::ferror(stdin) != 0) fail_reading();
  return c == '\n' || !line.empty();
}

void for_each_stdin_line(const std::function<void(const std::string& line, std::size_t number)>& handle) {
  std::size_t number = 0;
  for (std::string line; read_line(line, "document");) {
    ++number;
    if (!line.empty() && line.back() == '\r') line.pop_back();
    if (line.find_first_not_of(" \t") != std::string::npos) handle(line, number);
  }
}

std::vector<std::int32_t> parse_ids(const boost::json::value& value, const std::string& source) {
  const boost::json::array* array = value.if_array();
  if (array == nullptr)
    throw Error(source + " is not a JSON array of token ids", "give for example [9707, 11]");
  std::vector<std::int32_t> ids;
  ids.reserve(array->size());
  for (const boost::json::value& entry : *array) {
    const std::int64_t* id = entry.if_int64();
    if (id == nullptr || *id < 0 || *id > std::numeric_limits<std::int32_t>::max()) {
      throw Error(source + " has " + boost::json::serialize(entry) + ", which is not a token id",
                  "ids are whole numbers from 0 on");
    }
    ids.push_back(static_cast<std::int32_t>(*id));
  }
  return ids;
}

void print_error(const std::string& what, const std::string& hint) {
  std::string text = hint.empty() ? what : what + "; " + hint;
  if (text.size() > kMostErrorBytes) {
    text.replace(kMostErrorBytes / 2, text.size() - kMostErrorBytes, " … ");
  }
  std::replace(text.begin(), text.end(), '\n', ' ');
  std::fprintf(stderr, "touchstone: error: %s\n", make_one_line(text).c_str());
}

void print_json(const boost::json::value& value) { print_text(boost::json::serialize(value) + "\n"); }

void print_text(std::string_view text) {
  if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size() || std::fflush(stdout) != 0) {
    if (errno == EPIPE) throw ClosedPipe("nobody reads standard output");
    throw Error(std::string("cannot write standard output: ") + std::strerror(errno),
                "check the free space where it goes");
  }
}

}  // namespace touchstone::cli
