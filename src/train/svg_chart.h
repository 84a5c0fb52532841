#pragma once

#include <string>
#include <utility>
#include <vector>

namespace corral::train {

/// A curve of a chart; x ascending.
struct Series {
  std::string name;
  std::string style;  // class of the page's style sheet: "main", "faint", "second"
  std::vector<std::pair<double, double>> points;
  bool dots = false;
};

struct Chart {
  std::string title;
  std::string unit;
  std::vector<Series> series;
  bool from_zero = true;  // the y axis begins at 0
};

/// A chart as an <svg> with axes, grid, curves and a legend. Long curves are thinned: each bucket
/// of neighbours becomes its mean. Points that are not finite are left out. Numbers for the hover
/// text follow in a <script type="application/json">. Everything is sized by a view box.
std::string line_chart(const Chart& chart);

/// Loads of experts over time. rows[r][c]: load of expert r at step columns[c] relative to the mean
/// (1 is even); group_size rows belong to one layer.
struct HeatMap {
  std::string title;
  std::vector<double> columns;
  std::vector<std::vector<double>> rows;
  size_t group_size = 1;
};
std::string heat_map(const HeatMap& map);

/// Text with &, <, > and quotes written as entities.
std::string html_escape(const std::string& text);

/// At most `limit` points, each the mean of a bucket of neighbours.
std::vector<std::pair<double, double>> thinned(const std::vector<std::pair<double, double>>& points,
                                               size_t limit);

/// Round numbers that divide [low, high] into about `count` steps.
std::vector<double> axis_ticks(double low, double high, int count);

}  // namespace corral::train
