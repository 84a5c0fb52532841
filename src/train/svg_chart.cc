#include "train/svg_chart.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <limits>
#include <nlohmann/json.hpp>

#include "base/str.h"

namespace corral::train {
namespace {

constexpr double kWidth = 900;
constexpr double kHeight = 300;
constexpr double kLeft = 64;
constexpr double kRight = 16;
constexpr double kTop = 14;
constexpr double kBottom = 34;
constexpr size_t kMostPoints = 800;
constexpr size_t kMostColumns = 100;
constexpr double kRowHeight = 5;
/// Loads up to these belong to shade 0, 1, ...; beyond the last is one shade more.
constexpr std::array<double, 6> kShades = {0.25, 0.6, 0.9, 1.15, 1.6, 2.5};

std::string number(double value) {
  char text[32];
  std::snprintf(text, sizeof(text), "%.4g", value);
  return text;
}

std::string place(double value) {
  char text[32];
  std::snprintf(text, sizeof(text), "%.1f", value);
  return text;
}

struct Axes {
  double x_low, x_high, y_low, y_high;

  double x(double value) const {
    return kLeft + (value - x_low) / (x_high - x_low) * (kWidth - kLeft - kRight);
  }
  double y(double value) const {
    return kHeight - kBottom - (value - y_low) / (y_high - y_low) * (kHeight - kTop - kBottom);
  }
};

Axes axes_of(const std::vector<Series>& series, bool from_zero) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  Axes axes{kInfinity, -kInfinity, kInfinity, -kInfinity};
  for (const Series& s : series) {
    for (const auto& point : s.points) {
      axes.x_low = std::min(axes.x_low, point.first);
      axes.x_high = std::max(axes.x_high, point.first);
      axes.y_low = std::min(axes.y_low, point.second);
      axes.y_high = std::max(axes.y_high, point.second);
    }
  }
  if (axes.x_low > axes.x_high) axes = {0, 1, 0, 1};
  if (from_zero) axes.y_low = std::min(0.0, axes.y_low);
  if (axes.x_low == axes.x_high) axes.x_high += 1;
  if (axes.y_low == axes.y_high) axes.y_high += std::max(1e-12, std::abs(axes.y_high));
  return axes;
}

std::string grid(const Axes& axes) {
  std::string svg;
  for (const double tick : axis_ticks(axes.y_low, axes.y_high, 5)) {
    const std::string y = place(axes.y(tick));
    svg += str("<path class='grid' d='M", kLeft, " ", y, "H", kWidth - kRight, "'/><text x='",
               kLeft - 8, "' y='", y, "' class='y'>", number(tick), "</text>");
  }
  for (const double tick : axis_ticks(axes.x_low, axes.x_high, 8)) {
    svg += str("<text x='", place(axes.x(tick)), "' y='", kHeight - kBottom + 18, "' class='x'>",
               number(tick), "</text>");
  }
  return svg;
}

std::string curve(const Series& series, const Axes& axes) {
  std::string d;
  std::string dots;
  for (const auto& point : series.points) {
    const std::string x = place(axes.x(point.first));
    const std::string y = place(axes.y(point.second));
    d += str(d.empty() ? 'M' : 'L', x, ' ', y);
    if (series.dots) {
      dots += str("<circle class='", series.style, "' cx='", x, "' cy='", y, "' r='3'/>");
    }
  }
  if (d.empty()) return "";
  return str("<path class='line ", series.style, "' d='", d, "'/>", dots);
}

std::string legend(const std::vector<Series>& series) {
  std::string html;
  for (const Series& s : series) {
    html += str("<span class='key ", s.style, "'>", html_escape(s.name), "</span>");
  }
  return html;
}

std::string open_svg(const std::string& title, double height) {
  return str("<svg viewBox='0 0 ", kWidth, ' ', height, "' role='img' aria-label='",
             html_escape(title), "'>");
}

}  // namespace

std::string html_escape(const std::string& text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      case '\'':
        out += "&#39;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

std::vector<std::pair<double, double>> thinned(const std::vector<std::pair<double, double>>& points,
                                               size_t limit) {
  if (points.size() <= limit) return points;
  std::vector<std::pair<double, double>> out;
  for (size_t bucket = 0; bucket < limit; ++bucket) {
    const size_t begin = bucket * points.size() / limit;
    const size_t end = (bucket + 1) * points.size() / limit;
    double x = 0;
    double y = 0;
    for (size_t i = begin; i < end; ++i) {
      x += points[i].first;
      y += points[i].second;
    }
    const auto count = static_cast<double>(end - begin);
    out.emplace_back(std::round(x / count), y / count);
  }
  return out;
}

std::vector<double> axis_ticks(double low, double high, int count) {
  if (!(high > low)) return {low};
  const double rough = (high - low) / count;
  const double power = std::pow(10, std::floor(std::log10(rough)));
  double step = 10 * power;
  for (const double factor : {1.0, 2.0, 5.0}) {
    if (factor * power >= rough) {
      step = factor * power;
      break;
    }
  }
  std::vector<double> ticks;
  const auto last = static_cast<int64_t>(std::floor(high / step + 1e-9));
  for (auto i = static_cast<int64_t>(std::ceil(low / step - 1e-9)); i <= last; ++i) {
    ticks.push_back(static_cast<double>(i) * step);
  }
  return ticks;
}

std::string line_chart(const Chart& chart) {
  std::vector<Series> series = chart.series;
  nlohmann::ordered_json hover;
  for (Series& s : series) {
    std::erase_if(s.points, [](const auto& point) { return !std::isfinite(point.second); });
    s.points = thinned(s.points, kMostPoints);
  }
  std::erase_if(series, [](const Series& s) { return s.points.empty(); });
  const Axes axes = axes_of(series, chart.from_zero);
  hover["left"] = kLeft;
  hover["right"] = kWidth - kRight;
  hover["low"] = axes.x_low;
  hover["high"] = axes.x_high;
  hover["unit"] = chart.unit;
  hover["series"] = nlohmann::ordered_json::array();
  std::string curves;
  for (const Series& s : series) {
    curves += curve(s, axes);
    hover["series"].push_back({{"name", s.name}, {"points", s.points}});
  }
  // "<" may not stand in a script as it is: the text could end it.
  std::string json = hover.dump();
  for (size_t at = 0; (at = json.find('<', at)) != json.npos; at += 6) {
    json.replace(at, 1, "\\u003c");
  }
  return str("<figure class='chart'><figcaption>", html_escape(chart.title), legend(series),
             "<output></output></figcaption>", open_svg(chart.title, kHeight), grid(axes), curves,
             "<path class='cursor' d='M-9 ", kTop, "V", kHeight - kBottom,
             "'/></svg><script type='application/json'>", json, "</script></figure>\n");
}

std::string heat_map(const HeatMap& map) {
  if (map.rows.empty() || map.columns.empty()) return "";
  const size_t columns = std::min(kMostColumns, map.columns.size());
  const double width = (kWidth - kLeft - kRight) / static_cast<double>(columns);
  std::array<std::string, kShades.size() + 1> shades;
  std::string labels;
  double y = kTop;
  for (size_t r = 0; r < map.rows.size(); ++r) {
    if (r % map.group_size == 0) {
      if (r > 0) y += kRowHeight;
      labels += str("<text class='y' x='", kLeft - 8, "' y='", place(y + kRowHeight), "'>layer ",
                    r / map.group_size, "</text>");
    }
    for (size_t c = 0; c < columns; ++c) {
      const size_t begin = c * map.columns.size() / columns;
      const size_t end = (c + 1) * map.columns.size() / columns;
      double load = 0;
      for (size_t i = begin; i < end; ++i) load += map.rows[r][i];
      load /= static_cast<double>(end - begin);
      const auto shade = static_cast<size_t>(
          std::lower_bound(kShades.begin(), kShades.end(), load) - kShades.begin());
      shades[shade] += str('M', place(kLeft + static_cast<double>(c) * width), ' ', place(y), 'h',
                           place(width + 0.1), 'v', kRowHeight, 'h', place(-width - 0.1), 'z');
    }
    y += kRowHeight;
  }
  std::string svg;
  std::string key;
  for (size_t shade = 0; shade < shades.size(); ++shade) {
    svg += str("<path class='heat", shade, "' d='", shades[shade], "'/>");
    key += str(
        "<span class='key heat", shade, "'>",
        shade < kShades.size() ? "to " + number(kShades[shade]) : "over " + number(kShades.back()),
        "</span>");
  }
  for (const double share : {0.0, 0.25, 0.5, 0.75, 1.0}) {
    const auto at = static_cast<size_t>(share * static_cast<double>(map.columns.size() - 1));
    svg += str("<text class='x' x='", place(kLeft + share * (kWidth - kLeft - kRight)), "' y='",
               place(y + 18), "'>", number(map.columns[at]), "</text>");
  }
  return str("<figure><figcaption>", html_escape(map.title), key, "</figcaption>",
             open_svg(map.title, y + 28), svg, labels, "</svg></figure>\n");
}

}  // namespace corral::train
