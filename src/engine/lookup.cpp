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

/// What the matches, the latest first, say comes next; `token_at(place)` is the token of a place.
template <typename TokenAt>
Prediction predict(std::span<const TextMatch> matches, const TokenAt& token_at) {
  const TextMatch* longest = nullptr;
  for (const TextMatch& match : matches) {
    if (longest == nullptr || match.length > longest->length) longest = &match;
  }
  if (longest == nullptr) return {};
  Prediction prediction{.id = token_at(longest->next), .length = longest->length};
  for (const TextMatch& match : matches) {
    if (&match == longest || 2 * match.length < longest->length) continue;
    if (token_at(match.next) != prediction.id) {
      prediction.agreement = Agreement::disputed;
      break;
    }
    prediction.agreement = Agreement::agreed;
  }
  return prediction;
}

}  // namespace

void TextIndex::extend(std::span<const std::int32_t> text) {
  for (std::size_t place = previous_.size(); place < text.size(); ++place) {
    const auto [found, is_new] = latest_.try_emplace(text[place], -1);
    previous_.push_back(found->second);
    found->second = static_cast<std::int32_t>(place);
    const bool goes_on = longest_.length > 0 && text[longest_.next] == text[place];
    longest_ =
        goes_on ? TextMatch{longest_.next + 1, std::min(longest_.length + 1, kLongestMatch)} : TextMatch{};
  }
  matches_.clear();
  if (text.empty()) return;
  const TextMatch followed = longest_;
  std::int32_t place = previous_.back();
  for (int i = 0; i < kPlaces && place >= 0; ++i) {
    const std::size_t next = static_cast<std::size_t>(place) + 1;
    const std::size_t length = common_length(text, next, text.size());
    matches_.push_back({next, length});
    if (length > longest_.length || (length == longest_.length && next > longest_.next)) {
      longest_ = {next, length};
    }
    place = previous_[static_cast<std::size_t>(place)];
  }
  if (followed.length > 0 && followed.next < matches_.back().next) matches_.push_back(followed);
}

std::size_t HitRates::class_of(std::size_t length) {
  assert(length > 0);
  constexpr std::array<std::size_t, kClasses> kFirst{1, 2, 3, 4, 8, 16, kLongestMatch};
  const auto behind = std::upper_bound(kFirst.begin(), kFirst.end(), length);
  return static_cast<std::size_t>(behind - kFirst.begin()) - 1;
}

std::array<std::array<HitRates::Rate, HitRates::kClasses>, 3> HitRates::make_first_rates() {
  constexpr double kShown[3][kClasses] = {{0.5, 0.55, 0.55, 0.6, 0.65, 0.9, 0.97},
                                          {0.55, 0.8, 0.9, 0.93, 0.95, 0.97, 0.99},
                                          {0.33, 0.37, 0.4, 0.35, 0.25, 0.3, 0.5}};
  constexpr double kShare = 0.7;
  constexpr double kTrials = 2;
  std::array<std::array<Rate, kClasses>, 3> rates;
  for (std::size_t a = 0; a < rates.size(); ++a) {
    for (std::size_t c = 0; c < kClasses; ++c) rates[a][c] = {kShare * kShown[a][c], kTrials};
  }
  return rates;
}

double HitRates::at(const Prediction& prediction) const {
  return rates_[static_cast<std::size_t>(prediction.agreement)][class_of(prediction.length)].hits;
}

void HitRates::count(const Prediction& prediction, bool hit) {
  constexpr double kLeastWeight = 0.1;  // texts change their ways
  Rate& rate = rates_[static_cast<std::size_t>(prediction.agreement)][class_of(prediction.length)];
  rate.trials += 1;
  rate.hits += std::max(kLeastWeight, 1 / rate.trials) * ((hit ? 1.0 : 0.0) - rate.hits);
}

void Drafter::follow(std::span<const std::int32_t> text) {
  if (next.length > 0) rates.count(next, next.id == text.back());
  index.extend(text);
  next = predict(index.matches(), [&](std::size_t place) { return text[place]; });
}

Draft Drafter::draft(std::span<const std::int32_t> text, std::size_t most) const {
  Draft draft;
  const auto token_at = [&](std::size_t place) {
    return place < text.size() ? text[place] : draft.ids[place - text.size()];
  };
  std::vector<TextMatch> matches(index.matches().begin(), index.matches().end());
  double chance = 1;
  for (Prediction guess = next; guess.length > 0 && draft.ids.size() < most;
       guess = predict(matches, token_at)) {
    chance *= rates.at(guess);
    std::erase_if(matches, [&](const TextMatch& match) { return token_at(match.next) != guess.id; });
    for (TextMatch& match : matches) {
      match = {match.next + 1, std::min(match.length + 1, kLongestMatch)};
    }
    draft.ids.push_back(guess.id);
    draft.chances.push_back(chance);
  }
  return draft;
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
  guesses.resize(std::min(guesses.size(), kMostDraftedInPass));
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
