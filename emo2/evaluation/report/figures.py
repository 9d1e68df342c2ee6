"""The report's pictures, each a function from findings to SVG."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from emo2.evaluation.control import SpeedOrder
from emo2.evaluation.plausibility import FINGERS, JOINTS
from emo2.evaluation.report.plot import Plot, nice_ticks
from emo2.evaluation.styles import Recognition
from emo2.evaluation.takes import Row

RECORDED_FLEXION_DEG = {
    "index": ((-2, 30, 89), (0, 25, 88), (0, 18, 66)),
    "middle": ((3, 28, 89), (3, 36, 107), (2, 24, 80)),
    "ring": ((0, 28, 89), (0, 37, 104), (0, 24, 78)),
    "little": ((7, 36, 89), (11, 54, 110), (7, 36, 80)),
}
"""2nd, 50th and 98th percentile of MCP, PIP and DIP, measured on 91 motion-captured clips of
semantic gestures (SeG, Zhang et al. 2024), which no corpus of ours was made from."""
NAMES_PX = 138


def beat_alignment(rows: Sequence[Row]) -> str:
    """z of every performance of every performer."""
    rows = [row for row in rows if np.isfinite(row.zs).any()]
    zs = np.concatenate([row.zs for row in rows])
    span = (min(-2.5, np.nanmin(zs) - 0.5), max(5.0, np.nanmax(zs) + 0.5))
    plot = Plot(
        span,
        (0.6 - len(rows), 0.6),
        size=(460, 60 + 22 * len(rows)),
        margins=(NAMES_PX, 8, 14, 38),
        label="Beat alignment over chance, per performer",
    )
    plot.box((-1.5, 1.5), (0.6 - len(rows), 0.6), "chance-band")
    plot.ticks_x(nice_ticks(*span, 8)).line([3, 3], [0.6 - len(rows), 0.6], "bound")
    plot.names_y([row.name for row in rows])
    for at, row in enumerate(rows):
        for z in row.zs:
            if np.isfinite(z):
                plot.dot(z, -at, row.kind, f"{row.name}: z = {z:.2f}")
    return plot.titles(x="z: standard deviations above shifted speech").svg()


def stroke_timing(ours: Row, teacher: Row) -> str:
    """The histogram of lags against chance."""
    lags, usual = ours.lags, teacher.lags
    if lags is None:
        return ""
    middles = (lags.edges_s[1:] + lags.edges_s[:-1]) / 2
    width = middles[1] - middles[0]
    high = (lags.share.max(), (lags.chance + 2 * lags.chance_spread).max())
    top = max(*high, usual.share.max() if usual is not None else 0) * 1.1
    plot = Plot((lags.edges_s[0], lags.edges_s[-1]), (0, top), label="When strokes end")
    plot.ticks_y(nice_ticks(0, top, 4), ".0%").ticks_x((-0.4, -0.2, 0, 0.2, 0.4))
    for middle, share in zip(middles, lags.share, strict=True):
        title = f"{middle:+.2f} s: {share:.1%}"
        plot.box((middle - 0.46 * width, middle + 0.46 * width), (0, share), "bar model", title)
    spread = 2 * lags.chance_spread
    low = np.maximum(lags.chance - spread, 0)
    plot.band(middles, low, lags.chance + spread, "chance")
    plot.line(middles, lags.chance, "chance")
    if usual is not None:
        plot.line(middles, usual.share, "teacher")
    return plot.titles(x="stroke end minus nearest accent, s", y="share of strokes").svg()


def speed_control(orders: dict[str, SpeedOrder]) -> str:
    """What the slider does: one line per style, the mean over clips, and every clip as a dot."""
    top = 100 * max(order.deviation_m.max() for order in orders.values()) * 1.08
    plot = Plot((0.05, 0.95), (0, top), margins=(46, 10, 84, 38), label="The speed control")
    plot.ticks_y(nice_ticks(0, top, 5)).ticks_x((0.1, 0.3, 0.5, 0.7, 0.9))
    taken: list[float] = []
    for at, (style, order) in enumerate(orders.items()):
        means = 100 * order.deviation_m.mean(axis=0)
        for row in order.deviation_m:
            for speed, value in zip(order.speeds, row, strict=True):
                plot.dot(speed, 100 * value, f"style-{at} faint", radius=2)
        plot.line(order.speeds, means, f"style-{at}")
        height = means[-1]
        while any(abs(height - other) < top * 0.065 for other in taken):
            height -= top * 0.01
        taken.append(height)
        plot.text(order.speeds[-1], height, style, f"name style-{at}", (8, 4))
    return plot.titles(x="speed", y="deviation of the wrists, cm").svg()


def confusion(found: Recognition) -> str:
    """Which styles are taken for which."""
    count = len(found.styles)
    plot = Plot(
        (-0.5, count - 0.5),
        (0.5 - count, 0.5),
        size=(460, 90 + 44 * count),
        margins=(NAMES_PX - 40, 8, 14, 40),
        label="Styles told apart",
    )
    for true, row in enumerate(found.confusion):
        for told, share in enumerate(row):
            words = f"{found.styles[true]} taken for {found.styles[told]}: {share:.0%}"
            opacity = f"{0.06 + 0.94 * share:.2f}"
            at = (told - 0.48, told + 0.48), (-true - 0.47, -true + 0.47)
            plot.box(*at, "cell", words, **{"fill-opacity": opacity})
            ink = "cell-text strong" if share > 0.5 else "cell-text"
            plot.text(told, -true, f"{share:.0%}", ink, (0, 4))
    plot.names_y(found.styles)
    for told, style in enumerate(found.styles):
        plot.text(told, 0.5 - count, style, "tick middle", (0, 15))
    return plot.titles(x="taken for").svg()


def occupation(rows: Sequence[Row]) -> str:
    """Shares of time at rest, holding and moving."""
    rows = [row for row in rows if "rest" in row.facts]
    plot = Plot(
        (0, 1),
        (0.6 - len(rows), 0.6),
        size=(460, 60 + 22 * len(rows)),
        margins=(NAMES_PX, 8, 20, 38),
        label="Rest, hold, move",
    )
    plot.ticks_x((0, 0.25, 0.5, 0.75, 1), ".0%").names_y([row.name for row in rows])
    for at, row in enumerate(rows):
        start = 0.0
        for what in ("rest", "hold", "active"):
            share = row.facts[what]
            title = f"{row.name}: {what} {share:.0%}"
            plot.box((start, start + share), (-at - 0.36, -at + 0.36), what, title)
            start += share
    return plot.titles(x="rest · hold · move, share of time").svg()


def around_joins(profile: np.ndarray, fps: float) -> str:
    """Mean jump around window joins: a seam would stand out in the middle."""
    reach = len(profile) // 2
    times = np.arange(-reach, reach + 1) / fps
    top = max(2.0, profile.max() * 1.1)
    plot = Plot((times[0], times[-1]), (0, top), label="Jumps around window joins")
    plot.ticks_y(nice_ticks(0, top, 4)).ticks_x((-1, -0.5, 0, 0.5, 1))
    plot.line([0, 0], [0, top], "bound").line([times[0], times[-1]], [1, 1], "chance")
    return (
        plot.line(times, profile, "model")
        .titles(x="time from the join, s", y="velocity jump over the mean")
        .svg()
    )


def finger_flexion(flexion: dict[str, np.ndarray]) -> str:
    """2nd to 98th percentile of flexion, medians marked, beside recorded hands'."""
    kinds = {"recorded": np.array([RECORDED_FLEXION_DEG[finger] for finger in FINGERS]), **flexion}
    names = [f"{finger} {joint}" for finger in FINGERS for joint in JOINTS]
    plot = Plot(
        (-20, 120),
        (0.6 - len(names), 0.6),
        size=(460, 60 + 22 * len(names)),
        margins=(NAMES_PX - 40, 8, 14, 38),
        label="Finger flexion",
    )
    plot.ticks_x((0, 30, 60, 90, 120), grid=True).names_y(names)
    for at in range(len(names)):
        for lane, (kind, table) in enumerate(kinds.items()):
            low, middle, high = table[at // len(JOINTS), at % len(JOINTS)]
            y = -at + 0.24 - 0.24 * lane
            title = f"{kind}, {names[at]}: {low:.0f} to {high:.0f}°, median {middle:.0f}°"
            plot.box((low, high), (y - 0.07, y + 0.07), f"interval {kind}", title)
            plot.dot(middle, y, kind, title, radius=3)
    return plot.titles(x="degrees of flexion, 2nd to 98th percentile").svg()
