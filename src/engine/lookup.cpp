#include "engine/lookup.h"

#include <algorithm>
#include <cassert>
#include <iterator>

namespace touchstone {
namespace {

/// How many tokens before both ends are the same, up to kLongestMatch.
std::size_t common_length(std::span<const std::int32_t> text, std::size_t earlier_end, std::size_t end) {
  const std::size_t most = std::min(earlier_end, kLongestMatch);
  std::size_t length = 0;
  while (length < most && text[earlier_end - length - 1] == text[end - length - 1]) ++length;
  return length;
}

}  // namespace

void TextIndex::extend(std::span<const std::int32_t> text) {
  for (std::size_t place = previous_.size(); place < text.size(); ++place) {
    const auto [found, is_new] = latest_.try_emplace(text[place], -1);
    previous_.push_back(found->second);
    found->second = static_cast<std::int32_t>(place);
    const bool goes_on = match_.length > 0 && text[match_.next] == text[place];
    match_ = goes_on ? TextMatch{match_.next + 1, std::min(match_.length + 1, kLongestMatch)} : TextMatch{};
  }
  if (text.empty()) return;
  std::int32_t place = previous_.back();
  for (int i = 0; i < kPlaces && place >= 0 && match_.length < kLongestMatch; ++i) {
    const std::size_t next = static_cast<std::size_t>(place) + 1;
    const std::size_t length = common_length(text, next, text.size());
    if (length > match_.length || (length == match_.length && next > match_.next)) match_ = {next, length};
    place = previous_[static_cast<std::size_t>(place)];
  }
}

std::size_t HitRates::class_of(std::size_t length) {
  assert(length > 0);
  constexpr std::array<std::size_t, kClasses> kFirst{1, 2, 3, 4, 8, 16, kLongestMatch};
  const auto behind = std::upper_bound(kFirst.begin(), kFirst.end(), length);
  return static_cast<std::size_t>(behind - kFirst.begin()) - 1;
}

void HitRates::count(std::size_t length, bool hit) {
  constexpr double kWeight = 0.1;
  double& rate = rates_[class_of(length)];
  rate += kWeight * ((hit ? 1.0 : 0.0) - rate);
}

void Drafter::follow(std::span<const std::int32_t> text) {
  const TextMatch& match = index.match();
  if (match.length > 0) rates.count(match.length, text[match.next] == text.back());
  index.extend(text);
}

std::vector<double> Drafter::chances(std::size_t most) const {
  std::vector<double> chances;
  const std::size_t length = index.match().length;
  double chance = 1;
  for (std::size_t j = 0; length > 0 && j < most; ++j) {
    chance *= rates.at(length + j);
    chances.push_back(chance);
  }
  return chances;
}

void Drafter::guess(std::span<const std::int32_t> text, std::size_t count,
                    std::vector<std::int32_t>& guesses) const {
  const std::size_t first = guesses.size();
  for (std::size_t place = index.match().next; count > 0; --count, ++place) {
    guesses.push_back(place < text.size() ? text[place] : guesses[first + place - text.size()]);
  }
}

void PassTimes::record(std::size_t tokens, double seconds) {
  Size& size = sizes_[tokens];
  if (size.times.size() == kKept) size.times.erase(size.times.begin());
  size.times.push_back(seconds);
  std::vector<double> sorted = size.times;
  std::sort(sorted.begin(), sorted.end());
  size.median = sorted[sorted.size() / 2];
  size.last = ++passes_;
}

bool PassTimes::knows(std::size_t tokens) const {
  const auto found = sizes_.find(tokens);
  return found != sizes_.end() && passes_ - found->second.last < kRemembered;
}

double PassTimes::seconds(std::size_t tokens) const {
  const auto found = sizes_.lower_bound(tokens);
  if (knows(tokens)) return found->second.median;
  const auto above = found != sizes_.end() && found->first == tokens ? std::next(found) : found;
  assert(found != sizes_.begin());
  const auto& [fewer, below] = *std::prev(found);
  const auto to_double = [](std::size_t n) { return static_cast<double>(n); };
  if (above == sizes_.end()) {
    // Another token takes an eighth of what is there: too much where passes are bound by reading the
    // weights, and then soon corrected.
    constexpr double kShare = 1.0 / 8;
    return below.median * (1 + kShare * to_double(tokens - fewer));
  }
  const auto& [more, higher] = *above;
  const double part = to_double(tokens - fewer) / to_double(more - fewer);
  return below.median + part * (higher.median - below.median);
}

std::vector<std::size_t> choose_drafts(std::span<const std::vector<double>> chances, const PassTimes& times) {
  const std::size_t sequences = chances.size();
  std::vector<std::size_t> chosen(sequences, 0);
  if (!times.knows(sequences)) return chosen;
  struct Guess {
    double chance;
    std::size_t sequence;
  };
  std::vector<Guess> guesses;
  for (std::size_t i = 0; i < sequences; ++i) {
    for (const double chance : chances[i]) guesses.push_back({chance, i});
  }
  std::stable_sort(guesses.begin(), guesses.end(),
                   [](const Guess& a, const Guess& b) { return a.chance > b.chance; });
  constexpr double kClearly = 1.02;  // what times scatter by
  auto expected = static_cast<double>(sequences);
  double best_rate = kClearly * expected / times.seconds(sequences);
  std::size_t best = 0;
  for (std::size_t i = 0; i < guesses.size(); ++i) {
    expected += guesses[i].chance;
    const double rate = expected / times.seconds(sequences + i + 1);
    if (rate <= best_rate) continue;
    best_rate = rate;
    best = i + 1;
  }
  for (std::size_t i = 0; i < best; ++i) ++chosen[guesses[i].sequence];
  return chosen;
}

}  // namespace touchstone
