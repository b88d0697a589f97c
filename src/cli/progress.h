// How far work is, on standard error.
#pragma once

#include <chrono>
#include <string>

namespace touchstone::cli {

/// A bar that redraws itself on a terminal; elsewhere a line when a stage begins and ends.
class ProgressPrinter {
 public:
  /// `command` begins the lines: "compare".
  explicit ProgressPrinter(std::string command);

  /// `text` says what is done, its numbers included; `stage` names what `total` counts.
  void show(const std::string& stage, const std::string& text, int done, int total);

  /// Leaves the terminal's line free for what comes next.
  void clear();

 private:
  void show_line(const std::string& stage, const std::string& text, bool ends);
  void draw_bar(const std::string& text, int done, int total);

  std::string command_;
  bool terminal_;
  bool open_ = false;
  bool ended_ = false;
  std::string stage_;
  std::chrono::steady_clock::time_point drawn_;
};

}  // namespace touchstone::cli
