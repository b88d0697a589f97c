#include <fcntl.h>
#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <csignal>
#include <new>
#include <sstream>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/numa.h"
#include "base/unfinished_file.h"
#include "cli/cli.h"
#include "cli/usage_error.h"

namespace {

using namespace touchstone;  // NOLINT(google-build-using-namespace): this file is the program

/// The command line was wrong, or asked for help or the version.
int end_parsing(const CLI::App& app, const CLI::ParseError& error) {
  if (error.get_exit_code() == 0) {
    std::ostringstream text;
    app.exit(error, text);
    cli::print_text(text.str());
    return cli::kExitDone;
  }
  const auto chosen = app.get_subcommands();
  const std::string command = chosen.empty() ? "" : chosen.front()->get_name() + " ";
  cli::print_error(cli::describe_usage_error(app, error), "see touchstone " + command + "--help");
  return cli::kExitUsage;
}

/// A file that is opened in the place of a closed standard stream would take what is printed there. Whoever
/// reads or writes the stream still gets the error that it cannot be used.
void keep_standard_streams() {
  for (const int stream : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (fcntl(stream, F_GETFD) >= 0) continue;
    // The lowest descriptor that is free: this one.
    open("/dev/null", stream == STDIN_FILENO ? O_WRONLY : O_RDONLY);
  }
}

/// The bytes of a mapped file are read when they are needed: when it has become shorter since, or its disk
/// fails, that is told by a signal, in the midst of anything.
void end_without_mapped_file(int, siginfo_t* info, void*) {
  if (info->si_code != BUS_ADRERR) {  // another fault: the instruction meets it again, and ends the process
    std::signal(SIGBUS, SIG_DFL);
    return;
  }
  constexpr std::string_view kMessage =
      "touchstone: error: a file in use became shorter or cannot be read any more; leave the model's files "
      "and the cache as they are while they are in use, and start again\n";
  [[maybe_unused]] const auto written = write(STDERR_FILENO, kMessage.data(), kMessage.size());
  end_at_once(cli::kExitFailed);
}

/// Ctrl-C ends a command that does not look out for it, whatever it is at. Where it is ignored, as in a
/// shell's background, it stays so.
void end_on_interrupt() {
  for (const int number : {SIGINT, SIGTERM}) {
    if (std::signal(number, SIG_IGN) == SIG_IGN) continue;
    std::signal(number, [](int caught) { end_at_once(128 + caught); });
  }
}

int run(int argc, char** argv) {
  keep_standard_streams();
  end_on_interrupt();
  // A write that fails is reported, or ends the work, in an orderly way: no partial file stays.
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGXFSZ, SIG_IGN);
  struct sigaction bus_error {};
  bus_error.sa_sigaction = end_without_mapped_file;
  bus_error.sa_flags = SA_SIGINFO;
  sigaction(SIGBUS, &bus_error, nullptr);
  interleave_memory();
  spdlog::set_default_logger(spdlog::stderr_color_mt("touchstone"));
  spdlog::set_pattern("touchstone: %l: %v");
  spdlog::set_level(spdlog::level::warn);

  CLI::App app("Decide which of two small language models to ship: load both, run them, compare them.",
               "touchstone");
  app.set_version_flag("--version", "touchstone " TOUCHSTONE_VERSION);
  app.require_subcommand(1);
  app.footer(
      "Examples:\n"
      "  touchstone compare demo:distilled demo:native\n"
      "  touchstone generate ./model.gguf --prompt 'Hello' --greedy\n"
      "Each command has --help with examples of its own.");
  cli::add_log_level_option(app, "Options");

  cli::Command command;
  cli::add_compare(app, command);
  cli::add_serve(app, command);
  cli::add_generate(app, command);
  cli::add_replay(app, command);
  cli::add_chat(app, command);
  cli::add_score(app, command);
  cli::add_tokenize(app, command);
  cli::add_detokenize(app, command);
  cli::add_render(app, command);
  cli::add_quantize(app, command);
  cli::add_inspect(app, command);
  cli::add_list(app, command);
  cli::add_bench(app, command);
  cli::add_grade(app, command);

  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return end_parsing(app, error);
  }
  return command();
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run(argc, argv);
  } catch (const cli::ClosedPipe&) {
    return cli::kExitClosedPipe;
  } catch (const Error& error) {
    cli::print_error(error.what(), error.hint());
  } catch (const std::bad_alloc&) {
    cli::print_error("out of memory", "use a smaller model, --ctx or batch, or close other programs");
  } catch (const std::exception& error) {
    cli::print_error(error.what(), "this is unexpected; please report it with the command that you ran");
  }
  return cli::kExitFailed;
}
