"""A roofline picture as SVG: what each kernel reaches below what memory and arithmetic allow
(Williams, Waterman and Patterson, Communications of the ACM 52(4), 2009)."""

import math
from html import escape

WIDTH, HEIGHT = 760, 440
LEFT, RIGHT, TOP, BOTTOM = 70, 130, 28, 50
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8c564b", "#7f7f7f")
STYLE = """
  text { font: 12px sans-serif; fill: #222; } .axis { stroke: #888; } .grid { stroke: #ddd; }
  .roof { stroke: #222; stroke-width: 2; fill: none; } .ground { fill: #fff; }
  @media (prefers-color-scheme: dark) {
    text { fill: #ddd; } .axis { stroke: #999; } .grid { stroke: #333; } .roof { stroke: #ddd; }
    .ground { fill: #161616; }
  }"""


def decades(low, high):
    return range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)


class Scale:
    """Logarithmic, whole decades, to pixels."""

    def __init__(self, values, begin, end):
        steps = decades(min(values), max(values))
        self.ticks = [10.0 ** step for step in steps]
        self.low, self.high = steps[0], max(steps[-1], steps[0] + 1)
        self.begin, self.end = begin, end

    def __call__(self, value):
        share = (math.log10(value) - self.low) / (self.high - self.low)
        return self.begin + share * (self.end - self.begin)


def grid(x, y):
    for tick in x.ticks:
        yield f'<line class="grid" x1="{x(tick):.1f}" x2="{x(tick):.1f}" y1="{TOP}" y2="{HEIGHT - BOTTOM}"/>'
        yield f'<text x="{x(tick):.1f}" y="{HEIGHT - BOTTOM + 16}" text-anchor="middle">{tick:,g}</text>'
    for tick in y.ticks:
        yield f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y(tick):.1f}" y2="{y(tick):.1f}"/>'
        yield f'<text x="{LEFT - 6}" y="{y(tick) + 4:.1f}" text-anchor="end">{tick / 1e9:,g}</text>'
    middle = (LEFT + WIDTH - RIGHT) / 2
    yield f'<text x="{middle}" y="{HEIGHT - 12}" text-anchor="middle">operations a byte of weights</text>'
    yield (f'<text transform="translate(16 {HEIGHT / 2}) rotate(-90)" text-anchor="middle">'
           "GOP/s</text>")


def roof(x, y, read, peak):
    """The slope that memory allows up to the ridge, then the flat that arithmetic allows."""
    low, high = x.ticks[0], x.ticks[-1]
    ridge = peak / read if peak > 0 else high
    corners = [(low, low * read), (min(ridge, high), min(ridge, high) * read)]
    if ridge < high:
        corners.append((high, peak))
    path = " ".join(f"{x(a):.1f},{y(b):.1f}" for a, b in corners)
    yield f'<polyline class="roof" points="{path}"/>'
    yield f'<text x="{x(low) + 8:.1f}" y="{y(low * read) + 4:.1f}">read {read / 1e9:.0f} GB/s</text>'
    if ridge < high:
        yield (f'<text x="{x(high):.1f}" y="{y(peak) - 6:.1f}" text-anchor="end">'
               f"peak {peak / 1e9:,.0f} GOP/s</text>")


def mark(turn, x, y, colour, inside=""):
    """A circle; a square when the colours come round the second time."""
    if turn % 2 == 0:
        return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{colour}">{inside}</circle>'
    return f'<rect x="{x - 4:.1f}" y="{y - 4:.1f}" width="8" height="8" fill="{colour}">{inside}</rect>'


def marks(points, x, y):
    types = list(dict.fromkeys(point[0] for point in points))
    for i, dtype in enumerate(types):
        turn, colour = divmod(i, len(COLOURS))
        for _, rows, intensity, rate in (p for p in points if p[0] == dtype):
            title = f"<title>{escape(dtype)}, {rows} rows: {rate / 1e9:,.0f} GOP/s</title>"
            yield mark(turn, x(intensity), y(rate), COLOURS[colour], title)
        top = TOP + 14 + 18 * i
        yield mark(turn, WIDTH - RIGHT + 16, top - 4, COLOURS[colour])
        yield f'<text x="{WIDTH - RIGHT + 26}" y="{top}">{escape(dtype)}</text>'


def draw(points, read, peak):
    """points: (name, rows, operations a byte, operations a second); read in bytes and peak in
    operations a second, peak 0 when unknown. Returns the SVG document."""
    intensities = [p[2] for p in points]
    x = Scale(intensities, LEFT, WIDTH - RIGHT)
    rates = [p[3] for p in points] + [x.ticks[0] * read] + ([peak] if peak > 0 else [])
    y = Scale(rates, HEIGHT - BOTTOM, TOP)
    body = [*grid(x, y), *roof(x, y, read, peak), *marks(points, x, y)]
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        'aria-label="Roofline of the products with weights in blocks">',
        f"<style>{STYLE}\n</style>",
        f'<rect class="ground" width="{WIDTH}" height="{HEIGHT}"/>',
        *body,
        "</svg>\n",
    ])
