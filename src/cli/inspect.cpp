#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <memory>

#include "base/count_of.h"
#include "cli/cli.h"
#include "engine/context_length.h"
#include "engine/doctor.h"
#include "engine/memory.h"
#include "formats/checked.h"
#include "formats/checkpoint.h"

namespace touchstone::cli {
namespace {

struct InspectOptions {
  std::string model;
  bool doctor = false;
  CommonOptions common;
};

std::vector<const Tensor*> sorted_tensors(const Checkpoint& checkpoint) {
  std::vector<const Tensor*> tensors;
  for (const auto& [name, tensor] : checkpoint.tensors) tensors.push_back(&tensor);
  std::sort(tensors.begin(), tensors.end(),
            [](const Tensor* a, const Tensor* b) { return a->name < b->name; });
  return tensors;
}

/// One sequence that fills the context, as `generate` would run it.
MemoryPlan plan_one_sequence(const Checkpoint& checkpoint, const CommonOptions& common) {
  return plan_memory(checkpoint, model_options(common),
                     {.max_batch = 1, .max_sequence_tokens = common.context_tokens});
}

boost::json::object to_json(const Checkpoint& checkpoint, const MemoryPlan& memory) {
  boost::json::array tensors;
  for (const Tensor* tensor : sorted_tensors(checkpoint)) {
    tensors.push_back({{"name", tensor->name},
                       {"dtype", dtype_info(tensor->dtype).name},
                       {"shape", boost::json::value_from(tensor->shape)},
                       {"bytes", tensor->bytes.size()}});
  }
  const auto* type = checkpoint.config.if_contains("model_type");
  // Before the hash, which may bring all of the files into memory.
  boost::json::object preflight = memory_to_json({&memory, 1}, free_memory_bytes(memory.gpu));
  boost::json::object document{{"format", checkpoint.format},
                               {"architecture", type != nullptr ? *type : boost::json::value()},
                               {"config", checkpoint.config},
                               {"generation_config", checkpoint.generation_config},
                               {"tensors", std::move(tensors)},
                               {"memory",
                                {{"weights", memory.needs.weights},
                                 {"kv_per_token", memory.needs.kv_per_token},
                                 {"ctx", memory.sequence_tokens},
                                 {"total_at_ctx", memory.needs.weights + memory.kv()},
                                 {"preflight", std::move(preflight)}}},
                               {"sha256", find_sha256(checkpoint)}};
  if (!checkpoint.gguf_metadata.empty()) document["gguf_metadata"] = checkpoint.gguf_metadata;
  return document;
}

std::string format_text(const Checkpoint& checkpoint, const Config& config, const MemoryPlan& memory) {
  std::string text = fmt::format("{}: {} ({})\n", checkpoint.id, config.model_type, checkpoint.format);
  text += fmt::format("  layers {}, hidden {}, heads {} ({} key/value) of {}, vocabulary {}, {} head\n",
                      config.num_layers, config.hidden_size, config.num_heads, config.num_kv_heads,
                      config.head_dim, config.vocab_size, config.tie_word_embeddings ? "tied" : "untied");
  // Before the hash, which may bring all of the files into memory.
  const std::string table = format_memory_table({&memory, 1}, free_memory_bytes(memory.gpu));
  text += fmt::format("  sha256 {}\n", find_sha256(checkpoint));
  text += "\nmemory for one sequence that fills the context: " + table + "\n";
  for (const Tensor* tensor : sorted_tensors(checkpoint)) {
    text += fmt::format("  {:<52} {:<5} [{}]\n", make_one_line(tensor->name), dtype_info(tensor->dtype).name,
                        fmt::join(tensor->shape, ", "));
  }
  return text;
}

std::vector<Finding> examine_all(const Checkpoint& checkpoint, const Config& config) {
  std::vector<Finding> findings = examine_tensors(checkpoint, config);
  for (Finding& finding : examine(checkpoint)) findings.push_back(std::move(finding));
  return findings;
}

int run_inspect(const InspectOptions& options) {
  const Checkpoint checkpoint = open_checkpoint(options.model);
  const Config config = parse_config(checkpoint);
  warn_of_short_context(checkpoint.id, config, options.common.context_tokens);
  const MemoryPlan memory = plan_one_sequence(checkpoint, options.common);
  const std::vector<Finding> findings =
      options.doctor ? examine_all(checkpoint, config) : std::vector<Finding>{};
  if (options.common.json) {
    boost::json::object document = to_json(checkpoint, memory);
    if (options.doctor) {
      boost::json::array list;
      for (const Finding& f : findings)
        list.push_back({{"code", f.code}, {"what", f.what}, {"advice", f.advice}});
      document["doctor"] = std::move(list);
    }
    print_json(document);
    return kExitDone;
  }
  std::string text = format_text(checkpoint, config, memory);
  if (options.doctor)
    text += findings.empty() ? "doctor: nothing amiss\n"
                             : "doctor: " + count_of(std::ssize(findings), "finding") + "\n";
  for (const Finding& f : findings) text += fmt::format("  {}: {}; {}\n", f.code, f.what, f.advice);
  print_text(text);
  return kExitDone;
}

}  // namespace

void add_inspect(CLI::App& app, Command& command) {
  auto options = std::make_shared<InspectOptions>();
  CLI::App* sub = app.add_subcommand("inspect", "A model's config, tensors and memory plan");
  sub->add_option("MODEL", options->model, "Folder, .gguf file, ORG/NAME in a local cache, or demo:native")
      ->required();
  sub->add_flag("--doctor", options->doctor,
                "Check tensors, template, tokenizer, stop ids and sampling defaults against each other");
  add_common_options(*sub, options->common);
  sub->footer("Examples:\n  touchstone inspect ./model.gguf --doctor\n  touchstone inspect ORG/NAME --json");
  sub->callback([options, &command] { command = [options] { return run_inspect(*options); }; });
}

}  // namespace touchstone::cli
