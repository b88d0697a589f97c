// Makes the answer of a receipt again, and says whether it is the same, and if not why.
#pragma once

#include <boost/json.hpp>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/receipt.h"

namespace touchstone {

/// A hash that the receipt holds, and what it is here; empty: there is none.
struct HashCheck {
  std::string name;  // "weights", "tokenizer", "template", "engine"
  std::string expected, got;

  bool same() const { return expected == got; }
};

struct TokenChoice {
  std::int32_t id = 0;
  std::string text;
  double logprob = 0;  // under the model's own distribution, as it is here
};

/// The first token that differs; where one side has none, its output has ended.
struct TokenDifference {
  std::size_t position = 0;  // in the output
  std::optional<TokenChoice> expected, got;
};

struct OutputCheck {
  std::uint32_t sample = 0;
  std::size_t num_tokens = 0;  // of the receipt
  std::optional<TokenDifference> token;
  // Where all tokens are the same: "finish_reason stop, not length", … Empty: nothing differs.
  std::string other_difference;

  bool same() const { return !token && other_difference.empty(); }
};

struct ReplayReport {
  std::vector<HashCheck> hashes;
  std::vector<OutputCheck> outputs;
  std::string why;  // what would explain that outputs differ; empty: they are the same

  bool same() const { return why.empty(); }  // the outputs, whatever the hashes
};

/// `model`: loaded as the receipt says, or as one wants to see. Throws Error for a receipt whose ids or
/// settings this model cannot have.
ReplayReport replay(const std::shared_ptr<LoadedModel>& model, const Receipt& receipt);

boost::json::object to_json(const ReplayReport& report);

}  // namespace touchstone
