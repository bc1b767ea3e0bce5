"""Curves over two logarithmic axes, as an SVG for light and dark pages."""

import math

WIDTH, HEIGHT = 720, 420
LEFT, RIGHT, TOP, BOTTOM = 70, 110, 40, 50

STYLE = """
  text { font: 13px sans-serif; fill: #333 }
  .title { font-size: 15px }
  .grid { stroke: #8884; stroke-width: 1 }
  .curve { fill: none; stroke-width: 2 }
  .c0 { stroke: #0969da } .c1 { stroke: #6e7781 } .c2 { stroke: #bc4c00 } .c3 { stroke: #1a7f37 }
  .f0 { fill: #0969da } .f1 { fill: #6e7781 } .f2 { fill: #bc4c00 } .f3 { fill: #1a7f37 }
  @media (prefers-color-scheme: dark) {
    text { fill: #ccc }
    .c0 { stroke: #58a6ff } .c1 { stroke: #9aa4af } .c2 { stroke: #f0883e } .c3 { stroke: #3fb950 }
    .f0 { fill: #58a6ff } .f1 { fill: #9aa4af } .f2 { fill: #f0883e } .f3 { fill: #3fb950 }
  }
"""


def label(value):
    """A number for an axis."""
    for unit, name in (10**6, "M"), (10**3, "k"):
        if value >= unit:
            return f"{value / unit:g}{name}"
    return f"{value:g}"


class Axis:
    """Whole powers of ten around the values, from one pixel position to another."""

    def __init__(self, values, start, end):
        self.low = math.floor(math.log10(min(values)) + 1e-9)
        self.high = max(math.ceil(math.log10(max(values)) - 1e-9), self.low + 1)
        self.start, self.end = start, end

    def at(self, value):
        part = (math.log10(value) - self.low) / (self.high - self.low)
        return self.start + part * (self.end - self.start)

    def ticks(self):
        return [10.0**power for power in range(self.low, self.high + 1)]


def apart(places, least):
    """The same positions in their order, moved apart to at least that distance."""
    order = sorted(range(len(places)), key=lambda index: places[index])
    moved = list(places)
    for before, index in zip(order, order[1:]):
        moved[index] = max(moved[index], moved[before] + least)
    return moved


def log_log(title, x_title, y_title, lines):
    """Draws the curves; `lines` has the points of each name."""
    points = [point for line in lines.values() for point in line]
    x = Axis([point[0] for point in points], LEFT, WIDTH - RIGHT)
    y = Axis([point[1] for point in points], HEIGHT - BOTTOM, TOP)
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img">',
        f"<title>{title}</title>",
        f"<style>{STYLE}</style>",
        f'<text class="title" x="{LEFT}" y="22">{title}</text>',
    ]
    for tick in x.ticks():
        at = x.at(tick)
        out.append(f'<path class="grid" d="M{at:.1f} {TOP}V{HEIGHT - BOTTOM}"/>')
        out.append(
            f'<text x="{at:.1f}" y="{HEIGHT - BOTTOM + 18}" '
            f'text-anchor="middle">{label(tick)}</text>'
        )
    for tick in y.ticks():
        at = y.at(tick)
        out.append(f'<path class="grid" d="M{LEFT} {at:.1f}H{WIDTH - RIGHT}"/>')
        out.append(f'<text x="{LEFT - 8}" y="{at + 4:.1f}" text-anchor="end">{label(tick)}</text>')
    middle = (LEFT + WIDTH - RIGHT) / 2
    out.append(f'<text x="{middle:.0f}" y="{HEIGHT - 10}" text-anchor="middle">{x_title}</text>')
    middle = (TOP + HEIGHT - BOTTOM) / 2
    out.append(
        f'<text transform="translate(18 {middle:.0f}) rotate(-90)" '
        f'text-anchor="middle">{y_title}</text>'
    )
    names = apart([y.at(line[-1][1]) for line in lines.values()], 15)
    for index, (name, line) in enumerate(lines.items()):
        where = [(x.at(a), y.at(b)) for a, b in line]
        out.append(
            f'<path class="curve c{index}" d="M'
            + "L".join(f"{a:.1f} {b:.1f}" for a, b in where)
            + '"/>'
        )
        out.extend(f'<circle class="f{index}" cx="{a:.1f}" cy="{b:.1f}" r="3"/>' for a, b in where)
        out.append(
            f'<text class="f{index}" x="{where[-1][0] + 10:.1f}" '
            f'y="{names[index] + 4:.1f}">{name}</text>'
        )
    return "\n".join([*out, "</svg>", ""])
