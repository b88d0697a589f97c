#include "engine/context_length.h"

#include <spdlog/spdlog.h>

namespace touchstone {

void warn_of_short_context(const std::string& model, const Config& config, std::int32_t context_tokens) {
  const std::int32_t own = config.max_position_embeddings;
  if (context_tokens <= own) return;
  spdlog::warn("a context of {} tokens is more than the {} that {} has; {} are used", context_tokens, own,
               model, own);
}

}  // namespace touchstone
