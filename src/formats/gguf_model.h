// What a GGUF file says about its model, in Hugging Face's words.
#pragma once

#include "formats/checkpoint.h"
#include "formats/gguf.h"

namespace touchstone {

/// Fills config, generation_config, gguf_tokenizer, chat_template, gguf_metadata and tensors of a Checkpoint
/// from a GGUF model, whose first file is `first`; `tensors` are those of all its files. Throws Error, naming
/// `file_name`, for an unknown architecture, a missing or senseless hyperparameter, a tokenizer that
/// contradicts itself.
void fill_from_gguf(const GgufFile& first, std::vector<Tensor> tensors, const std::string& file_name,
                    Checkpoint& checkpoint);

/// Hugging Face's name of a GGUF tensor ("blk.0.attn_q.weight" -> "model.layers.0.self_attn.q_proj.weight");
/// names without a counterpart stay as they are.
std::string to_hugging_face_name(std::string_view name);

}  // namespace touchstone
