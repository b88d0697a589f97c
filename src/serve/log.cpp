#include "serve/log.h"

#include <fmt/chrono.h>
#include <spdlog/formatter.h>
#include <spdlog/sinks/sink.h>
#include <spdlog/spdlog.h>

#include <atomic>
#include <memory>
#include <string>

namespace touchstone::serve {
namespace {

std::atomic<bool> as_json = false;

/// A payload that is an object (log_fields made it) gives its members to the line.
class JsonFormatter : public spdlog::formatter {
 public:
  void format(const spdlog::details::log_msg& message, spdlog::memory_buf_t& out) override {
    const std::string_view payload(message.payload.data(), message.payload.size());
    boost::json::object line = {{"time", fmt::format("{:%FT%TZ}", fmt::gmtime(message.time))},
                                {"level", std::string(spdlog::level::to_string_view(message.level).data())}};
    boost::system::error_code error;
    const boost::json::value fields = payload.starts_with('{') ? boost::json::parse(payload, error) : nullptr;
    if (!error && fields.is_object()) {
      for (const auto& [key, value] : fields.get_object()) line[key] = value;
    } else {
      line["message"] = payload;
    }
    const std::string text = boost::json::serialize(line) + "\n";
    out.append(text.data(), text.data() + text.size());
  }
  std::unique_ptr<spdlog::formatter> clone() const override { return std::make_unique<JsonFormatter>(); }
};

/// As people read it: JSON would write 28.5 as 2.85E1.
std::string format_value(const boost::json::value& value) {
  if (value.is_string()) return std::string(value.get_string());
  if (value.is_double()) return fmt::format("{}", value.get_double());
  return boost::json::serialize(value);
}

}  // namespace

void use_json_logs() {
  as_json = true;
  spdlog::set_formatter(std::make_unique<JsonFormatter>());
}

void log_fields(const boost::json::object& fields) {
  if (!spdlog::should_log(spdlog::level::info)) return;
  if (as_json) return spdlog::info("{}", boost::json::serialize(fields));
  std::string line;
  for (const auto& [key, value] : fields) {
    line += (line.empty() ? "" : " ") + std::string(key) + "=" + format_value(value);
  }
  spdlog::info("{}", line);
}

void log_always(const std::string& message) {
  const spdlog::details::log_msg line("", spdlog::level::info, message);
  for (const spdlog::sink_ptr& sink : spdlog::default_logger()->sinks()) {
    sink->log(line);
    sink->flush();
  }
}

}  // namespace touchstone::serve
