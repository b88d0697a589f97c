#include <fmt/core.h>

#include <memory>

#include "cli/cli.h"
#include "formats/checkpoint.h"

namespace touchstone::cli {
namespace {

int run_list(bool json) {
  boost::json::array array;
  std::string table;
  for (const CachedModel& model : list_cached_models()) {
    array.push_back({{"id", model.id},
                     {"revision", model.revision},
                     {"where", model.where},
                     {"path", model.path.string()},
                     {"bytes", model.bytes}});
    table += fmt::format("{:<48} {:<12} {:>10.1f} MB  {}\n", model.id, model.where,
                         static_cast<double>(model.bytes) / 1e6, model.path.string());
  }
  json ? print_json(array) : print_text(table);
  return kExitDone;
}

}  // namespace

void add_list(CLI::App& app, Command& command) {
  auto options = std::make_shared<CommonOptions>();
  CLI::App* sub = app.add_subcommand("list", "What the local caches hold");
  accept_common_options(*sub, *options);
  sub->footer("Example:\n  touchstone list --json");
  sub->callback([options, &command] { command = [options] { return run_list(options->json); }; });
}

}  // namespace touchstone::cli
