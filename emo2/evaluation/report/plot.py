"""A small plot as inline SVG whose colours are the page's: it is legible in light and in dark."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

import numpy as np


class Plot:
    """Two axes and what is drawn between them, in data coordinates.

    Classes name what a shape is (`model`, `teacher`, `chance`, ...); `page.css` gives them colours.

    Args:
        x, y: what the axes span.
        size: width and height in pixels.
        margins: left, top, right, bottom.
        label: what the picture shows, for those who cannot see it.
    """

    def __init__(
        self,
        x: tuple[float, float],
        y: tuple[float, float],
        *,
        size: tuple[int, int] = (460, 250),
        margins: tuple[int, int, int, int] = (46, 10, 14, 38),
        label: str = "",
    ) -> None:
        self._x, self._y, self._size, self._margins = x, y, size, margins
        self._label, self._parts = label, []

    def at(self, x: float, y: float) -> tuple[float, float]:
        """Data to pixels."""
        left, top, right, bottom = self._margins
        width, height = self._size
        across = (x - self._x[0]) / (self._x[1] - self._x[0])
        up = (y - self._y[0]) / (self._y[1] - self._y[0])
        return left + across * (width - left - right), height - bottom - up * (
            height - top - bottom
        )

    def line(self, xs: Sequence[float], ys: Sequence[float], name: str) -> Plot:
        """Points joined by lines."""
        points = " ".join("{:.1f},{:.1f}".format(*self.at(*p)) for p in zip(xs, ys, strict=True))
        return self._add(f'<polyline class="line {name}" points="{points}"/>')

    def band(
        self, xs: Sequence[float], low: Sequence[float], high: Sequence[float], name: str
    ) -> Plot:
        """The area between two curves."""
        outline = [*zip(xs, low, strict=True), *reversed(list(zip(xs, high, strict=True)))]
        points = " ".join("{:.1f},{:.1f}".format(*self.at(*p)) for p in outline)
        return self._add(f'<polygon class="band {name}" points="{points}"/>')

    def box(
        self, x: tuple[float, float], y: tuple[float, float], name: str, title: str = "", **css: str
    ) -> Plot:
        """A rectangle, with a title that shows when it is pointed at."""
        (x0, y0), (x1, y1) = self.at(x[0], y[1]), self.at(x[1], y[0])
        style = ";".join(f"{key}:{value}" for key, value in css.items())
        return self._add(
            f'<rect class="{name}" x="{x0:.1f}" y="{y0:.1f}" width="{max(x1 - x0, 0):.1f}" '
            f'height="{max(y1 - y0, 0):.1f}" style="{style}">{_title(title)}</rect>'
        )

    def dot(self, x: float, y: float, name: str, title: str = "", radius: float = 3.5) -> Plot:
        """A point."""
        cx, cy = self.at(x, y)
        return self._add(
            f'<circle class="dot {name}" cx="{cx:.1f}" cy="{cy:.1f}" r="{radius}">'
            f"{_title(title)}</circle>"
        )

    def text(self, x: float, y: float, words: str, name: str = "", shift=(0, 0)) -> Plot:
        """Words at a place, shifted by pixels; the class says how they are anchored."""
        px, py = self.at(x, y)
        return self._add(
            f'<text class="{name}" x="{px + shift[0]:.1f}" y="{py + shift[1]:.1f}">'
            f"{escape(words)}</text>"
        )

    def ticks_x(self, values: Iterable[float], form: str = "g", grid: bool = False) -> Plot:
        """Numbers below."""
        for value in values:
            self._tick((value, self._y[0]), (value, self._y[1]), grid)
            self.text(value, self._y[0], _number(value, form), "tick middle", (0, 15))
        return self

    def ticks_y(self, values: Iterable[float], form: str = "g", grid: bool = True) -> Plot:
        """Numbers on the left."""
        for value in values:
            self._tick((self._x[0], value), (self._x[1], value), grid)
            self.text(self._x[0], value, _number(value, form), "tick end", (-6, 4))
        return self

    def names_y(self, names: Sequence[str]) -> Plot:
        """Names on the left, from the top, one per unit."""
        for row, name in enumerate(names):
            self.text(self._x[0], -row, name, "name end", (-8, 4))
        return self

    def titles(self, x: str = "", y: str = "") -> Plot:
        """What the axes are."""
        width, height = self._size
        left, top, right, bottom = self._margins
        middle = (left + width - right) / 2
        self._add(f'<text class="axis middle" x="{middle:.0f}" y="{height - 5}">{escape(x)}</text>')
        turned = (top + height - bottom) / 2
        return self._add(
            f'<text class="axis middle" transform="translate(12 {turned:.0f}) rotate(-90)">'
            f"{escape(y)}</text>"
        )

    def svg(self) -> str:
        """The picture."""
        width, height = self._size
        return (
            f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{escape(self._label)}">'
            f"{''.join(self._parts)}</svg>"
        )

    def _tick(self, start: tuple[float, float], stop: tuple[float, float], grid: bool) -> None:
        if grid:
            (x0, y0), (x1, y1) = self.at(*start), self.at(*stop)
            self._add(f'<path class="grid" d="M{x0:.1f} {y0:.1f}L{x1:.1f} {y1:.1f}"/>')

    def _add(self, part: str) -> Plot:
        self._parts.append(part)
        return self


def nice_ticks(low: float, high: float, about: int = 5) -> list[float]:
    """Round numbers between two, `about` so many."""
    raw = max(high - low, 1e-9) / about
    power = 10.0 ** np.floor(np.log10(raw))
    step = next(power * m for m in (1, 2, 2.5, 5, 10) if power * m >= raw * 0.999)
    first = np.ceil(low / step - 1e-9)
    return [
        round(float(step * k), 10) + 0.0 for k in np.arange(first, np.floor(high / step + 1e-9) + 1)
    ]


def _number(value: float, form: str) -> str:
    return format(value, form).replace("-", "−")


def _title(words: str) -> str:
    return f"<title>{escape(words)}</title>" if words else ""
