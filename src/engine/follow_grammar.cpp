// Samples whose answer must follow a grammar.
#include <algorithm>

#include "base/error.h"
#include "engine/engine_impl.h"

namespace touchstone {
namespace {

constexpr std::size_t kMostBytes =
    64'000'000;  // of a constraint's states; they come again as they are needed
constexpr std::size_t kMostConstraints = 16;

constexpr std::string_view kCloser = "</think>";

}  // namespace

/// Throws Error when the model cannot even begin.
std::shared_ptr<Constraint> Engine::Impl::find_constraint(const std::shared_ptr<const Grammar>& grammar) {
  if (!token_tree) token_tree = std::make_shared<TokenTree>(make_token_tree(model->tokenizer));
  const auto known = constraints.find(grammar->key());
  if (known != constraints.end() && known->second->bytes() <= kMostBytes) return known->second;
  auto constraint = std::make_shared<Constraint>(grammar, token_tree);
  const std::int32_t start = constraint->start();
  if (start == Constraint::impossible || !constraint->has_tokens(start)) {
    throw Error("no token of model " + model->id + " begins what the schema asks for", "use another model");
  }
  if (constraints.size() >= kMostConstraints) constraints.clear();  // those in use live on
  return constraints[grammar->key()] = std::move(constraint);
}

/// Leaves of the logits those of tokens that may be chosen.
void Engine::Impl::restrict_logits(Sequence& sequence, std::span<float> logits) {
  const GenerateRequest& input = request_of(sequence).input;
  if (sequence.banned && sequence.banned->first == sequence.ids.size()) {
    ban_tokens(logits, {&sequence.banned->second, 1});
  }
  if (!sequence.constraint) return;
  const std::scoped_lock lock(constraints_mutex);
  // Those that end the answer, exactly where it may end; thinking ends it where no answer may follow.
  const bool may_end = sequence.constraint->may_end(sequence.grammar_state);
  std::vector<std::int32_t> also;
  std::vector<std::int32_t> without;
  if (!input.sampling.ignore_eos) (may_end ? also : without) = input.sampling.stop_ids;
  if (sequence.text.in_reasoning()) return ban_tokens(logits, without);  // the answer is still to come
  if (sequence.constraint->bytes() > kMostBytes) {
    sequence.constraint = find_constraint(input.constraint);
    const std::int32_t start = sequence.constraint->start();
    sequence.grammar_state = sequence.constraint->advance(start, sequence.constrained_text);
  }
  // Any text: as if there were no grammar, special tokens too.
  if (sequence.constraint->allows_all(sequence.grammar_state)) return ban_tokens(logits, without);
  // A model that thinks of its own accord may do so first.
  if (!sequence.generating() && opener_id && find_top(logits, 1).front() == *opener_id) {
    also.push_back(*opener_id);
  }
  mask_logits(logits, sequence.constraint->allowed_tokens(sequence.grammar_state), also);
  ban_tokens(logits, without);
}

/// The id, already appended, was chosen among those that may follow, or closed the thinking.
void Engine::Impl::follow_grammar(Sequence& sequence, std::int32_t id, bool reasoned) {
  if (sequence.text.in_reasoning()) return;
  const bool is_text = model->tokenizer.has_token(id) && !model->tokenizer.is_special(id);
  std::string_view bytes = is_text ? model->tokenizer.token_bytes(id) : "";
  if (reasoned) {
    // What the id has behind the closing tag, which ends in it, is the answer's; a line break is neither's.
    const std::size_t tag = bytes.find(kCloser);
    const std::size_t end = tag != std::string_view::npos ? tag + kCloser.size() : bytes.find('>') + 1;
    bytes.remove_prefix(std::min(bytes.find_first_not_of("\r\n", end), bytes.size()));
  }
  sequence.constrained_text += bytes;
  sequence.grammar_state = sequence.constraint->advance(sequence.grammar_state, bytes);
  if (!reasoned || !sequence.forced.empty() || !bytes.empty()) return;
  // Models write these behind the tag, where the grammar has none.
  if (sequence.constraint->advance(sequence.grammar_state, "\n") == Constraint::impossible) {
    sequence.forced.assign(line_breaks.rbegin(), line_breaks.rend());
  }
}

/// Whether nothing more can come, and then why the answer ends.
std::optional<FinishReason> Engine::Impl::find_grammar_end(const Sequence& sequence) const {
  if (sequence.text.in_reasoning()) return std::nullopt;
  const std::int32_t state = sequence.grammar_state;
  if (state == Constraint::impossible) return FinishReason::length;
  if (sequence.constraint->has_tokens(state)) return std::nullopt;
  return sequence.constraint->may_end(state) ? FinishReason::stop : FinishReason::length;
}

}  // namespace touchstone
