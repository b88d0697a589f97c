#include "engine/loop_guard.h"

#include <algorithm>
#include <span>

namespace touchstone {
namespace {

constexpr std::uint8_t kOften = 3;

/// FNV-1a over 32-bit words.
std::uint64_t hash_ids(std::span<const std::int32_t> ids) {
  std::uint64_t hash = 0xCBF29CE484222325;
  for (const std::int32_t id : ids) hash = (hash ^ static_cast<std::uint32_t>(id)) * 0x100000001B3;
  return hash;
}

}  // namespace

/// How often the last kPassage tokens were written before, up to kOften.
std::uint8_t LoopGuard::count_passage() {
  if (ids_.size() < kPassage) return 0;
  std::uint8_t& count = passages_[hash_ids(std::span(ids_).last(kPassage))];
  return count < kOften ? count++ : count;
}

void LoopGuard::push(std::int32_t id) {
  ids_.push_back(id);
  covered_.push_back(false);
  const std::size_t size = ids_.size();
  if (size > kWindow && covered_[size - kWindow - 1]) --num_covered_;
  const bool is_new =
      size < kSuspicion || short_passages_.insert(hash_ids(std::span(ids_).last(kSuspicion))).second;
  suspicious_run_ = is_new ? 0 : suspicious_run_ + 1;
  const std::uint8_t count = count_passage();
  if (count == kOften) {
    for (std::size_t i = size; i > size - kPassage && !covered_[i - 1]; --i) {
      covered_[i - 1] = true;
      ++num_covered_;
    }
  }
  if (count > 0) {
    if (!repeats()) first_repeat_ = size;
    last_repeat_ = size;
  }
  num_certain_ = std::max(num_certain_, find_certain());
}

/// Whether what follows may still belong to what is being repeated.
bool LoopGuard::repeats() const {
  constexpr std::size_t kGap = 2 * kPassage;
  return last_repeat_ > 0 && ids_.size() - last_repeat_ <= kGap;
}

std::size_t LoopGuard::find_certain() const {
  // A passage that was written before begins with short ones that were, so many but the last.
  constexpr std::size_t kRun = kPassage - kSuspicion;
  const std::size_t size = ids_.size();
  const std::size_t certain = repeats() ? first_repeat_ - 1 - kRun : size - std::min(suspicious_run_, kRun);
  return std::max(certain, size - std::min(size, kMostHeld));
}

bool LoopGuard::in_loop() const {
  constexpr std::size_t kShare = 10;  // all but one of so many
  return ids_.size() >= kWindow && num_covered_ * kShare >= kWindow * (kShare - 1);
}

}  // namespace touchstone
