// report.html: one file, no scripts, nothing loaded from elsewhere. Everything that a model or a suite wrote
// is escaped.
#include <fmt/core.h>

#include <map>

#include "base/count_of.h"
#include "eval/report_words.h"

namespace touchstone {
namespace {

constexpr std::string_view kStyle = R"(
:root{color-scheme:light dark;--ink:#1c2126;--soft:#5b6670;--paper:#fff;--panel:#f4f6f8;--line:#d5dbe1;
--good:#14713a;--bad:#a32020;--mid:#8a5a00;--accent:#0b5fa5}
@media(prefers-color-scheme:dark){:root{--ink:#e4e8ec;--soft:#9aa6b2;--paper:#14181c;--panel:#1d2329;--line:#38424c;
--good:#5fcf8a;--bad:#f28b82;--mid:#e6b455;--accent:#7db8ee}}
*{box-sizing:border-box}
body{margin:0 auto;max-width:72rem;padding:1rem;font:16px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--paper)}
h1{font-size:1.6rem;line-height:1.25;margin:.5rem 0;overflow-wrap:anywhere}h2{font-size:1.2rem;margin:2rem 0 .5rem}
.soft{color:var(--soft)}.good{color:var(--good)}.bad{color:var(--bad)}.mid{color:var(--mid)}
.scroll{overflow-x:auto}table{border-collapse:collapse;font-variant-numeric:tabular-nums;min-width:100%}
th,td{text-align:left;vertical-align:top;padding:.35rem .6rem;border-bottom:1px solid var(--line)}
th{background:var(--panel)}td{overflow-wrap:anywhere}.summary td,.summary th{white-space:nowrap}
.wide td{min-width:9rem;white-space:pre-wrap}
ul{padding-left:1.2rem}li{margin:.25rem 0}
details{border:1px solid var(--line);border-radius:.4rem;margin:.4rem 0;background:var(--panel)}
summary{cursor:pointer;padding:.4rem .6rem;overflow-wrap:anywhere}
summary:focus-visible{outline:2px solid var(--accent)}
details>div{padding:0 .6rem .6rem}
.sides{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,20rem),1fr));gap:.8rem}
.sides>div{min-width:0}
h3{font-size:1rem;margin:.6rem 0 .2rem}h4{font-size:.85rem;margin:.6rem 0 .1rem;color:var(--soft);font-weight:600}
pre{margin:0;padding:.5rem;background:var(--paper);border:1px solid var(--line);border-radius:.3rem;
white-space:pre-wrap;overflow-wrap:anywhere;font:.85rem/1.45 ui-monospace,monospace;max-height:28rem;overflow-y:auto}
@media(max-width:40rem){thead{display:none}table,tbody,tr,th,td{display:block}tr{padding:.3rem 0}
td{display:grid;grid-template-columns:minmax(0,2fr) minmax(0,3fr);gap:.6rem;border:0}.summary td,.summary th{white-space:normal}
td::before{content:attr(data-label);color:var(--soft)}}
.choice{border-left:.25rem solid var(--accent);padding:.1rem .8rem;margin:.8rem 0;background:var(--panel)}
)";

std::string escape_html(std::string_view text) {
  std::string escaped;
  escaped.reserve(text.size());
  for (const char c : text) {
    switch (c) {
      case '&':
        escaped += "&amp;";
        break;
      case '<':
        escaped += "&lt;";
        break;
      case '>':
        escaped += "&gt;";
        break;
      case '"':
        escaped += "&quot;";
        break;
      case '\'':
        escaped += "&#39;";
        break;
      default: {
        // HTML has no place for other control characters.
        const auto byte = static_cast<unsigned char>(c);
        const bool allowed = byte >= 0x20 ? byte != 0x7f : c == '\n' || c == '\t';
        escaped += allowed ? std::string(1, c) : std::string("\uFFFD");
      }
    }
  }
  return escaped;
}

std::string html_table(const Table& table, std::string_view css_class) {
  std::string html = fmt::format("<div class=\"scroll\"><table class=\"{}\"><thead><tr>", css_class);
  for (const std::string& cell : table.header) html += "<th scope=\"col\">" + escape_html(cell) + "</th>";
  html += "</tr></thead><tbody>\n";
  for (const auto& row : table.rows) {
    html += "<tr><th scope=\"row\">" + escape_html(row.at(0)) + "</th>";
    for (std::size_t i = 1; i < row.size(); ++i) {
      // The label stands before the cell where the screen is too narrow for columns.
      html +=
          fmt::format("<td data-label=\"{}\">{}</td>", escape_html(table.header.at(i)), escape_html(row[i]));
    }
    html += "</tr>\n";
  }
  return html + "</tbody></table></div>\n";
}

std::string html_list(const std::vector<std::string>& lines) {
  std::string html = "<ul>\n";
  for (const std::string& line : lines) html += "<li>" + escape_html(line) + "</li>\n";
  return html + "</ul>\n";
}

std::string outcome_words(Outcome outcome) {
  std::string words(outcome_name(outcome));
  for (char& c : words) {
    if (c == '_') c = ' ';
  }
  return words;
}

std::string html_outcome(const StoredAnswer& answer) {
  if (!answer.grade) return "<span class=\"mid\">not graded</span>";
  const Outcome outcome = answer.grade->outcome;
  const std::string_view css_class = outcome == Outcome::correct ? "good"
                                     : outcome == Outcome::wrong ? "bad"
                                                                 : "mid";
  return fmt::format("<span class=\"{}\">{}</span>", css_class, outcome_words(outcome));
}

std::string html_answer(const Report& report, const StoredAnswer& answer) {
  std::string html = fmt::format("<div><h3>{}: {}</h3>\n", escape_html(label_of(report, answer.candidate)),
                                 html_outcome(answer));
  html += fmt::format("<p class=\"soft\">{} prompt tokens, {} generated, ended by {}, {:.2f} s in its batch",
                      answer.prompt_tokens, answer.tokens, answer.hit_length ? "the token limit" : "itself",
                      answer.total_ms / 1000);
  if (answer.sample > 0) html += fmt::format(", sample {}", answer.sample + 1);
  html += "</p>\n";
  if (answer.grade) {
    html += fmt::format("<p>Taken as the answer: <code>{}</code><br>{}</p>\n",
                        escape_html(answer.grade->extracted), escape_html(answer.grade->why));
  }
  if (!answer.reasoning.empty()) {
    html += fmt::format("<h4>Thinking{}</h4><pre>{}</pre>\n",
                        answer.reasoning_closed ? "" : " (never closed)", escape_html(answer.reasoning));
  }
  html += "<h4>Answer</h4><pre>" + escape_html(answer.text) + "</pre>\n";
  html += "<details><summary>Prompt as the model saw it</summary><div><pre>" + escape_html(answer.prompt) +
          "</pre></div></details>\n";
  return html + "</div>\n";
}

using AnswersOfItems = std::map<std::pair<std::string, std::string>, std::vector<const StoredAnswer*>>;

std::string html_item(const Report& report, const StoredItem& item,
                      const std::vector<const StoredAnswer*>& answers) {
  std::string html =
      fmt::format("<details><summary><b>{}</b> {}", escape_html(item.suite), escape_html(item.item));
  for (const StoredAnswer* answer : answers) {
    html += fmt::format(" · {}: {}", escape_html(label_of(report, answer->candidate)), html_outcome(*answer));
  }
  html += "</summary><div><h4>Asked</h4><pre>" + escape_html(item.prompt) + "</pre>\n<h4>Expected</h4><pre>" +
          escape_html(item.expected) + "</pre>\n<div class=\"sides\">\n";
  for (const StoredAnswer* answer : answers) html += html_answer(report, *answer);
  return html + "</div></div></details>\n";
}

std::string html_scenarios(const Report& report) {
  if (report.scenarios.empty()) return "";
  std::string html = "<h2>Which to choose</h2>\n";
  for (const ScenarioResult& scenario : report.scenarios) {
    html += fmt::format("<div class=\"choice\"><p><b>{}</b>: {}</p>\n{}</div>\n", escape_html(scenario.title),
                        escape_html(scenario.recommendation), html_list(scenario.lines));
  }
  return html;
}

std::string html_flipped(const Report& report) {
  std::string html;
  const bool one_sample = report.settings.samples == 1;
  for (const AccuracyComparison& comparison : report.accuracy) {
    const auto add = [&](int winner, int loser, const std::vector<std::string>& items) {
      if (items.empty()) return;
      html += fmt::format("<details><summary>{}: {} right {} {}{}: {}</summary><div>{}</div></details>\n",
                          escape_html(report.suites[static_cast<std::size_t>(comparison.suite)].name),
                          escape_html(label_of(report, winner)), one_sample ? "where" : "more often than",
                          escape_html(label_of(report, loser)), one_sample ? " is not" : "",
                          count_of(std::ssize(items), "item"), html_list(items));
    };
    add(comparison.a, comparison.b, comparison.only_a_items);
    add(comparison.b, comparison.a, comparison.only_b_items);
  }
  return html.empty() ? html : "<h2>Items that came out differently</h2>\n" + html;
}

}  // namespace

std::string report_to_html(const Report& report) {
  const std::string title = escape_html(report_title(report));
  std::string html = fmt::format(
      "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
      "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src "
      "'unsafe-inline'\">\n"
      "<title>{}</title>\n<style>{}</style></head><body>\n<h1>{}</h1>\n",
      title, kStyle, title);
  html += fmt::format("<p class=\"soft\">{}, touchstone {}, {}</p>\n", escape_html(report.created),
                      escape_html(report.version), escape_html(report.machine));
  html += html_table(make_summary_table(report), "summary");
  html += fmt::format("<p class=\"soft\">Brackets hold 95 % intervals. {}</p>\n<h2>Verdicts</h2>\n",
                      escape_html(difference_legend(report)));
  html += html_list(make_verdict_lines(report));
  html += html_scenarios(report);
  html += "<h2>What became of the answers</h2>\n" + html_table(make_outcome_table(report), "summary");
  if (!report.notes.empty()) html += "<h2>Notes</h2>\n" + html_list(report.notes);
  html += html_flipped(report);
  html += "<h2>Settings</h2>\n" + html_table(make_settings_table(report), "wide");
  std::vector<std::string> suites;
  for (const SuiteInfo& suite : report.suites) {
    suites.push_back(fmt::format("suite {} ({}), fingerprint {}: {} {}", suite.name, suite.kind,
                                 suite.fingerprint, suite.provenance, suite.licence));
  }
  if (!report.sandbox.empty()) suites.push_back("sandbox: " + report.sandbox);
  html += html_list(suites) + "<h2>How it was measured</h2>\n" + html_list(make_method_lines(report));

  AnswersOfItems answers;
  for (const StoredAnswer& answer : report.answers) answers[{answer.suite, answer.item}].push_back(&answer);
  html += "<h2>Transcripts</h2>\n";
  for (const StoredItem& item : report.items)
    html += html_item(report, item, answers[{item.suite, item.item}]);
  return html + "</body></html>\n";
}

}  // namespace touchstone
