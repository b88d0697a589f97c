#include "support/process.h"

#include <sys/wait.h>

#include <cstdlib>
#include <fstream>

#include "support/golden.h"

namespace touchstone::testing {
namespace {

std::string quote(const std::string& word) {
  std::string quoted = "'";
  for (const char c : word) quoted += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return quoted + "'";
}

}  // namespace

ProcessResult run_process(const std::vector<std::string>& arguments, const std::string& input,
                          const std::vector<std::string>& environment) {
  const TemporaryFolder folder;
  const auto file = [&](const char* name) { return (folder.path() / name).string(); };
  std::ofstream(file("in"), std::ios::binary) << input;
  std::string command;
  for (const std::string& variable : environment) {
    const std::size_t equals = variable.find('=');
    command += variable.substr(0, equals + 1) + quote(variable.substr(equals + 1)) + " ";
  }
  for (const std::string& argument : arguments) command += quote(argument) + " ";
  command += "<" + quote(file("in")) + " >" + quote(file("out")) + " 2>" + quote(file("err"));
  const int status = std::system(command.c_str());
  ProcessResult result;
  result.exit_status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  result.out = read_file(file("out"));
  result.err = read_file(file("err"));
  return result;
}

}  // namespace touchstone::testing
