#include "train/plot_page.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <optional>

#include "base/error.h"
#include "base/file.h"
#include "base/progress.h"
#include "train/plot_assets.h"
#include "train/run_report.h"
#include "train/svg_chart.h"

namespace corral::train {
namespace {

using Points = std::vector<std::pair<double, double>>;

constexpr double kSmoothing = 0.95;

/// What the charts need of the lines.
struct Curves {
  Points loss, rate, norm, violation, speed;
  std::map<std::string, Points> validation;
  std::map<std::string, double> last_bits;
  HeatMap experts;
  double tokens = 0;
  double seconds = 0;
};

std::optional<double> get(const Json& object, const char* key) {
  const auto field = object.find(key);
  if (field == object.end() || !field->is_number()) return std::nullopt;
  return field->get<double>();
}

void add(Points& points, double step, std::optional<double> value) {
  if (value) points.emplace_back(step, *value);
}

void add_experts(const Json& layers, double step, HeatMap& map) {
  if (!layers.is_array() || layers.empty() || !layers[0].is_array()) return;
  map.group_size = std::max<size_t>(layers[0].size(), 1);
  std::vector<double> loads;
  for (const Json& layer : layers) {
    if (!layer.is_array() || layer.size() != map.group_size) return;
    double total = 0;
    for (const Json& count : layer) total += count.is_number() ? count.get<double>() : 0;
    for (const Json& count : layer) {
      const double value = count.is_number() ? count.get<double>() : 0;
      loads.push_back(total > 0 ? value / total * static_cast<double>(layer.size()) : 0);
    }
  }
  if (map.rows.empty()) map.rows.resize(loads.size());
  if (map.rows.size() != loads.size()) return;
  map.columns.push_back(step);
  for (size_t r = 0; r < loads.size(); ++r) map.rows[r].push_back(loads[r]);
}

void add_line(const Json& line, Curves& curves) {
  const std::optional<double> step = line.is_object() ? get(line, "step") : std::nullopt;
  if (!step) return;
  if (const auto sets = line.find("validation"); sets != line.end() && sets->is_object()) {
    for (const auto& [name, loss] : sets->items()) {
      if (!loss.is_object()) continue;
      add(curves.validation[name], *step, get(loss, "loss"));
      curves.last_bits[name] = get(loss, "bits_per_byte").value_or(0);
    }
    return;
  }
  add(curves.loss, *step, get(line, "loss"));
  add(curves.rate, *step, get(line, "learning_rate"));
  add(curves.norm, *step, get(line, "gradient_norm"));
  curves.tokens = get(line, "tokens").value_or(curves.tokens);
  if (const auto layers = line.find("max_violation"); layers != line.end() && layers->is_array()) {
    double worst = 0;
    for (const Json& value : *layers)
      worst = std::max(worst, value.is_number() ? value.get<double>() : 0);
    curves.violation.emplace_back(*step, worst);
  }
  if (const auto speed = line.find("speed"); speed != line.end() && speed->is_object()) {
    add(curves.speed, *step, get(*speed, "tokens_per_second"));
    curves.seconds += get(*speed, "seconds").value_or(0);
  }
  if (const auto experts = line.find("experts"); experts != line.end()) {
    add_experts(*experts, *step, curves.experts);
  }
}

/// Exponential average with the bias of its beginning taken out.
Points smoothed(const Points& points) {
  Points out;
  double sum = 0;
  double weight = 0;
  for (const auto& point : points) {
    if (!std::isfinite(point.second)) continue;
    sum = kSmoothing * sum + (1 - kSmoothing) * point.second;
    weight = kSmoothing * weight + (1 - kSmoothing);
    out.emplace_back(point.first, sum / weight);
  }
  return out;
}

double median(const Points& points) {
  if (points.empty()) return 0;
  std::vector<double> values;
  for (const auto& point : points) values.push_back(point.second);
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

std::string fact(const std::string& name, const std::string& value) {
  return "<div><dt>" + html_escape(name) + "</dt><dd>" + html_escape(value) + "</dd></div>";
}

std::string rounded(double value) {
  char text[32];
  std::snprintf(text, sizeof(text), "%.4f", value);
  return text;
}

std::string facts(const Curves& curves) {
  std::string html = "<dl>";
  if (!curves.loss.empty()) {
    html += fact("steps", short_number(curves.loss.back().first)) +
            fact("tokens", short_number(curves.tokens)) +
            fact("training loss", rounded(smoothed(curves.loss).back().second));
  }
  if (const auto all = curves.validation.find("all");
      all != curves.validation.end() && !all->second.empty()) {
    html += fact("validation loss", rounded(all->second.back().second)) +
            fact("bits a byte", rounded(curves.last_bits.at("all")));
  }
  if (!curves.speed.empty()) {
    html += fact("tokens a second", short_number(median(curves.speed))) +
            fact("time in steps", format_duration(curves.seconds));
  }
  return html + "</dl>\n";
}

Chart loss_chart(const Curves& curves) {
  Chart chart{"Loss", "nats a token", {}, false};
  chart.series.push_back({"every step", "faint", curves.loss});
  chart.series.push_back({"training", "main", smoothed(curves.loss)});
  if (const auto all = curves.validation.find("all"); all != curves.validation.end()) {
    chart.series.push_back({"validation", "second", all->second, true});
  }
  return chart;
}

}  // namespace

std::vector<Json> read_metrics(const std::filesystem::path& path) {
  const std::string text = read_file(path);
  std::vector<Json> lines;
  size_t begin = 0;
  for (size_t end = 0; (end = text.find('\n', begin)) != text.npos; begin = end + 1) {
    if (end == begin) continue;
    lines.push_back(parse_json(std::string_view(text).substr(begin, end - begin),
                               str(path.string(), ":", lines.size() + 1)));
  }
  return lines;
}

std::string plot_page(const std::string& title, const std::vector<Json>& metrics) {
  Curves curves;
  curves.experts.title = "Load of each expert (1 is even)";
  for (const Json& line : metrics) add_line(line, curves);
  std::string page =
      "<!doctype html>\n<html lang='en'><head><meta charset='utf-8'>"
      "<meta name='viewport' content='width=device-width'><title>" +
      html_escape(title) + "</title>\n<style>";
  page += kPlotStyle;
  page += "</style></head><body>\n<h1>" + html_escape(title) + "</h1>\n" + facts(curves);
  page += line_chart(loss_chart(curves));
  page += line_chart({"Learning rate", "", {{"learning rate", "main", curves.rate}}});
  page += line_chart(
      {"Gradient norm",
       "",
       {{"every step", "faint", curves.norm}, {"average", "main", smoothed(curves.norm)}}});
  if (!curves.violation.empty()) {
    page += line_chart({"Busiest expert of the least even layer",
                        "above the mean load",
                        {{"every step", "faint", curves.violation},
                         {"average", "main", smoothed(curves.violation)}}});
  }
  page += heat_map(curves.experts);
  page +=
      line_chart({"Throughput", "tokens a second", {{"tokens a second", "main", curves.speed}}});
  page += "<script>";
  page += kPlotScript;
  page += "</script></body></html>\n";
  return page;
}

}  // namespace corral::train
