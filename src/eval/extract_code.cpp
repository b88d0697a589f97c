#include "eval/extract_code.h"

#include <algorithm>
#include <array>
#include <optional>

#include "answers/extract_text.h"

namespace touchstone {
namespace {

constexpr std::size_t kMaxCodeBytes = std::size_t{256} << 10;  // nobody answers with more
// An answer in prose after unfenced code is cut off line by line; more lines than this are not prose.
constexpr std::size_t kMaxTrailingLines = 60;

struct Block {
  std::string language;  // lower case
  std::string text;
  bool closed = false;
};

std::vector<std::string_view> split_lines(std::string_view text) {
  std::vector<std::string_view> lines;
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    std::string_view line = text.substr(0, end);
    if (line.ends_with('\r')) line.remove_suffix(1);
    lines.push_back(line);
    text.remove_prefix(end == text.npos ? text.size() : end + 1);
  }
  return lines;
}

std::string join_lines(const std::vector<std::string_view>& lines, std::size_t begin, std::size_t end) {
  std::string text;
  for (std::size_t i = begin; i < end; ++i) text.append(lines[i]).append("\n");
  return text;
}

std::size_t indentation(std::string_view line) {
  return std::min(line.find_first_not_of(" \t"), line.size());
}

struct Fence {
  std::size_t column = 0;
  std::size_t length = 0;
  char mark = '`';
  std::string language;
};

/// A fence that opens on this line: at its beginning, or after words ("Here it is: ```python").
std::optional<Fence> opening_fence(std::string_view line) {
  for (const std::string_view mark : {"```", "~~~"}) {
    const std::size_t at = line.find(mark);
    if (at == line.npos) continue;
    std::size_t end = at;
    while (end < line.size() && line[end] == mark[0]) ++end;
    const std::string_view info = trim(line.substr(end));
    const bool plain = std::all_of(info.begin(), info.end(), [](char c) {
      return is_letter(c) || is_digit(c) ||
             std::string_view("+-#._{}:/= \"").find(c) != std::string_view::npos;
    });
    const std::string_view word = info.substr(0, info.find_first_of(" {:"));
    if (plain && (at == indentation(line) || word.size() == info.size())) {
      return Fence{at == indentation(line) ? at : 0, end - at, mark[0], to_lower(word)};
    }
  }
  return std::nullopt;
}

/// Whether this line closes the fence; `rest` is what it says before.
bool closes(std::string_view line, const Fence& fence, std::string_view& rest) {
  std::string_view text = line.substr(0, line.find_last_not_of(" \t") + 1);
  std::size_t marks = 0;
  while (marks < text.size() && text[text.size() - 1 - marks] == fence.mark) ++marks;
  if (marks < fence.length) return false;
  rest = text.substr(0, text.size() - marks);
  return rest.find(std::string(fence.length, fence.mark)) == rest.npos;  // "# see ```abs```" does not
}

std::size_t count(std::string_view text, std::string_view mark) {
  std::size_t found = 0;
  for (std::size_t at = text.find(mark); at != text.npos; at = text.find(mark, at + mark.size())) ++found;
  return found;
}

/// Whether a docstring is open at the end of `code`: a fence in it is part of it.
bool inside_string(std::string_view code) {
  return count(code, "\"\"\"") % 2 == 1 || count(code, "'''") % 2 == 1;
}

std::vector<Block> find_blocks(std::string_view answer) {
  std::vector<Block> blocks;
  std::optional<Fence> fence;
  for (const std::string_view line : split_lines(answer)) {
    if (!fence) {
      fence = opening_fence(line);
      if (fence) blocks.push_back({fence->language, "", false});
      continue;
    }
    Block& block = blocks.back();
    std::string_view rest;
    const bool last = closes(line, *fence, rest) && !inside_string(block.text);
    const std::string_view text = last ? rest : line;
    if (!last || !trim(rest).empty()) {
      // A block inside a list is indented as a whole.
      block.text.append(text.substr(std::min(fence->column, indentation(text)))).append("\n");
    }
    if (last) {
      block.closed = true;
      fence.reset();
    }
  }
  return blocks;
}

bool is_python(const Block& block) {
  constexpr std::array<std::string_view, 8> kNames = {"",        "python", "py",   "python3",
                                                      "python2", "code",   "text", "ipython"};
  return std::find(kNames.begin(), kNames.end(), block.language) != kNames.end();
}

/// Whether a line at the left margin defines `name`.
bool defines(std::string_view code, const std::string& name) {
  for (const std::string_view line : split_lines(code)) {
    const std::string_view text = line.substr(indentation(line));
    for (const std::string_view keyword : {"def ", "async def ", "class "}) {
      if (!text.starts_with(keyword)) continue;
      const std::string_view rest = trim(text.substr(keyword.size()));
      const bool whole =
          rest.size() == name.size() || (rest.size() > name.size() && !is_letter(rest[name.size()]) &&
                                         !is_digit(rest[name.size()]) && rest[name.size()] != '_');
      if (rest.starts_with(name) && whole) return true;
    }
    if (!text.starts_with(name)) continue;
    const std::string_view rest = trim(text.substr(name.size()));
    if (rest.starts_with("=") && !rest.starts_with("==")) return true;
  }
  return false;
}

/// `name(…)`, `lst.sort(key=len)`, `if(x > 0):`.
bool is_call(std::string_view line) {
  const std::size_t open = line.find('(');
  const std::string_view end = trim(line);
  if (open == line.npos || open == 0 || std::string_view("):,([{").find(end.back()) == std::string_view::npos)
    return false;
  return std::all_of(line.begin(), line.begin() + static_cast<std::ptrdiff_t>(open),
                     [](char c) { return is_letter(c) || is_digit(c) || c == '_' || c == '.'; });
}

bool looks_like_code(std::string_view line) {
  if (line.empty()) return false;
  if (line[0] == ' ' || line[0] == '\t') return true;
  for (const std::string_view word :
       {"def ", "class ", "import ", "from ", "async def ", "@", "#", "return ", "if ", "for ", "while ",
        "try:", "with ", "\"\"\"", "'''", "assert ", "print(", "raise "}) {
    if (!line.starts_with(word)) continue;
    const std::string_view text = trim(line);
    const bool block = word == "if " || word == "for " || word == "while " || word == "with ";
    return !block || text.find(':') != text.npos;
  }
  if (is_call(line)) return true;
  const std::size_t equals = line.find('=');
  if (equals == line.npos || equals == 0) return false;
  return std::all_of(line.begin(), line.begin() + static_cast<std::ptrdiff_t>(equals), [](char c) {
    return is_letter(c) || is_digit(c) || std::string_view("_, .[]+-*").find(c) != std::string_view::npos;
  });
}

/// `text` with its common indentation taken away.
std::string dedent(std::string_view text) {
  const std::vector<std::string_view> lines = split_lines(text);
  std::size_t common = std::string_view::npos;
  for (const std::string_view line : lines) {
    if (!trim(line).empty()) common = std::min(common, indentation(line));
  }
  if (common == 0 || common == std::string_view::npos) return std::string(text);
  std::string out;
  for (const std::string_view line : lines)
    out.append(line.substr(std::min(common, line.size()))).append("\n");
  return out;
}

std::string indent(std::string_view text, bool first_line_only) {
  std::string out;
  bool first = true;
  for (const std::string_view line : split_lines(text)) {
    if (!trim(line).empty() && (first || !first_line_only)) out += "    ";
    out.append(line).append("\n");
    if (!trim(line).empty()) first = false;
  }
  return out;
}

/// A function's body ends where the next thing at the left margin begins.
std::string first_body(std::string_view text) {
  const std::vector<std::string_view> lines = split_lines(text);
  for (std::size_t i = 1; i < lines.size(); ++i) {
    for (const std::string_view word :
         {"def ", "class ", "if ", "print(", "assert ", "@", "#", "import ", "from "}) {
      if (lines[i].starts_with(word)) return join_lines(lines, 0, i);
    }
  }
  return std::string(text);
}

/// The lines up to the second that stands at the left margin: prose may follow a body without a mark.
std::string cut_at_margin(std::string_view text) {
  const std::vector<std::string_view> lines = split_lines(text);
  for (std::size_t i = 1; i < lines.size(); ++i) {
    if (!trim(lines[i]).empty() && indentation(lines[i]) == 0) return join_lines(lines, 0, i);
  }
  return std::string(text);
}

/// The first line that is not blank; empty when all are.
std::string_view first_line(std::string_view text) {
  for (const std::string_view line : split_lines(text)) {
    if (!trim(line).empty()) return line;
  }
  return {};
}

/// Readings of `body` as what follows the prompt's function head.
std::vector<std::string> continuations(std::string_view prompt, std::string_view body) {
  std::string head(prompt);
  if (!head.ends_with('\n')) head += '\n';
  const std::string cut = first_body(body);
  const std::string indented = cut_at_margin(body);
  std::vector<std::string> attempts = {
      indent(body, false), cut,      indent(cut, true),     indent(dedent(cut), false),
      std::string(body),   indented, indent(indented, true)};
  // A body at the left margin would compile behind a function that its docstring makes whole; another one is
  // to be read as it stands first.
  if (indentation(first_line(body)) != 0)
    std::rotate(attempts.begin(), attempts.begin() + 1, attempts.begin() + 5);
  for (std::string& attempt : attempts) attempt.insert(0, head);
  return attempts;
}

/// Code without a fence: from its first line that looks like code, and shorter and shorter at its end.
std::vector<std::string> unfenced(std::string_view answer) {
  const std::vector<std::string_view> lines = split_lines(answer);
  std::size_t begin = 0;
  while (begin < lines.size() && !looks_like_code(lines[begin])) ++begin;
  std::vector<std::string> attempts;
  for (std::size_t end = lines.size(); end > begin && attempts.size() < kMaxTrailingLines; --end) {
    if (trim(lines[end - 1]).empty() && end < lines.size()) continue;
    attempts.push_back(join_lines(lines, begin, end));
  }
  return attempts;
}

/// What stands before the first fence.
std::string_view before_fences(std::string_view answer) {
  std::size_t end = 0;
  for (const std::string_view line : split_lines(answer)) {
    if (opening_fence(line)) break;
    end = static_cast<std::size_t>(line.data() - answer.data()) + line.size();
  }
  return answer.substr(0, end);
}

/// The block to grade: the last closed Python block that defines the function, else the last that does.
const Block* choose_block(const std::vector<Block>& blocks, const std::string& entry_point) {
  for (const bool closed : {true, false}) {
    for (auto block = blocks.rbegin(); block != blocks.rend(); ++block) {
      if (block->closed == closed && is_python(*block) && defines(block->text, entry_point)) return &*block;
    }
  }
  return nullptr;
}

CodeAnswer from_blocks(const std::vector<Block>& blocks, std::string_view prompt,
                       const std::string& entry_point) {
  CodeAnswer code;
  const Block* chosen = choose_block(blocks, entry_point);
  if (chosen != nullptr) {
    code.attempts = {chosen->text, dedent(chosen->text)};
    // Where it does not compile: an earlier one that does, else what is left of it without prose or a line
    // that was cut off.
    for (auto block = blocks.rbegin(); block != blocks.rend(); ++block) {
      if (&*block != chosen && is_python(*block) && defines(block->text, entry_point))
        code.attempts.push_back(dedent(block->text));
    }
    for (std::string& shorter : unfenced(dedent(chosen->text))) code.attempts.push_back(std::move(shorter));
    code.why = chosen->closed ? "a code block" : "a code block that is not closed";
  } else {
    const auto python = std::find_if(blocks.rbegin(), blocks.rend(), is_python);
    if (python == blocks.rend()) {
      code.shown = blocks.back().text;
      code.why = "the code is not Python but " + blocks.back().language;
      return code;
    }
    chosen = &*python;
    code.attempts = continuations(prompt, chosen->text);
    code.attempts.insert(code.attempts.begin(), chosen->text);
    code.why = "a code block that continues the prompt";
  }
  code.shown = chosen->text;
  for (const Block& block : blocks) {
    if (&block != chosen && is_python(block)) code.helpers.push_back(block.text);
  }
  return code;
}

}  // namespace

std::string prompt_preamble(std::string_view prompt, const std::string& entry_point) {
  const std::vector<std::string_view> lines = split_lines(prompt);
  for (std::size_t i = lines.size(); i-- > 0;) {
    if (!defines(lines[i], entry_point)) continue;
    return join_lines(lines, 0, i);
  }
  return std::string(prompt);
}

CodeAnswer extract_code(std::string_view answer, std::string_view prompt, const std::string& entry_point) {
  CodeAnswer code;
  if (answer.size() > kMaxCodeBytes) {
    code.why = "the answer is longer than any program that is run";
    return code;
  }
  if (trim(answer).empty()) {
    code.why = "nothing was written outside the thinking";
    return code;
  }
  const std::vector<Block> blocks = find_blocks(answer);
  // A fence after the code closes one that the prompt opened.
  const bool begins_with_code =
      looks_like_code(first_line(before_fences(answer))) && choose_block(blocks, entry_point) == nullptr;
  if (!blocks.empty() && !begins_with_code) return from_blocks(blocks, prompt, entry_point);
  if (!blocks.empty()) answer = before_fences(answer);
  if (defines(answer, entry_point)) {
    code.attempts = unfenced(answer);
    code.why = "code without a fence";
  } else {
    if (!looks_like_code(first_line(answer))) {
      code.why = "there is no code in the answer";
      return code;
    }
    // Spaces before the first line are the body's indentation: only empty lines are skipped.
    const std::size_t first = static_cast<std::size_t>(first_line(answer).data() - answer.data());
    code.attempts = continuations(prompt, answer.substr(first));
    code.why = "a continuation of the prompt";
  }
  code.shown = std::string(answer);
  return code;
}

}  // namespace touchstone
