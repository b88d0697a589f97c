// What names a model's parts, and the arithmetic that ran it, to people and to receipts.
#pragma once

#include <stop_token>
#include <string>

#include "engine/engine.h"

namespace touchstone {

/// SHA-256 as lower-case hexadecimal digits.
struct ModelHashes {
  std::string weights;        // of the weight files' bytes, as `touchstone inspect` shows it
  std::string tokenizer;      // Tokenizer::sha256()
  std::string chat_template;  // of its source; empty: there is none
  std::string engine;  // of all that decides bytes besides: versions, number formats, and whether sums are
                       // those of matrix tiles

  bool operator==(const ModelHashes&) const = default;
};

/// Reads the weight files, unless their hash is known (find_sha256). When told to stop the result is useless.
ModelHashes hash_model(const LoadedModel& model, const std::stop_token& stop = {});

/// "1.2.3"
std::string engine_version();

}  // namespace touchstone
