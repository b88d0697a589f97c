#include "cli/progress.h"

#include <unistd.h>

#include <cstdio>
#include <utility>

namespace touchstone::cli {

ProgressPrinter::ProgressPrinter(std::string command)
    : command_(std::move(command)), terminal_(isatty(STDERR_FILENO) != 0) {}

void ProgressPrinter::show(const std::string& stage, const std::string& text, int done, int total) {
  terminal_ ? draw_bar(text, done, total) : show_line(stage, text, done >= total);
}

void ProgressPrinter::clear() {
  if (open_) std::fprintf(stderr, "\r\033[K");
  open_ = false;
}

void ProgressPrinter::draw_bar(const std::string& text, int done, int total) {
  constexpr auto kRedraw = std::chrono::milliseconds(200);
  constexpr int kWidth = 24;
  const auto now = std::chrono::steady_clock::now();
  if (done < total && now - drawn_ < kRedraw) return;
  drawn_ = now;
  const int filled = total > 0 ? kWidth * done / total : 0;
  std::string bar = "[";
  for (int i = 0; i < kWidth; ++i) bar += i < filled ? '#' : '.';
  std::fprintf(stderr, "\r\033[K%s] %s", bar.c_str(), text.c_str());
  std::fflush(stderr);
  open_ = true;
}

void ProgressPrinter::show_line(const std::string& stage, const std::string& text, bool ends) {
  const bool begins = stage != stage_;
  if (!begins && (!ends || ended_)) return;
  stage_ = stage;
  ended_ = ends;
  std::fprintf(stderr, "touchstone: %s: %s\n", command_.c_str(), text.c_str());
}

}  // namespace touchstone::cli
