#include "answers/extract_option.h"

#include <algorithm>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "answers/extract_text.h"
#include "answers/option_words.h"

namespace touchstone {
namespace {

constexpr std::size_t kNone = std::string_view::npos;
constexpr std::size_t kMaxQuote = 4000;  // bytes: options are sentences, rarely paragraphs

/// A letter that stands alone.
struct Mention {
  std::size_t option = 0;
  std::size_t begin = 0;
  std::size_t end = 0;
  bool negated = false;
  bool affirmed = false;
  std::size_t list = 0;  // the first mention of the list that it stands in
};

struct Chosen {
  std::set<std::size_t> options;
  std::size_t pos = 0;
  std::string why;
};

struct Reader {
  std::string text;   // normalised, without markup
  std::string lower;  // the same length
  const std::vector<std::string>& options;
};

std::string remove_markup(const std::string& text) {
  std::string out;
  for (const char c : text) {
    if (c != '*' && c != '_' && c != '`' && c != '$') out += c;
  }
  return out;
}

bool is_word_char(char c) { return is_letter(c) || is_digit(c); }

/// "A careful reading": an article, unless a verb or conjunction follows as after a name.
bool is_article(std::string_view text, std::size_t end) {
  if (end + 1 >= text.size() || text[end] != ' ' || !is_letter(text[end + 1])) return false;
  for (const std::string_view word :
       {"is",  "was",         "because", "since", "as",   "and", "or",    "must",  "follows", "cannot",
        "can", "contradicts", "fails",   "seems", "does", "has", "would", "could", "states",  "says",
        "are", "correctly",   "for",     "but",   "not",  "isn", "nor",   "looks", "alone",   "instead"}) {
    if (is_word_at(text, end + 1, word)) return false;
  }
  return true;
}

/// The option that a letter at `pos` names. Lower case counts only where `any_case`.
std::optional<std::size_t> letter_at(const Reader& reader, std::size_t pos, bool any_case) {
  const std::string& text = reader.text;
  if (pos >= text.size() || !is_letter(text[pos])) return std::nullopt;
  const bool small = text[pos] >= 'a';
  if (small && !any_case) return std::nullopt;
  const char next = pos + 1 < text.size() ? text[pos + 1] : ' ';
  const char before = pos > 0 ? text[pos - 1] : ' ';
  if (is_word_char(next) || is_word_char(before)) return std::nullopt;
  if ((next == '\'') != (before == '\'')) return std::nullopt;  // "A's" is a word, 'A' is quoted
  if (reader.lower[pos] == 'a' && is_article(reader.lower, pos + 1)) return std::nullopt;
  if (reader.lower[pos] == 'i' && next == ' ') return std::nullopt;  // the pronoun
  const auto option = static_cast<std::size_t>(reader.lower[pos] - 'a');
  return option < reader.options.size() ? std::optional(option) : std::nullopt;
}

/// Letters and digits only, in lower case, so that punctuation and spacing don't matter; other bytes kept.
struct BareText {
  std::string text;
  std::vector<bool> cuts = {true};  // whether a word may begin or end before each byte, and behind the last

  /// Where `word` stands and is no part of a longer word, but for a plural's s.
  bool has_word(std::string_view word) const {
    for (std::size_t at = text.find(word); at != kNone; at = text.find(word, at + 1)) {
      const std::size_t end = at + word.size();
      const bool is_plural = end < text.size() && text[end] == 's' && cuts[end + 1];
      if (cuts[at] && (cuts[end] || is_plural)) return true;
    }
    return false;
  }
};

BareText make_bare(std::string_view text) {
  BareText out;
  for (const char c : to_lower(remove_markup(normalize_answer(text)))) {
    const bool is_word = is_word_char(c);
    if (!is_word) out.cuts.back() = true;  // each character of a script without spaces is a word, too
    const bool is_unit = !out.text.empty() && is_digit(out.text.back()) && !is_digit(c);
    if (is_unit) out.cuts.back() = true;  // 5cm
    if (!is_word && static_cast<unsigned char>(c) < 0x80) continue;
    out.text += c;
    out.cuts.push_back(!is_word);
  }
  out.cuts.back() = true;
  return out;
}

std::string bare(std::string_view text) { return make_bare(text).text; }

/// The options whose own text stands in `text`; one that lies within another found one is left out.
std::set<std::size_t> options_quoted(const Reader& reader, std::string_view text) {
  const BareText haystack = make_bare(text);
  std::vector<std::string> needles;
  for (const std::string& option : reader.options) needles.push_back(bare(option));
  std::set<std::size_t> found;
  for (std::size_t i = 0; i < needles.size(); ++i) {
    if (!needles[i].empty() && haystack.has_word(needles[i])) found.insert(i);
  }
  const std::set<std::size_t> all = found;
  for (const std::size_t inner : all) {
    for (const std::size_t outer : all) {
      const bool within =
          needles[outer].size() > needles[inner].size() && needles[outer].find(needles[inner]) != kNone;
      if (within) found.erase(inner);
    }
  }
  return found;
}

/// Skips what may stand between "answer is" and the letter.
std::size_t skip_to_letter(const Reader& reader, std::size_t pos) {
  const std::string& lower = reader.lower;
  const std::size_t stop = std::min(lower.size(), pos + kMaxTail);
  for (bool moved = true; moved && pos < stop;) {
    moved = false;
    while (pos < lower.size() && std::string_view(" \n([{\"':#>").find(lower[pos]) != kNone) {
      ++pos;
      moved = true;
    }
    for (const std::string_view word :
         {"the", "option", "choice", "letter", "statement", "clearly", "therefore", "most likely", "probably",
          "definitely", "simply", "thus", "indeed", "conclusion", "either", "both"}) {
      if (is_word_at(lower, pos, word)) {
        pos += word.size();
        moved = true;
      }
    }
    for (const std::string_view word : {"选项", "选择", "选", "为", "是", "项"}) {
      if (std::string_view(lower).substr(pos).starts_with(word)) {
        pos += word.size();
        moved = true;
      }
    }
  }
  return pos;
}

/// Skips "), ", " and ", "、" … between two letters; kNone when something else stands there.
std::size_t skip_list_link(const Reader& reader, std::size_t pos) {
  const std::string& lower = reader.lower;
  bool link = false;
  while (pos < lower.size()) {
    if (std::string_view(" )](").find(lower[pos]) != kNone) {
      ++pos;
      continue;
    }
    bool moved = false;
    for (const std::string_view word : {",", "/", "&", "and", "or", "nor", "和", "或", "与", "及"}) {
      if (!std::string_view(lower).substr(pos).starts_with(word)) continue;
      pos += word.size();
      moved = link = true;
      break;
    }
    if (!moved) break;
  }
  return link ? pos : kNone;
}

/// "- True", ": yes": whether the clause says one of `words` and no more.
bool is_one_of(std::string_view clause, std::initializer_list<std::string_view> words) {
  clause.remove_prefix(std::min(clause.find_first_not_of(" -:.)]"), clause.size()));
  return std::find(words.begin(), words.end(), trim(clause)) != words.end();
}

bool is_rejection(std::string_view clause) {
  return contains_any(clause, {"wrong",       "incorrect",   "not",        "n't",        "cannot",   "false",
                               "contradicts", "contradict",  "fails",      "eliminated", "excluded", "ruled",
                               "irrelevant",  "unsupported", "impossible", "too",        "错",       "不",
                               "排除",        "无关",        "✗",          "✘",          "❌"}) ||
         clause.find("n't") != clause.npos || is_one_of(clause, {"no"});
}

std::size_t clause_end(const Reader& reader, std::size_t begin) {
  const std::size_t end = sentence_end(reader.text, begin, kMaxTail);
  const std::string_view rest = std::string_view(reader.lower).substr(begin, end - begin);
  return begin + std::min({rest.size(), rest.find(','), rest.find(" but "), rest.find(" so ")});
}

/// Whether what follows a letter in its clause speaks against it: "B, A is wrong".
bool is_rejected_at(const Reader& reader, std::size_t letter) {
  const std::size_t begin = letter + 1;
  return is_rejection(std::string_view(reader.lower).substr(begin, clause_end(reader, begin) - begin));
}

/// "B", "(B)", "A and C" at `pos`, behind the words that may precede it.
std::set<std::size_t> read_letters(const Reader& reader, std::size_t pos) {
  std::set<std::size_t> letters;
  pos = skip_to_letter(reader, pos);
  while (const std::optional<std::size_t> option = letter_at(reader, pos, true)) {
    letters.insert(*option);
    pos = skip_list_link(reader, pos + 1);
    if (pos == kNone || !letter_at(reader, pos, false) || is_rejected_at(reader, pos)) break;
  }
  return letters;
}

void keep_later(std::optional<Chosen>& best, std::set<std::size_t> options, std::size_t pos,
                std::string why) {
  if (options.empty() || (best && best->pos > pos)) return;
  best = Chosen{std::move(options), pos, std::move(why)};
}

bool has_digit(std::string_view text) { return std::any_of(text.begin(), text.end(), is_digit); }

/// The options whose own text `said` holds; "2" alone counts them where they hold no numbers themselves.
std::set<std::size_t> quoted_or_counted(const Reader& reader, std::string_view said) {
  std::set<std::size_t> options = options_quoted(reader, said);
  const std::string word = bare(said);
  if (!options.empty() || word.size() != 1 || !is_digit(word[0]) || word[0] == '0') return options;
  const auto option = static_cast<std::size_t>(word[0] - '1');
  const bool counts = std::none_of(reader.options.begin(), reader.options.end(), has_digit);
  if (counts && option < reader.options.size()) options.insert(option);
  return options;
}

void read_boxes(const Reader& reader, std::optional<Chosen>& best) {
  for (const Boxed& box : find_boxed(reader.text)) {
    std::set<std::size_t> options = read_letters(reader, box.begin);
    if (options.empty()) {
      options =
          quoted_or_counted(reader, std::string_view(reader.text).substr(box.begin, box.end - box.begin));
    }
    keep_later(best, std::move(options), box.begin, "in \\boxed{}");
  }
}

void read_marks(const Reader& reader, std::optional<Chosen>& best) {
  for (const AnswerMark& mark : find_answer_marks(reader.lower)) {
    std::set<std::size_t> options = read_letters(reader, mark.begin);
    if (options.empty()) {
      std::size_t begin = mark.begin;
      while (begin < reader.text.size() && (reader.text[begin] == ' ' || reader.text[begin] == '\n')) ++begin;
      const std::size_t end = sentence_end(reader.text, begin, kMaxQuote);
      options = quoted_or_counted(reader, std::string_view(reader.text).substr(begin, end - begin));
    }
    keep_later(best, std::move(options), mark.pos, "stated as the answer");
  }
}

bool rejected_after(std::string_view lower, std::size_t end) {
  std::string_view rest = lower.substr(end, 24);
  // 选B而不是A, 选B不选A reject the other one.
  rest = rest.substr(0, std::min(rest.find("而"), rest.find("不选")));
  for (const std::string_view word : {"错", "不", "排除", "有误", "无关"}) {
    const std::size_t at = rest.find(word);
    const std::size_t stop = std::min(rest.find(','), rest.find('.'));
    if (at < stop) return true;
  }
  return false;
}

/// 选B, 故选 (B), 选择B, 正确的是B.
void read_chinese_choices(const Reader& reader, std::optional<Chosen>& best) {
  for (const std::string_view word : {"选", "正确的是", "正确的为", "而是"}) {
    std::size_t tries = 0;
    for (std::size_t at = reader.lower.rfind(word); at != kNone && tries < kMaxMarks;
         at = at == 0 ? kNone : reader.lower.rfind(word, at - 1), ++tries) {
      const std::string_view before = std::string_view(reader.lower).substr(0, at);
      if (before.ends_with("不") || before.ends_with("排除") || before.ends_with("不能")) continue;
      const std::size_t letter = skip_to_letter(reader, at + word.size());
      if (!letter_at(reader, letter, true) || rejected_after(reader.lower, letter + 1)) continue;
      keep_later(best, read_letters(reader, letter), at, "after " + std::string(word));
    }
  }
}

struct Line {
  std::size_t begin = 0;
  std::size_t end = 0;
};

std::vector<Line> lines_of(std::string_view text) {
  std::vector<Line> lines;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    if (!trim(text.substr(begin, end - begin)).empty()) lines.push_back({begin, end});
    begin = end + 1;
  }
  return lines;
}

/// "B", "(b)", "B. its text" at the beginning of a line.
std::optional<std::size_t> line_letter(const Reader& reader, const Line& line) {
  std::size_t pos = line.begin;
  while (pos < line.end && std::string_view(" ([\"#>-").find(reader.text[pos]) != kNone) ++pos;
  if (is_word_at(reader.lower, pos, "option")) pos = std::min(pos + 7, line.end);
  const std::optional<std::size_t> option = pos < line.end ? letter_at(reader, pos, true) : std::nullopt;
  if (!option) return std::nullopt;
  const std::string_view rest = std::string_view(reader.text).substr(pos + 1, line.end - pos - 1);
  if (trim(rest).empty()) return option;
  if (std::string_view(").:]\"").find(rest[0]) != kNone) {
    // "A: not supported" speaks about A; "A. Not every …" may be its text or an explanation.
    const bool quoted = bare(rest).starts_with(bare(reader.options[*option]));
    const std::string_view about = rest.substr(1, sentence_end(rest, 1, kMaxTail) - 1);
    const bool rejected = rest[0] != '.' && !quoted && is_rejection(to_lower(about));
    return rejected ? std::nullopt : option;
  }
  // "B Every pilot …": the letter and its option's text.
  return bare(rest) == bare(reader.options[*option]) ? option : std::nullopt;
}

/// The words before `pos` in its clause.
std::string_view words_before(const Reader& reader, std::size_t pos) {
  std::string_view before = std::string_view(reader.lower).substr(0, pos);
  before = before.substr(before.size() > 40 ? before.size() - 40 : 0);
  const std::size_t cut = before.find_last_of(".,;!?\n");
  if (cut != kNone && !trim(before.substr(cut + 1)).empty()) before = before.substr(cut + 1);
  before = trim(before);
  while (!before.empty() && std::string_view("( ,:").find(before.back()) != kNone) before.remove_suffix(1);
  for (const std::string_view word : {"option", "choice", "answer", "选项"}) {
    if (before.ends_with(word)) before = trim(before.substr(0, before.size() - word.size()));
  }
  return before;
}

/// Where the verdict begins on the option that a line is about: after "B. Its own text" or "B)". The
/// mention's end for other mentions.
std::size_t skip_label(const Reader& reader, const Mention& mention) {
  const std::string_view lower = reader.lower;
  const std::size_t left = lower.substr(0, mention.begin).find_last_not_of(" ([-#>");
  const bool begins = left == lower.npos || lower[left] == '\n';
  std::size_t pos = mention.end;
  if (!begins || pos >= lower.size() || std::string_view(".):]").find(lower[pos]) == kNone) return pos;
  pos = std::min(lower.find_first_not_of(' ', pos + 1), lower.size());
  const std::string own = to_lower(remove_markup(normalize_answer(reader.options[mention.option])));
  if (!own.empty() && lower.substr(pos).starts_with(own)) pos += own.size();
  return pos;
}

void judge_mention(const Reader& reader, Mention& mention) {
  const std::size_t verdict = skip_label(reader, mention);
  const std::string_view after =
      std::string_view(reader.lower).substr(verdict, clause_end(reader, verdict) - verdict);
  const std::string_view before = words_before(reader, mention.begin);
  const std::string_view own = after.substr(0, after.find(" because "));  // "B because A is wrong"
  mention.negated =
      is_rejection(own) ||
      ends_with_word(before, {"not", "eliminate", "eliminates", "exclude", "reject", "rule out", "rules out",
                              "than", "unlike", "isn't", "neither", "instead of", "over"}) ||
      before.ends_with("排除") || before.ends_with("不选") || before.ends_with("不是") ||
      before.ends_with("而非");
  if (mention.negated) return;
  const bool verdict_after =
      is_one_of(after, {"is", "true", "is true", "yes"}) ||  // "A looks right, but B is."
      contains_any(after, {"correct", "right", "best", "better", "stronger", "strongest", "answer", "follows",
                           "must be", "remains", "is left", "正确", "符合", "✓", "✔", "✅"});
  const bool verdict_before = ends_with_word(
      before, {"so",        "therefore",  "thus",        "hence",     "choose",    "chose",    "pick",
               "select",    "with",       "leaves",      "leaving",   "conclude",  "so it is", "so it's",
               "we get",    "it is",      "it's",        "choice is", "option is", "one is",   "must be",
               "should be", "correct is", "the correct", "the best",  "the right", "应该是",   "应是",
               "应为",      "只有",       "剩下",        "因此",      "所以",      "故"});
  const std::string_view left = trim(std::string_view(reader.text).substr(0, mention.begin));
  const std::string_view right = trim(std::string_view(reader.text).substr(mention.end));
  const bool alone = !left.empty() && std::string_view(".!?").find(left.back()) != kNone &&
                     (right.empty() || right == "." || right == "!");
  const std::string_view lower_left = std::string_view(reader.lower).substr(0, mention.begin);
  const bool corrects = ends_with_word(trim(lower_left), {"actually,", "actually", "wait,", "no,", "sorry,"});
  mention.affirmed = verdict_after || verdict_before || alone || corrects;
}

/// "option b": such a letter may be small.
bool is_announced(const Reader& reader, std::size_t pos) {
  constexpr std::size_t kMostBytes = 12;
  const std::size_t begin = pos - std::min(pos, kMostBytes);
  const std::string_view before = trim(std::string_view(reader.lower).substr(begin, pos - begin));
  return ends_with_word(before, {"option", "choice", "option (", "choice (", "option is", "choice is",
                                 "option is (", "choice is ("});
}

/// Whether nothing but a comma stands between two mentions.
bool is_comma(const Reader& reader, const Mention& first, const Mention& second) {
  return std::string_view(reader.lower)
             .substr(first.end, second.begin - first.end)
             .find_first_not_of(" )](,") == kNone;
}

std::vector<Mention> find_mentions(const Reader& reader) {
  std::vector<Mention> mentions;
  for (std::size_t i = 0; i < reader.text.size(); ++i) {
    if (const std::optional<std::size_t> option = letter_at(reader, i, is_announced(reader, i))) {
      mentions.push_back({*option, i, i + 1});
      judge_mention(reader, mentions.back());
    }
  }
  // "A, B and C are wrong", "neither A nor B": members of a list share the verdict of the last, and that of
  // the words before the first.
  bool complete = false;  // "A, B and C" is; another comma begins something else
  for (std::size_t i = 0; i < mentions.size(); ++i) {
    bool goes_on = i > 0 && skip_list_link(reader, mentions[i - 1].end) == mentions[i].begin;
    const bool comma = goes_on && is_comma(reader, mentions[i - 1], mentions[i]);
    goes_on = goes_on && !(complete && comma);
    complete = goes_on && !comma;
    mentions[i].list = goes_on ? mentions[i - 1].list : i;
    if (goes_on && ends_with_word(words_before(reader, mentions[mentions[i].list].begin), {"neither"}))
      mentions[i].negated = true;
    mentions[i].affirmed = mentions[i].affirmed && !mentions[i].negated;
  }
  for (std::size_t i = mentions.size(); i-- > 1;) {
    if (mentions[i].list != mentions[i - 1].list) continue;
    mentions[i - 1].negated = mentions[i].negated;
    mentions[i - 1].affirmed = mentions[i].affirmed;
  }
  return mentions;
}

/// The options of the list that ends with mentions[last]: "Both A and B are correct" affirms both.
std::set<std::size_t> options_of_list(const std::vector<Mention>& mentions, std::size_t last) {
  std::set<std::size_t> options;
  const bool goes_on = last + 1 < mentions.size() && mentions[last + 1].list == mentions[last].list;
  for (std::size_t i = mentions[last].list; i <= last && !goes_on; ++i) options.insert(mentions[i].option);
  return options;
}

void read_corrections(const Reader& reader, const std::vector<Mention>& mentions,
                      std::optional<Chosen>& best) {
  std::size_t from = kNone;
  for (const std::string_view word :
       {"wait", "actually", "correction", "sorry", "oops", "mistake", "no,", "更正", "不对", "等等"}) {
    const std::size_t at = reader.lower.find(word, best->pos);
    from = std::min(from, at);
  }
  for (std::size_t i = 0; i < mentions.size(); ++i) {
    if (from != kNone && mentions[i].begin > from && mentions[i].affirmed) {
      keep_later(best, options_of_list(mentions, i), mentions[i].begin, "in a later correction");
    }
  }
}

/// What is left when nothing is stated outright.
std::optional<Chosen> read_weak_signs(const Reader& reader, const std::vector<Mention>& mentions,
                                      const std::vector<Line>& lines, bool ends_in_list) {
  std::optional<Chosen> best;
  for (std::size_t i = 0; i < mentions.size(); ++i) {
    if (mentions[i].affirmed)
      keep_later(best, options_of_list(mentions, i), mentions[i].begin, "the last letter that is affirmed");
  }
  if (best) return best;
  if (ends_in_list || is_refusal(reader.lower)) return std::nullopt;
  const Line last = lines.back();
  const std::string_view last_line = std::string_view(reader.text).substr(last.begin, last.end - last.begin);
  for (const std::string_view where : {last_line, std::string_view(reader.text)}) {
    std::set<std::size_t> quoted = options_quoted(reader, where);
    if (quoted.size() == 1 && !is_rejection(to_lower(where)))
      return Chosen{quoted, 0, "an option's own text"};
  }
  std::set<std::size_t> left;
  for (const Mention& mention : mentions) {
    if (mention.begin >= last.begin && !mention.negated) left.insert(mention.option);
  }
  if (left.size() == 1) return Chosen{left, 0, "the only letter in the last line that is not rejected"};
  return std::nullopt;
}

/// Whether "the first option" may be an option's own words.
bool options_count_options(const std::vector<std::string>& options) {
  return std::any_of(options.begin(), options.end(), [](const std::string& option) {
    return contains_any(to_lower(option),
                        {"option", "options", "choice", "choices", "statement", "statements", "conclusion",
                         "conclusions", "first", "second", "third", "fourth", "last", "第", "说法", "结论"});
  });
}

OptionAnswer to_option_answer(const Chosen& chosen) {
  std::string letters;
  for (const std::size_t option : chosen.options) {
    if (!letters.empty()) letters += ", ";
    letters += static_cast<char>('A' + static_cast<int>(option));
  }
  if (chosen.options.size() > 1) return {std::nullopt, letters, "several options are chosen at once"};
  return {*chosen.options.begin(), letters, chosen.why};
}

OptionAnswer read_option_answer(std::string_view answer, const std::vector<std::string>& options) {
  Reader reader{remove_markup(normalize_answer(answer)), {}, options};
  if (!options_count_options(options)) reader.text = letters_for_counts(reader.text, options.size());
  reader.lower = to_lower(reader.text);
  const std::vector<Line> lines = lines_of(reader.text);
  if (lines.empty()) return {std::nullopt, "", "nothing was written outside the thinking"};
  std::optional<Chosen> best;
  read_boxes(reader, best);
  read_marks(reader, best);
  read_chinese_choices(reader, best);
  const std::vector<Mention> mentions = find_mentions(reader);
  std::set<std::size_t> begun;
  for (const Line& line : lines) {
    if (const auto option = line_letter(reader, line)) begun.insert(*option);
  }
  const std::optional<std::size_t> option = line_letter(reader, lines.back());
  if (option && (begun.size() == 1 || lines.size() == 1)) {
    keep_later(best, {*option}, lines.back().begin, "the last line begins with the letter");
  }
  if (best) {
    read_corrections(reader, mentions, best);
    return to_option_answer(*best);
  }
  const auto first = line_letter(reader, lines.front());
  if (first && begun.size() == 1) {
    return to_option_answer({{*first}, 0, "the answer begins with the letter"});
  }
  // Options that are listed to the end: the last one is an entry, not a choice.
  const std::size_t last_letters = bare(std::string_view(reader.text).substr(lines.back().begin)).size();
  const bool ends_in_list = option && begun.size() > 1 && last_letters > 1;
  const std::optional<Chosen> weak = read_weak_signs(reader, mentions, lines, ends_in_list);
  if (!weak) return {std::nullopt, "", "no option is chosen"};
  OptionAnswer guess = to_option_answer(*weak);
  guess.guessed = true;
  return guess;
}

}  // namespace

OptionAnswer extract_option(std::string_view answer, const std::vector<std::string>& options) {
  const std::string_view first = before_next_question(answer);
  OptionAnswer stated = read_option_answer(first, options);
  const bool is_stated = !stated.guessed && !stated.text.empty();
  return is_stated || first.size() == answer.size() ? stated : read_option_answer(answer, options);
}

}  // namespace touchstone
