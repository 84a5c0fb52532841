#pragma once

#include <string_view>

namespace corral::train {

/// The style sheet and the script of plot_page(). The script only answers the mouse: without it the
/// page shows the same charts.
inline constexpr std::string_view kPlotStyle = R"css(
:root { color-scheme: light dark;
  --ink: #1f2328; --dim: #6b7280; --grid: #e5e7eb; --paper: #ffffff;
  --main: #2563eb; --faint: #bfd3fb; --second: #d97706;
  --h0: #1e3a8a; --h1: #3b82f6; --h2: #bfdbfe; --h3: #e5e7eb; --h4: #fed7aa; --h5: #f97316; --h6: #9a3412; }
@media (prefers-color-scheme: dark) { :root {
  --ink: #e6e6e6; --dim: #9ca3af; --grid: #2c3038; --paper: #14161a;
  --main: #6ea8fe; --faint: #2f4a78; --second: #fbbf24;
  --h0: #93c5fd; --h1: #3b82f6; --h2: #1e3a6e; --h3: #2c3038; --h4: #6b3a12; --h5: #f97316; --h6: #fdba74; } }
body { margin: 0 auto; padding: 1.5rem; max-width: 60rem; background: var(--paper); color: var(--ink);
  font: 15px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.3rem; margin: 0 0 1rem; }
dl { display: grid; grid-template-columns: repeat(auto-fit, minmax(9rem, 1fr)); gap: .75rem; margin: 0 0 1rem; }
dt { color: var(--dim); font-size: .8rem; } dd { margin: 0; font-size: 1.15rem; font-variant-numeric: tabular-nums; }
figure { margin: 0 0 1.5rem; } figcaption { font-weight: 600; }
figcaption output { float: right; font-weight: 400; color: var(--dim); font-variant-numeric: tabular-nums; }
.key { margin-left: .9rem; font-weight: 400; font-size: .8rem; color: var(--dim); }
.key::before { content: ""; display: inline-block; width: .8em; height: .8em; margin-right: .3em;
  border-radius: 2px; background: var(--c); vertical-align: -.05em; }
svg { display: block; width: 100%; height: auto; } svg text { fill: var(--dim); font-size: 12px; }
text.y { text-anchor: end; dominant-baseline: middle; } text.x { text-anchor: middle; }
.grid { stroke: var(--grid); } .line { fill: none; stroke: var(--c); stroke-width: 1.8; stroke-linejoin: round; }
.line.faint { stroke-width: 1; } circle { fill: var(--c); }
.cursor { stroke: var(--dim); stroke-dasharray: 3 3; }
.main { --c: var(--main); } .faint { --c: var(--faint); } .second { --c: var(--second); }
.heat0 { --c: var(--h0); } .heat1 { --c: var(--h1); } .heat2 { --c: var(--h2); } .heat3 { --c: var(--h3); }
.heat4 { --c: var(--h4); } .heat5 { --c: var(--h5); } .heat6 { --c: var(--h6); }
path[class^=heat] { fill: var(--c); }
)css";

inline constexpr std::string_view kPlotScript = R"js(
for (const figure of document.querySelectorAll("figure.chart")) {
  const data = JSON.parse(figure.querySelector("script").textContent);
  const svg = figure.querySelector("svg"), cursor = svg.querySelector(".cursor"), out = figure.querySelector("output");
  const nearest = (points, x) => {
    let low = 0, high = points.length - 1;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (points[middle][0] < x) low = middle + 1; else high = middle;
    }
    return low > 0 && x - points[low - 1][0] < points[low][0] - x ? points[low - 1] : points[low];
  };
  svg.addEventListener("pointermove", event => {
    const box = svg.getBoundingClientRect(), px = (event.clientX - box.left) / box.width * svg.viewBox.baseVal.width;
    const share = Math.min(1, Math.max(0, (px - data.left) / (data.right - data.left)));
    const step = data.low + share * (data.high - data.low);
    cursor.setAttribute("transform", `translate(${data.left + share * (data.right - data.left) + 9} 0)`);
    out.textContent = `step ${Math.round(step)} · ` + data.series
      .map(s => `${s.name} ${Number(nearest(s.points, step)[1].toPrecision(4))}`).join(" · ") + " " + data.unit;
  });
  svg.addEventListener("pointerleave", () => { cursor.removeAttribute("transform"); out.textContent = ""; });
}
)js";

}  // namespace corral::train
