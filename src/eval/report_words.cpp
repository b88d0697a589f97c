#include "eval/report_words.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <string_view>

#include "base/count_of.h"

namespace touchstone {
namespace {

const CandidateResult& candidate_at(const Report& report, int index) {
  return report.candidates[static_cast<std::size_t>(index)];
}

/// Three significant digits for small numbers, whole numbers from 100 on; `scale`: the number whose digits
/// are taken.
std::string format_number(double value, double scale) {
  const double size = std::abs(scale);
  if (size >= 100 || size == 0) return fmt::format("{:.0f}", value);
  if (size >= 10) return fmt::format("{:.1f}", value);
  if (size >= 1) return fmt::format("{:.2f}", value);
  return fmt::format("{:.3f}", value);
}

std::string format_number(double value) { return format_number(value, value); }

std::string format_interval(const std::optional<Interval>& interval) {
  if (!interval) return "";
  return fmt::format(" [{}, {}]", format_number(interval->low), format_number(interval->high));
}

std::string format_signed(double value) { return (value > 0 ? "+" : "") + format_number(value); }

/// "12.3 ± 0.4 ms [12.0, 12.6]"; a dash for what was not measured.
std::string format_summary(const Summary& summary, const std::string& unit, bool deviation) {
  if (summary.count == 0) return "-";
  std::string text = format_number(summary.mean);
  if (deviation) text += " ± " + format_number(summary.standard_deviation, summary.mean);
  if (!unit.empty()) text += " " + unit;
  return text + format_interval(summary.interval);
}

std::string kind_title(std::string_view kind) {
  if (kind == "math") return "Maths accuracy";
  if (kind == "code") return "Code pass rate";
  return "Logic accuracy";
}

std::string format_difference(const MeasureComparison& comparison) {
  const PairedEstimate& estimate = comparison.estimate;
  if (comparison.is_ratio) {
    std::string text = fmt::format("x{:.2f}", estimate.estimate);
    if (estimate.interval)
      text += fmt::format(" [{:.2f}, {:.2f}]", estimate.interval->low, estimate.interval->high);
    return text;
  }
  if (comparison.measure == Measure::peak_memory_bytes) {
    return (estimate.estimate > 0 ? "+" : "") + format_bytes(estimate.estimate);
  }
  const std::string unit = comparison.measure == Measure::seconds_per_answer ? " s" : "";
  return format_signed(estimate.estimate) + unit + format_interval(estimate.interval);
}

std::string measure_cell(const CandidateResult& candidate, Measure measure) {
  switch (measure) {
    case Measure::ttft_ms:
      return format_summary(candidate.ttft_ms, "ms", true);
    case Measure::decode_tokens_per_second:
      return format_summary(candidate.decode_tokens_per_second, "", true);
    case Measure::peak_memory_bytes: {
      const std::uint64_t bytes = peak_memory_bytes(candidate);
      return bytes == 0 ? "-" : format_bytes(static_cast<double>(bytes));
    }
    case Measure::tokens_per_answer:
      return format_summary(candidate.tokens, "", false);
    case Measure::seconds_per_answer:
      break;
  }
  return format_summary(candidate.seconds_alone, "s", false);
}

constexpr Measure kMeasures[] = {Measure::ttft_ms, Measure::decode_tokens_per_second,
                                 Measure::peak_memory_bytes, Measure::tokens_per_answer,
                                 Measure::seconds_per_answer};

void add_prompting_notes(const Report& report, std::vector<std::string>& notes) {
  if (report.settings.raw) {
    notes.push_back(
        "Prompts were given raw, without chat template (--raw): a known trigger of endless loops in chat "
        "models.");
  }
  for (const CandidateResult& candidate : report.candidates) {
    const CandidateInfo& info = candidate.info;
    if (!info.chat_template && !report.settings.raw) {
      notes.push_back(info.label + " has no chat template and was prompted with the bare text.");
    }
    if (!info.hidden_system_prompt.empty()) {
      notes.push_back(
          fmt::format("The chat template of {} puts a system prompt before every question that nobody "
                      "asked for: \"{}\"",
                      info.label, info.hidden_system_prompt));
    }
  }
}

void add_limit_notes(const Report& report, std::vector<std::string>& notes) {
  for (const CandidateResult& candidate : report.candidates) {
    int cut_off = 0;
    int looped = 0;
    int all = 0;
    for (const SuiteResult& suite : candidate.suites) {
      cut_off += suite.outcomes[static_cast<std::size_t>(Outcome::cut_off)];
      looped += suite.outcomes[static_cast<std::size_t>(Outcome::looped)];
      for (const int count : suite.outcomes) all += count;
    }
    if (cut_off + looped == 0) continue;
    notes.push_back(
        fmt::format("{}: {} of {} ran into the limit of {} before an answer stood there ({} "
                    "of them in a loop). "
                    "They count as not correct; a larger --max-new-tokens may change the score.",
                    candidate.info.label, cut_off + looped, count_of(all, "answer"),
                    count_of(report.settings.max_new_tokens, "token"), looped));
  }
}

/// Something else that ran on the machine shows as times that scatter.
void add_noise_notes(const Report& report, std::vector<std::string>& notes) {
  constexpr double kQuiet = 0.25;  // std / mean; a quiet machine stays within a few percent
  for (const CandidateResult& candidate : report.candidates) {
    double scatter = 0;
    for (const Summary* summary : {&candidate.ttft_ms, &candidate.decode_tokens_per_second}) {
      if (summary->mean > 0) scatter = std::max(scatter, summary->standard_deviation / summary->mean);
    }
    if (scatter <= kQuiet) continue;
    notes.push_back(
        fmt::format("The times of {} scatter by {:.0f} % in the latency pass: something else ran on this "
                    "machine. Measure again when it is quiet before believing them.",
                    candidate.info.label, scatter * 100));
  }
}

bool all_demo(const Report& report) {
  return std::all_of(
      report.candidates.begin(), report.candidates.end(),
      [](const CandidateResult& candidate) { return candidate.info.model.starts_with("demo:"); });
}

}  // namespace

std::string format_percent(double share) { return fmt::format("{:.1f} %", share * 100); }

std::string format_percent(double share, const Interval& interval) {
  return fmt::format("{:.1f} % [{:.1f}, {:.1f}]", share * 100, interval.low * 100, interval.high * 100);
}

std::string format_p(double p) {
  if (p < 0.001) return "p < 0.001";
  return p > 0.9995 ? "p = 1" : fmt::format("p = {:.3f}", p);
}

std::string format_points(double difference) { return fmt::format("{:+.1f} points", difference * 100); }

std::string format_bytes(double bytes) {
  const double size = std::abs(bytes);
  if (size >= 1e10) return fmt::format("{:.1f} GB", bytes / 1e9);
  if (size >= 1e9) return fmt::format("{:.2f} GB", bytes / 1e9);
  if (size >= 1e8) return fmt::format("{:.0f} MB", bytes / 1e6);
  return fmt::format("{:.1f} MB", bytes / 1e6);
}

std::string format_about(double count) {
  constexpr double kMost = 1e6;  // beyond this nobody will try
  if (count > kMost) return "more than 1,000,000";
  double unit = 1;
  while (count / unit >= 100) unit *= 10;
  return fmt::format("{:.0f}", std::ceil(count / unit) * unit);
}

const std::string& label_of(const Report& report, int candidate) {
  return candidate_at(report, candidate).info.label;
}

std::string suite_title(const Report& report, int suite) {
  const SuiteInfo& info = report.suites[static_cast<std::size_t>(suite)];
  const int items =
      report.candidates.empty() ? 0 : report.candidates[0].suites[static_cast<std::size_t>(suite)].items;
  std::string text = fmt::format("{} ({}, {}", kind_title(info.kind), info.name, count_of(items, "item"));
  if (report.settings.samples > 1) text += fmt::format(" x {} samples", report.settings.samples);
  return text + ")";
}

std::string measure_title(Measure measure) {
  switch (measure) {
    case Measure::ttft_ms:
      return "TTFT, mean ± std";
    case Measure::decode_tokens_per_second:
      return "Tokens/s, mean ± std";
    case Measure::peak_memory_bytes:
      return "Peak memory";
    case Measure::tokens_per_answer:
      return "Tokens per answer";
    case Measure::seconds_per_answer:
      break;
  }
  return "Seconds per answer, alone";
}

std::string_view better_words(Measure measure) {
  switch (measure) {
    case Measure::ttft_ms:
      return "begins to answer sooner";
    case Measure::decode_tokens_per_second:
      return "writes faster";
    case Measure::peak_memory_bytes:
      return "needs less memory";
    case Measure::tokens_per_answer:
      return "needs fewer tokens";
    case Measure::seconds_per_answer:
      break;
  }
  return "needs less time for an answer";
}

std::string report_title(const Report& report) {
  std::string title;
  for (const CandidateResult& candidate : report.candidates) {
    title += (title.empty() ? "" : " vs ") + candidate.info.label;
  }
  return title;
}

Table make_summary_table(const Report& report) {
  const bool pair = report.candidates.size() == 2;
  Table table{.header = {""}, .rows = {}};
  for (const CandidateResult& candidate : report.candidates) table.header.push_back(candidate.info.label);
  if (pair) table.header.emplace_back("difference or ratio");
  for (std::size_t suite = 0; suite < report.suites.size(); ++suite) {
    std::vector<std::string> row{suite_title(report, static_cast<int>(suite))};
    for (const CandidateResult& candidate : report.candidates) {
      row.push_back(format_percent(candidate.suites[suite].accuracy, candidate.suites[suite].interval));
    }
    for (const AccuracyComparison& comparison : report.accuracy) {
      if (!pair || comparison.suite != static_cast<int>(suite)) continue;
      row.push_back(fmt::format("{} [{:+.1f}, {:+.1f}]", format_points(comparison.difference),
                                comparison.interval.low * 100, comparison.interval.high * 100));
    }
    table.rows.push_back(std::move(row));
  }
  for (const Measure measure : kMeasures) {
    std::vector<std::string> row{measure_title(measure)};
    for (const CandidateResult& candidate : report.candidates)
      row.push_back(measure_cell(candidate, measure));
    if (std::all_of(row.begin() + 1, row.end(), [](const std::string& cell) { return cell == "-"; }))
      continue;
    const auto found =
        std::find_if(report.measures.begin(), report.measures.end(),
                     [&](const MeasureComparison& comparison) { return comparison.measure == measure; });
    if (pair) row.push_back(found == report.measures.end() ? "-" : format_difference(*found));
    table.rows.push_back(std::move(row));
  }
  std::vector<std::string> batched{"Seconds per answer, in a batch"};
  for (const CandidateResult& candidate : report.candidates) {
    const bool known = candidate.cost && candidate.cost->answers > 0;
    batched.push_back(
        known ? format_number(candidate.cost->generation_seconds / candidate.cost->answers) + " s" : "-");
  }
  if (pair) batched.emplace_back("-");
  table.rows.push_back(std::move(batched));
  return table;
}

Table make_outcome_table(const Report& report) {
  Table table{
      .header = {"suite", "model", "correct", "wrong", "cut off", "looped", "unparsable", "timed out"},
      .rows = {}};
  if (report.excluded_items > 0) table.header.emplace_back("grader failed");
  for (std::size_t suite = 0; suite < report.suites.size(); ++suite) {
    for (const CandidateResult& candidate : report.candidates) {
      std::vector<std::string> row{report.suites[suite].name, candidate.info.label};
      for (const Outcome outcome : kOutcomes) {
        if (outcome == Outcome::error && report.excluded_items == 0) continue;
        row.push_back(std::to_string(candidate.suites[suite].outcomes[static_cast<std::size_t>(outcome)]));
      }
      table.rows.push_back(std::move(row));
    }
  }
  return table;
}

Table make_settings_table(const Report& report) {
  const RunSettings& settings = report.settings;
  Table table{.header = {"setting"}, .rows = {}};
  for (const CandidateResult& candidate : report.candidates) table.header.push_back(candidate.info.label);
  const auto add = [&](const std::string& name, auto&& text_of) {
    std::vector<std::string> row{name};
    for (const CandidateResult& candidate : report.candidates) row.push_back(text_of(candidate.info));
    table.rows.push_back(std::move(row));
  };
  add("model", [](const CandidateInfo& info) { return info.model; });
  add("sha256", [](const CandidateInfo& info) { return info.sha256; });
  add("format", [](const CandidateInfo& info) { return info.architecture + ", " + info.format; });
  add("weights in memory",
      [](const CandidateInfo& info) { return format_bytes(static_cast<double>(info.weight_bytes)); });
  add("KV cache a token",
      [](const CandidateInfo& info) { return fmt::format("{} bytes", info.kv_bytes_per_token); });
  add("kernels, threads",
      [](const CandidateInfo& info) { return fmt::format("{}, {}", info.isa, info.threads); });
  add("load time", [](const CandidateInfo& info) { return fmt::format("{:.2f} s", info.load_ms / 1000); });
  add("chat template",
      [](const CandidateInfo& info) { return info.chat_template ? "the model's own" : "none"; });
  add("before the user's words", [](const CandidateInfo& info) { return info.text_before_user; });
  add("hidden system prompt", [](const CandidateInfo& info) {
    return info.hidden_system_prompt.empty() ? "none" : info.hidden_system_prompt;
  });
  add("<think> opened by the prompt",
      [](const CandidateInfo& info) { return info.thinking_opened ? "yes" : "no"; });
  add("sampling", [](const CandidateInfo& info) {
    if (info.temperature == 0) return std::string("greedy");
    return fmt::format("temperature {}, top-p {}, top-k {}, min-p {}", info.temperature, info.top_p,
                       info.top_k, info.min_p);
  });
  add("penalties", [](const CandidateInfo& info) {
    return fmt::format("repetition {}, presence {}, frequency {}", info.repetition_penalty,
                       info.presence_penalty, info.frequency_penalty);
  });
  add("sampling from", [](const CandidateInfo& info) { return info.sampling_source; });
  add("stop tokens", [](const CandidateInfo& info) { return info.stop_tokens; });
  add("seed, samples, new tokens at most", [&](const CandidateInfo&) {
    return fmt::format("{}, {}, {}", settings.seed, settings.samples, settings.max_new_tokens);
  });
  return table;
}

std::vector<std::string> make_verdict_lines(const Report& report) {
  std::vector<std::string> lines;
  const bool pair = report.candidates.size() == 2;
  const auto versus = [&](int a, int b) {
    return pair ? std::string() : fmt::format(" ({} - {})", label_of(report, a), label_of(report, b));
  };
  for (const AccuracyComparison& comparison : report.accuracy) {
    const SuiteInfo& suite = report.suites[static_cast<std::size_t>(comparison.suite)];
    lines.push_back(fmt::format("{} ({}){}: {}", kind_title(suite.kind), suite.name,
                                versus(comparison.a, comparison.b), comparison.verdict));
  }
  for (const MeasureComparison& comparison : report.measures) {
    std::string title = measure_title(comparison.measure);
    title = title.substr(0, title.find(", mean"));
    lines.push_back(fmt::format("{}{}: {}", title, versus(comparison.a, comparison.b), comparison.verdict));
  }
  return lines;
}

std::vector<std::string> make_flipped_lines(const Report& report, std::size_t most_items) {
  std::vector<std::string> lines;
  const bool one_sample = report.settings.samples == 1;
  for (const AccuracyComparison& comparison : report.accuracy) {
    const std::string& suite = report.suites[static_cast<std::size_t>(comparison.suite)].name;
    const auto add = [&](int winner, int loser, const std::vector<std::string>& items) {
      if (items.empty()) return;
      std::string names;
      for (std::size_t i = 0; i < std::min(items.size(), most_items); ++i) {
        names += (i == 0 ? "" : ", ") + items[i];
      }
      if (items.size() > most_items) names += ", …";
      lines.push_back(fmt::format(fmt::runtime(one_sample ? "{}: {} right where {} is not ({}): {}"
                                                          : "{}: {} right more often than {} ({}): {}"),
                                  suite, label_of(report, winner), label_of(report, loser), items.size(),
                                  names));
    };
    add(comparison.a, comparison.b, comparison.only_a_items);
    add(comparison.b, comparison.a, comparison.only_b_items);
  }
  return lines;
}

std::string difference_legend(const Report& report) {
  if (report.candidates.size() != 2 || report.accuracy.empty()) return "";
  const std::string& a = label_of(report, report.accuracy[0].a);
  const std::string& b = label_of(report, report.accuracy[0].b);
  return fmt::format("Differences are {} - {}, ratios {} / {}.", a, b, a, b);
}

std::vector<std::string> make_method_lines(const Report& report) {
  const std::string_view pairing = report.settings.samples == 1
                                       ? "95 % Tango score intervals; exact two-sided McNemar test"
                                       : "95 % Student's t intervals; exact two-sided sign-flip test";
  std::vector<std::string> lines{
      fmt::format("Accuracy: share of correct answers; 95 % Wilson intervals{}.",
                  report.settings.samples > 1
                      ? ", the number of tries reduced by how samples of one item agree"
                      : ""),
      fmt::format("Differences in accuracy: paired by item; {}.", pairing),
      fmt::format("Significance of accuracies: Holm's correction over the {} accuracy comparisons of this "
                  "run, at 5 %. "
                  "\"About N more items\" plans for a power of 80 % should the difference stay as it is "
                  "(Connor 1987).",
                  report.accuracy.size()),
      "The verdict follows the exact test; an interval may leave out 0 where the test can't tell yet."};
  lines.emplace_back(
      "Tokens per answer: generated tokens, thinking included, mean over items; Student's t intervals, "
      "paired by item.");
  if (!report.candidates.empty() && report.candidates[0].ttft_ms.count > 0) {
    lines.push_back(fmt::format(
        "TTFT and tokens/s: batch 1, prompts of about {:.0f} tokens, greedy, {} repetitions after a warm-up, "
        "candidates "
        "taking turns; Student's t intervals, on logarithms where they would reach below 0; ratios are "
        "geometric means of paired repetitions; Student's t on logarithms.",
        report.candidates[0].prompt_tokens.mean, report.candidates[0].ttft_ms.count));
    lines.emplace_back(
        "Seconds per answer, alone: computed as TTFT + further tokens x time of a token, not measured one by "
        "one; the intervals hold the variation of items and that of repetitions.");
  }
  if (!report.candidates.empty() && report.candidates[0].cost) {
    lines.push_back(fmt::format(
        "Seconds per answer, in a batch: time of the quality pass over its answers, up to {} at once; one "
        "measurement, so no interval.",
        report.candidates[0].cost->batch));
    lines.push_back(fmt::format(
        "Peak memory: largest resident size of the process (VmHWM) during the quality pass, only this "
        "candidate loaded, minus its size before loading: weights and the KV cache of up to {}. "
        "One measurement, so no interval; differences under {:.0f} % are not told apart.",
        count_of(report.candidates[0].cost->batch, "sequence"), kMemoryTie * 100));
  }
  return lines;
}

std::string accuracy_verdict(const Report& report, const AccuracyComparison& comparison) {
  std::string p = format_p(comparison.p);
  if (report.accuracy.size() > 1)
    p += fmt::format(", {} with Holm's correction", format_p(comparison.p_holm));
  if (comparison.better >= 0) return fmt::format("{} is better ({})", label_of(report, comparison.better), p);
  std::string text = "can't tell: " + p;
  if (comparison.detectable) {
    text += fmt::format("; the smallest difference that these items could have shown is {:.1f} points",
                        *comparison.detectable * 100);
  } else if (report.settings.samples == 1) {
    text += "; so few items could not have shown any difference";
  }
  if (comparison.more_items) {
    const std::string about = format_about(*comparison.more_items);
    text += fmt::format("; about {} more item{} would be needed", about, about == "1" ? "" : "s");
  } else {
    text += "; no difference was seen";
  }
  return text;
}

std::string measure_verdict(const Report& report, const MeasureComparison& comparison) {
  const std::string difference = format_difference(comparison);
  if (comparison.measure == Measure::peak_memory_bytes) {
    return comparison.better < 0
               ? fmt::format("no difference worth the name ({})", difference)
               : fmt::format("{} {} ({}; one measurement)", label_of(report, comparison.better),
                             better_words(comparison.measure), difference);
  }
  if (!comparison.estimate.p) return fmt::format("can't tell from one pair ({})", difference);
  const std::string p = format_p(*comparison.estimate.p);
  if (comparison.better < 0) return fmt::format("can't tell ({}, {})", difference, p);
  return fmt::format("{} {} ({}, {})", label_of(report, comparison.better), better_words(comparison.measure),
                     difference, p);
}

std::vector<std::string> make_notes(const Report& report) {
  std::vector<std::string> notes;
  if (all_demo(report)) {
    notes.emplace_back(
        "The built-in models are toys to try the tool with; they say nothing about real models.");
  }
  add_prompting_notes(report, notes);
  add_limit_notes(report, notes);
  add_noise_notes(report, notes);
  if (report.excluded_items > 0) {
    notes.push_back(
        fmt::format("{} could not be graded for every candidate and {} left out of all accuracies.",
                    count_of(report.excluded_items, "item"), report.excluded_items == 1 ? "is" : "are"));
  }
  for (const CandidateResult& candidate : report.candidates) {
    if (candidate.cached_tokens.mean < 0.05 * candidate.prompt_tokens.mean ||
        candidate.prompt_tokens.count == 0)
      continue;
    notes.push_back(
        fmt::format("{}: a prefix cache held {:.0f} of the {:.0f} prompt tokens in the latency pass.",
                    candidate.info.label, candidate.cached_tokens.mean, candidate.prompt_tokens.mean));
  }
  return notes;
}

}  // namespace touchstone
