#include "engine/receipt.h"

#include <fmt/format.h>

#include <cmath>
#include <cstdlib>
#include <limits>
#include <string_view>

#include "base/error.h"
#include "base/sha256.h"
#include "engine/sampler.h"
#include "text/json_schema.h"
#include "text/tool_call_grammar.h"

namespace touchstone {
namespace {

namespace json = boost::json;

constexpr std::int64_t kMost32 = std::numeric_limits<std::int32_t>::max();
constexpr std::int64_t kMaxContextTokens = 1 << 24;  // as --ctx
constexpr std::size_t kMaxOutputs = 1024;            // the samples of one request
constexpr std::size_t kMaxStops = 1024;
constexpr std::size_t kMaxStopIds = 65536;
constexpr std::size_t kMaxBiases = 1 << 20;

constexpr const char* kHint = "give the receipt as it was written";

/// The double that reads as people would write the float, if it leads back to it.
double readable(float number) {
  const double decimal = std::strtod(fmt::format("{}", number).c_str(), nullptr);
  return static_cast<float>(decimal) == number ? decimal : static_cast<double>(number);
}

[[noreturn]] void refuse(const std::string& what) { throw Error("the receipt's " + what, kHint); }

/// Members of an object of the receipt, each by its name and type.
struct Members {
  const json::object& object;
  std::string path;

  std::string name_of(std::string_view name) const { return path + std::string(name); }

  const json::value& any(std::string_view name) const {
    const json::value* value = object.if_contains(name);
    if (value == nullptr) throw Error("the receipt has no " + name_of(name), kHint);
    return *value;
  }
  Members inside(std::string_view name) const {
    const json::value& value = any(name);
    if (!value.is_object()) refuse(name_of(name) + " is not an object");
    return {value.get_object(), name_of(name) + "."};
  }
  const json::array& array(std::string_view name, std::size_t most) const {
    const json::value& value = any(name);
    if (!value.is_array()) refuse(name_of(name) + " is not an array");
    if (value.get_array().size() > most)
      refuse(fmt::format("{} has more than {} entries", name_of(name), most));
    return value.get_array();
  }
  std::int64_t integer(std::string_view name, std::int64_t least, std::int64_t most) const {
    const std::int64_t* number = any(name).if_int64();
    if (number == nullptr || *number < least || *number > most) {
      refuse(fmt::format("{} is not a whole number from {} to {}", name_of(name), least, most));
    }
    return *number;
  }
  std::int32_t integer32(std::string_view name, std::int32_t least = 0) const {
    return static_cast<std::int32_t>(integer(name, least, kMost32));
  }
  float number(std::string_view name) const { return to_float(any(name), name); }
  float to_float(const json::value& value, std::string_view name) const {
    if (!value.is_number()) refuse(name_of(name) + " is not a number");
    const auto number = static_cast<float>(value.to_number<double>());
    if (!std::isfinite(number)) refuse(name_of(name) + " is too large");
    return number;
  }
  bool boolean(std::string_view name) const {
    if (!any(name).is_bool()) refuse(name_of(name) + " is not true or false");
    return any(name).get_bool();
  }
  std::string string(std::string_view name) const { return to_string(any(name), name); }
  std::string to_string(const json::value& value, std::string_view name) const {
    constexpr std::size_t kMaxBytes = 1 << 16;
    if (!value.is_string()) refuse(name_of(name) + " is not a string");
    if (value.get_string().size() > kMaxBytes) refuse(name_of(name) + " is longer than 64 KiB");
    return std::string(value.get_string());
  }
  std::string sha256(std::string_view name) const {
    std::string text = string(name);
    if (text.size() != 64 || text.find_first_not_of("0123456789abcdef") != std::string::npos) {
      refuse(name_of(name) + " is not a SHA-256 of 64 hexadecimal digits");
    }
    return text;
  }
  std::int32_t to_id(const json::value& value, std::string_view name) const {
    const std::int64_t* id = value.if_int64();
    if (id == nullptr || *id < 0 || *id > kMost32) refuse(name_of(name) + " holds what is not a token id");
    return static_cast<std::int32_t>(*id);
  }
  std::vector<std::int32_t> ids(std::string_view name, std::size_t most = kMaxContextTokens) const {
    std::vector<std::int32_t> ids;
    for (const json::value& entry : array(name, most)) ids.push_back(to_id(entry, name));
    return ids;
  }
};

json::value or_null(std::optional<std::int32_t> number) {
  return number ? json::value(*number) : json::value();
}

json::object to_json(const SamplingParams& params) {
  json::array biases;
  for (const auto& [id, bias] : params.logit_bias) biases.push_back(json::array{id, readable(bias)});
  return {{"temperature", readable(params.temperature)},
          {"top_p", readable(params.top_p)},
          {"top_k", params.top_k},
          {"min_p", readable(params.min_p)},
          {"repetition_penalty", readable(params.repetition_penalty)},
          {"presence_penalty", readable(params.presence_penalty)},
          {"frequency_penalty", readable(params.frequency_penalty)},
          {"seed", params.seed},
          {"max_new_tokens", params.max_new_tokens},
          {"stop", json::value_from(params.stop)},
          {"stop_ids", json::value_from(params.stop_ids)},
          {"ignore_eos", params.ignore_eos},
          {"reasoning_budget", or_null(params.reasoning_budget)},
          {"logit_bias", std::move(biases)}};
}

std::uint64_t parse_seed(const Members& members) {
  const json::value& seed = members.any("seed");
  if (const std::uint64_t* large = seed.if_uint64()) return *large;
  return static_cast<std::uint64_t>(members.integer("seed", 0, std::numeric_limits<std::int64_t>::max()));
}

SamplingParams parse_sampling(const Members& members) {
  SamplingParams params;
  params.temperature = members.number("temperature");
  params.top_p = members.number("top_p");
  params.top_k = members.integer32("top_k");
  params.min_p = members.number("min_p");
  params.repetition_penalty = members.number("repetition_penalty");
  params.presence_penalty = members.number("presence_penalty");
  params.frequency_penalty = members.number("frequency_penalty");
  params.seed = parse_seed(members);
  params.max_new_tokens = members.integer32("max_new_tokens", 1);
  for (const json::value& stop : members.array("stop", kMaxStops)) {
    params.stop.push_back(members.to_string(stop, "stop"));
  }
  params.stop_ids = members.ids("stop_ids", kMaxStopIds);
  params.ignore_eos = members.boolean("ignore_eos");
  if (!members.any("reasoning_budget").is_null())
    params.reasoning_budget = members.integer32("reasoning_budget");
  for (const json::value& entry : members.array("logit_bias", kMaxBiases)) {
    if (!entry.is_array() || entry.get_array().size() != 2) {
      refuse("sampling.logit_bias holds what is not a pair of token id and bias");
    }
    params.logit_bias.emplace_back(members.to_id(entry.get_array()[0], "logit_bias"),
                                   members.to_float(entry.get_array()[1], "logit_bias"));
  }
  try {
    check_sampling(params);
  } catch (const Error& error) {
    refuse(std::string("sampling cannot be used: ") + error.what());
  }
  return params;
}

FinishReason parse_finish_reason(const Members& members) {
  const std::string name = members.string("finish_reason");
  for (const FinishReason reason : {FinishReason::stop, FinishReason::loop, FinishReason::length,
                                    FinishReason::cancelled, FinishReason::deadline}) {
    if (name == finish_reason_name(reason)) return reason;
  }
  refuse(members.name_of("finish_reason") + " is not stop, loop, length, cancelled or deadline");
}

ReceiptOutput parse_output(const json::value& value) {
  if (!value.is_object()) refuse("outputs hold what is not an object");
  const Members members{value.get_object(), "outputs."};
  std::optional<std::int32_t> answered_after;  // older receipts do not have it
  const json::value* after = members.object.if_contains("answered_after");
  if (after != nullptr && !after->is_null()) answered_after = members.integer32("answered_after");
  return {.sample = static_cast<std::uint32_t>(members.integer("sample", 0, kMost32)),
          .ids = members.ids("ids"),
          .finish_reason = parse_finish_reason(members),
          .answered_after = answered_after,
          .text_sha256 = members.sha256("text_sha256"),
          .reasoning_sha256 = members.sha256("reasoning_sha256")};
}

}  // namespace

Receipt begin_receipt(const LoadedModel& model, const GenerateRequest& request, std::int32_t context_tokens) {
  return {.model = model.id,
          .hashes = {},
          .engine_version = engine_version(),
          .dtype = model.options.dtype,
          .kv_dtype = model.options.kv_dtype,
          .context_tokens = context_tokens,
          .prompt_ids = request.prompt_ids,
          .reasoning_opened = request.reasoning_opened,
          .sampling = request.sampling,
          .loop_guard = request.loop_guard,
          .response_format = {},
          .outputs = {}};
}

ReceiptOutput describe_output(std::uint32_t sample, const GeneratedSample& result) {
  return {.sample = sample,
          .ids = result.ids,
          .finish_reason = result.finish_reason,
          .answered_after = result.answered_after,
          .text_sha256 = hash_text(result.text),
          .reasoning_sha256 = hash_text(result.reasoning)};
}

json::object to_json(const Receipt& receipt) {
  json::array outputs;
  for (const ReceiptOutput& output : receipt.outputs) {
    outputs.push_back({{"sample", output.sample},
                       {"ids", json::value_from(output.ids)},
                       {"finish_reason", finish_reason_name(output.finish_reason)},
                       {"answered_after", or_null(output.answered_after)},
                       {"text_sha256", output.text_sha256},
                       {"reasoning_sha256", output.reasoning_sha256}});
  }
  const ModelHashes& hashes = receipt.hashes;
  const auto chat_template = hashes.chat_template.empty() ? json::value() : json::value(hashes.chat_template);
  return {{"receipt_version", Receipt::version},
          {"model",
           {{"name", receipt.model},
            {"weights_sha256", hashes.weights},
            {"tokenizer_sha256", hashes.tokenizer},
            {"template_sha256", chat_template}}},
          {"engine",
           {{"version", receipt.engine_version},
            {"sha256", hashes.engine},
            {"dtype", receipt.dtype},
            {"kv_dtype", receipt.kv_dtype},
            {"ctx", receipt.context_tokens}}},
          {"prompt",
           {{"ids", json::value_from(receipt.prompt_ids)}, {"reasoning_opened", receipt.reasoning_opened}}},
          {"sampling", to_json(receipt.sampling)},
          {"loop_guard", receipt.loop_guard},
          {"response_format", receipt.response_format},
          {"outputs", std::move(outputs)}};
}

Receipt parse_receipt(const json::value& value) {
  if (!value.is_object()) throw Error("the receipt is not a JSON object", kHint);
  const Members members{value.get_object(), ""};
  if (members.integer("receipt_version", 0, kMost32) != Receipt::version) {
    refuse("receipt_version is not " + std::to_string(Receipt::version));
  }
  Receipt receipt;
  const Members model = members.inside("model");
  receipt.model = model.string("name");
  receipt.hashes.weights = model.sha256("weights_sha256");
  receipt.hashes.tokenizer = model.sha256("tokenizer_sha256");
  if (!model.any("template_sha256").is_null()) receipt.hashes.chat_template = model.sha256("template_sha256");
  const Members engine = members.inside("engine");
  receipt.engine_version = engine.string("version");
  receipt.hashes.engine = engine.sha256("sha256");
  receipt.dtype = engine.string("dtype");
  receipt.kv_dtype = engine.string("kv_dtype");
  receipt.context_tokens = static_cast<std::int32_t>(engine.integer("ctx", 1, kMaxContextTokens));
  const Members prompt = members.inside("prompt");
  receipt.prompt_ids = prompt.ids("ids");
  receipt.reasoning_opened = prompt.boolean("reasoning_opened");
  receipt.sampling = parse_sampling(members.inside("sampling"));
  receipt.loop_guard = members.boolean("loop_guard");
  receipt.response_format = members.any("response_format");
  for (const json::value& output : members.array("outputs", kMaxOutputs)) {
    receipt.outputs.push_back(parse_output(output));
  }
  if (receipt.outputs.empty()) refuse("outputs are empty");
  return receipt;
}

std::shared_ptr<const Grammar> make_constraint(const json::value& response_format) {
  if (response_format.is_null()) return nullptr;
  const json::object* format = response_format.if_object();
  const json::value* type = format == nullptr ? nullptr : format->if_contains("type");
  if (type != nullptr && *type == "text") return nullptr;
  if (type != nullptr && *type == "json_object") return std::make_shared<Grammar>(make_json_object_grammar());
  if (type != nullptr && *type == "json_schema") {
    const json::object* named =
        format->contains("json_schema") ? format->at("json_schema").if_object() : nullptr;
    const json::value* schema = named == nullptr ? nullptr : named->if_contains("schema");
    if (schema != nullptr) return std::make_shared<Grammar>(compile_json_schema(*schema));
  }
  if (type != nullptr && *type == "tool_calls") {
    return std::make_shared<Grammar>(compile_tool_calls(*format));
  }
  throw Error("the response format is not text, json_object, or json_schema with a schema", kHint);
}

}  // namespace touchstone
