// How a report's numbers are said: formats, titles, verdicts and notes, the same in every written form.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "eval/report.h"

namespace touchstone {

struct Table {
  std::vector<std::string> header;
  std::vector<std::vector<std::string>> rows;
};

std::string format_percent(double share);                            // "72.0 %"
std::string format_percent(double share, const Interval& interval);  // "72.0 % [58.3, 82.5]"
std::string format_p(double p);                                      // "p = 0.034", "p < 0.001"
std::string format_points(double difference);                        // "+18.0 points"
std::string format_bytes(double bytes);                              // "312 MB"
/// An estimate of a count, rounded up to two digits: "180".
std::string format_about(double count);

const std::string& label_of(const Report& report, int candidate);
/// "Maths accuracy (demo-math, 50 items)".
std::string suite_title(const Report& report, int suite);
std::string measure_title(Measure measure);
/// What the better candidate does: "writes faster".
std::string_view better_words(Measure measure);
/// "A vs B".
std::string report_title(const Report& report);
/// Accuracy, TTFT, speed, memory, tokens and seconds; one column a candidate, and the difference when there
/// are two.
Table make_summary_table(const Report& report);
/// What became of the answers: one row for each suite and candidate.
Table make_outcome_table(const Report& report);
/// Settings, prompting and sampling, as name and value.
Table make_settings_table(const Report& report);
/// One line for each comparison: what was compared, then the verdict.
std::vector<std::string> make_verdict_lines(const Report& report);
/// One line for each direction of each comparison: on which items one did better, at most `most_items` by
/// name.
std::vector<std::string> make_flipped_lines(const Report& report, std::size_t most_items);
/// What is subtracted from what, and divided by what, in the summary table; empty without such a column.
std::string difference_legend(const Report& report);
/// How each quantity was measured, and what the intervals and tests are.
std::vector<std::string> make_method_lines(const Report& report);

std::string accuracy_verdict(const Report& report, const AccuracyComparison& comparison);
std::string measure_verdict(const Report& report, const MeasureComparison& comparison);
/// What a reader must know before believing a number.
std::vector<std::string> make_notes(const Report& report);

}  // namespace touchstone
