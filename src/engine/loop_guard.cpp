#include "engine/loop_guard.h"

#include <algorithm>

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

void LoopGuard::push(std::int32_t id) {
  ids_.push_back(id);
  covered_.push_back(false);
  const std::size_t size = ids_.size();
  if (size > kWindow && covered_[size - kWindow - 1]) --num_covered_;
  if (size < kPassage) {
    written_.push_back(0);
    return;
  }
  std::uint8_t& count = passages_[hash_ids(std::span(ids_).last(kPassage))];
  written_.push_back(count);
  if (count < kOften) {
    ++count;
    return;
  }
  for (std::size_t i = size; i > size - kPassage && !covered_[i - 1]; --i) {
    covered_[i - 1] = true;
    ++num_covered_;
  }
}

std::optional<std::size_t> LoopGuard::find_loop() const {
  constexpr std::size_t kShare = 10;  // all but one of so many
  if (ids_.size() < kWindow || num_covered_ * kShare < kWindow * (kShare - 1)) return std::nullopt;
  // Back through passages that were written before, over gaps that a changed word makes.
  std::size_t begin = ids_.size();
  for (std::size_t end = ids_.size(); end > 0 && begin - end <= 2 * kPassage; --end) {
    if (written_[end - 1] > 0) begin = end - 1;
  }
  return begin - (kPassage - 1);
}

}  // namespace touchstone
