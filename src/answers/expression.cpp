#include "answers/expression.h"

#include <array>

#include "answers/extract_text.h"
#include "answers/number_reader.h"

namespace touchstone {
namespace {

using boost::multiprecision::cpp_int;
using boost::multiprecision::cpp_rational;

constexpr int kMostBrackets = 16;
constexpr std::size_t kMostComputed = 200;                                 // nobody leaves more uncomputed
const cpp_int kMostRooted = boost::multiprecision::pow(cpp_int(10), 100);  // more would only cost time
constexpr std::array<std::string_view, 2> kRoots = {"\\sqrt", "√"};

/// The n-th root of a whole number, where it is whole.
std::optional<cpp_int> exact_root(const cpp_int& value, unsigned n) {
  cpp_int low = 0;
  cpp_int high = 1;
  while (boost::multiprecision::pow(high, n) < value) high *= 2;
  while (low < high) {
    const cpp_int middle = (low + high) / 2;
    if (boost::multiprecision::pow(middle, n) < value) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return boost::multiprecision::pow(low, n) == value ? std::optional(low) : std::nullopt;
}

std::optional<cpp_rational> exact_root(const cpp_rational& value, unsigned n) {
  if (value < 0 || numerator(value) > kMostRooted || denominator(value) > kMostRooted) return std::nullopt;
  const auto over = exact_root(cpp_int(numerator(value)), n);
  const auto under = exact_root(cpp_int(denominator(value)), n);
  return over && under ? std::optional(cpp_rational(*over, *under)) : std::nullopt;
}

class ExpressionReader {
 public:
  explicit ExpressionReader(std::string_view text) : text_(text) {}

  std::optional<cpp_rational> read_all() {
    std::optional<cpp_rational> value = read_sum(0);
    skip_spaces();
    return pos_ == text_.size() ? value : std::nullopt;
  }

 private:
  void skip_spaces() {
    while (pos_ < text_.size() && text_[pos_] == ' ') ++pos_;
  }
  bool take(std::string_view word) {
    skip_spaces();
    if (!text_.substr(pos_).starts_with(word)) return false;
    pos_ += word.size();
    return true;
  }

  std::optional<cpp_rational> read_sum(int depth) {
    const bool negative = take("-");
    std::optional<cpp_rational> sum = read_product(depth);
    if (sum && negative) sum = -*sum;
    while (sum) {
      const bool plus = take("+");
      if (!plus && !take("-")) break;
      if (!plus && pos_ < text_.size() && is_digit(text_[pos_])) return std::nullopt;  // "80-90" is a range
      const std::optional<cpp_rational> next = read_product(depth);
      if (!next) return std::nullopt;
      sum = plus ? cpp_rational(*sum + *next) : cpp_rational(*sum - *next);
    }
    return sum;
  }

  std::optional<cpp_rational> read_product(int depth) {
    std::optional<cpp_rational> product = read_factor(depth);
    while (product) {
      const bool divides = take("/");
      if (!divides && !take("*") && !begins_root()) break;  // 2\sqrt{9} multiplies
      const std::optional<cpp_rational> next = read_factor(depth);
      if (!next || (divides && *next == 0)) return std::nullopt;
      product = divides ? cpp_rational(*product / *next) : cpp_rational(*product * *next);
    }
    return product;
  }

  bool begins_root() {
    skip_spaces();
    const std::string_view rest = text_.substr(pos_);
    return rest.starts_with(kRoots[0]) || rest.starts_with(kRoots[1]);
  }

  std::optional<cpp_rational> read_factor(int depth) {
    if (depth > kMostBrackets) return std::nullopt;
    for (const std::string_view root : kRoots) {
      if (take(root)) return read_root(depth);
    }
    if (take("(")) return read_rest_of_group(depth, ")");
    skip_spaces();
    const std::optional<NumberAt> number = read_number_at(text_, pos_);
    if (number && !number->percent && number->group == 1) {
      pos_ = number->end;
      return number->value;
    }
    if (!take("\\frac") || !take("{")) return std::nullopt;
    const std::optional<cpp_rational> over = read_rest_of_group(depth, "}");
    if (!over || !take("{")) return std::nullopt;
    const std::optional<cpp_rational> under = read_rest_of_group(depth, "}");
    return under && *under != 0 ? std::optional<cpp_rational>(*over / *under) : std::nullopt;
  }

  std::optional<cpp_rational> read_rest_of_group(int depth, std::string_view close) {
    std::optional<cpp_rational> value = read_sum(depth + 1);
    return take(close) ? value : std::nullopt;
  }

  std::optional<cpp_rational> read_root(int depth) {
    unsigned n = 2;
    if (take("[")) {
      skip_spaces();
      if (pos_ >= text_.size() || text_[pos_] < '2' || text_[pos_] > '9') return std::nullopt;
      n = static_cast<unsigned>(text_[pos_++] - '0');
      if (!take("]")) return std::nullopt;
    }
    const std::optional<cpp_rational> under =
        take("{") ? read_rest_of_group(depth, "}") : read_factor(depth + 1);
    return under ? exact_root(*under, n) : std::nullopt;
  }

  std::string_view text_;
  std::size_t pos_ = 0;
};

}  // namespace

std::optional<cpp_rational> read_expression(std::string_view text) {
  text = trim(text);
  return text.size() <= kMostComputed ? ExpressionReader(text).read_all() : std::nullopt;
}

bool has_root(std::string_view text) {
  for (const std::string_view sign :
       {kRoots[0], kRoots[1], std::string_view("\\pi"), std::string_view("π")}) {
    if (text.find(sign) != text.npos) return true;
  }
  return false;
}

}  // namespace touchstone
