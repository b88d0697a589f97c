#include "engine/score.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <bit>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <optional>
#include <utility>

#include "base/error.h"
#include "base/interrupt.h"
#include "base/parse_json.h"
#include "cli/checks.h"
#include "cli/cli.h"
#include "engine/context_length.h"
#include "engine/prompt.h"

namespace touchstone::cli {
namespace {

struct ScoreOptions {
  std::string model;
  int top = 10;
  std::string logits_file;
  CommonOptions common;
};

/// NumPy's .npy format 1.0: float32, C order, [rows, columns]. Written beside the target and renamed when
/// whole.
class NpyWriter {
 public:
  NpyWriter(const std::string& path, std::size_t rows, std::size_t columns)
      : path_(path), part_(path + ".part") {
    static_assert(std::endian::native == std::endian::little);
    std::error_code ignored;
    const std::filesystem::file_status target = std::filesystem::status(path, ignored);
    if (std::filesystem::exists(target) && !std::filesystem::is_regular_file(target)) {
      // Renaming would put a file in a device's place.
      throw Error(path + " is there and not a regular file", "name another file for the logits");
    }
    file_ = std::fopen(part_.c_str(), "wb");
    if (file_ == nullptr) throw Error("cannot create " + part_, "check the folder and its permissions");
    std::string header =
        fmt::format("{{'descr': '<f4', 'fortran_order': False, 'shape': ({}, {}), }}", rows, columns);
    constexpr std::size_t kAlignment = 64;
    constexpr std::size_t kPreamble = 10;  // magic, version, header length
    while ((kPreamble + header.size() + 1) % kAlignment != 0) header += ' ';
    header += '\n';
    write(std::string_view("\x93NUMPY\x01\x00", 8));
    const auto size = static_cast<std::uint16_t>(header.size());
    write({reinterpret_cast<const char*>(&size), sizeof size});
    write(header);
  }
  ~NpyWriter() {
    if (file_ == nullptr) return;
    std::fclose(file_);
    std::remove(part_.c_str());  // not finished: leave nothing half-written behind
  }
  NpyWriter(const NpyWriter&) = delete;
  NpyWriter& operator=(const NpyWriter&) = delete;

  void write(std::string_view bytes) {
    if (std::fwrite(bytes.data(), 1, bytes.size(), file_) != bytes.size()) fail();
  }
  void finish() {
    const bool closed = std::fclose(std::exchange(file_, nullptr)) == 0;
    if (!closed || std::rename(part_.c_str(), path_.c_str()) != 0) {
      std::remove(part_.c_str());
      fail();
    }
  }

 private:
  [[noreturn]] void fail() const { throw Error("cannot write " + path_, "check the free space"); }
  std::string path_, part_;
  std::FILE* file_ = nullptr;
};

std::vector<std::int32_t> read_ids(const Checkpoint& checkpoint) {
  const std::string source = "standard input";
  const boost::json::value input = parse_json(read_stdin(), source);
  if (!input.is_object())
    throw Error(source + " is not a JSON object", R"(give {"ids":[…]} or {"text":"…"})");
  if (const auto* ids = input.as_object().if_contains("ids")) return parse_ids(*ids, source + ", 'ids'");
  const auto* text = input.as_object().if_contains("text");
  if (text == nullptr || !text->is_string()) {
    throw Error(source + " has neither 'ids' nor 'text'", R"(give {"ids":[…]} or {"text":"…"})");
  }
  return make_raw_prompt(make_prompter(checkpoint, true), text->as_string()).ids;
}

int run_score(const ScoreOptions& options) {
  const Checkpoint checkpoint = open_checkpoint(options.model);
  warn_of_short_context(checkpoint.id, parse_config(checkpoint), options.common.context_tokens);
  const std::vector<std::int32_t> ids = read_ids(checkpoint);
  if (const int most = options.common.context_tokens; most > 0 && std::cmp_greater(ids.size(), most)) {
    throw Error(fmt::format("the text has {} tokens, the context {}", ids.size(), most), "raise --ctx");
  }
  Transformer transformer(checkpoint, model_options(options.common));
  std::optional<NpyWriter> npy;
  if (!options.logits_file.empty()) {
    npy.emplace(options.logits_file, ids.size(), static_cast<std::size_t>(transformer.config().vocab_size));
  }
  boost::json::array positions;
  double nll = 0;
  std::string table;
  catch_interrupts();
  const auto on_position = [&](const ScoredPosition& position) {
    stop_if_interrupted();
    nll -= position.logprob;
    boost::json::array top;
    for (const auto& [id, logprob] : position.top) top.push_back(boost::json::array{id, logprob});
    if (!options.common.json) table += fmt::format("{:>8} {:>10.4f}\n", position.id, position.logprob);
    positions.push_back({{"id", position.id}, {"logprob", position.logprob}, {"top", std::move(top)}});
  };
  std::function<void(std::span<const float>)> on_logits;
  if (npy) {
    on_logits = [&](std::span<const float> row) {
      npy->write({reinterpret_cast<const char*>(row.data()), row.size_bytes()});
    };
  }
  score_ids(transformer, ids, options.top, on_position, on_logits);
  if (npy) npy->finish();

  const double nll_mean = positions.empty() ? 0.0 : nll / static_cast<double>(positions.size());
  if (options.common.json) {
    print_json({{"n", ids.size()}, {"nll_mean", nll_mean}, {"positions", std::move(positions)}});
  } else {
    print_text(table + fmt::format("{} tokens, mean NLL {:.5f}\n", ids.size(), nll_mean));
  }
  return kExitDone;
}

}  // namespace

void add_score(CLI::App& app, Command& command) {
  auto options = std::make_shared<ScoreOptions>();
  CLI::App* sub =
      app.add_subcommand("score", "How likely a model finds a text: log-probability of each token");
  sub->add_option("MODEL", options->model, "Folder, .gguf file, ORG/NAME in a local cache, or demo:native")
      ->required();
  sub->add_option("--top", options->top, "Most likely tokens listed at each position")
      ->check(number_from(0, 1000))
      ->capture_default_str();
  sub->add_option("--logits", options->logits_file,
                  "Also write all logits to this .npy file (float32 [n, vocab_size])");
  add_common_options(*sub, options->common);
  sub->footer(
      "Examples:\n"
      "  echo '{\"text\":\"The sky is blue\"}' | touchstone score demo:native\n"
      "  echo '{\"ids\":[9707,11,1879]}' | touchstone score ./model.gguf --json --top 5 --logits logits.npy");
  sub->callback([options, &command] { command = [options] { return run_score(*options); }; });
}

}  // namespace touchstone::cli
