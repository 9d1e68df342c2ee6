"""What has to hold before Stage 1 is right: each line a value, a bound, and whether it was met."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from emo2.evaluation.comparison import Diversity
from emo2.evaluation.control import SpeedOrder
from emo2.evaluation.situations import Shout, Silence
from emo2.evaluation.spans import Pins, Spans
from emo2.evaluation.styles import Recognition
from emo2.evaluation.takes import Row

REAL_BEATS_PER_S = 0.74
"""Median over six real speakers' tracks lifted from 2-D poses (0.50 to 0.99), where no reference is
given."""

IDENTICAL = "bit-identical"
NOTHING = 1e-3
"""Smaller values are shown as 0."""


@dataclass(frozen=True)
class Criterion:
    """One line of the examination. `passed` is None where it could not be measured."""

    name: str
    value: float
    bound: str
    passed: bool | None
    detail: str = ""

    @property
    def shown(self) -> str:
        """The value for people."""
        if self.value != self.value:
            return "–"
        if self.bound == IDENTICAL:
            return "yes" if self.value else "no"
        return f"{self.value:.3g}" if abs(self.value) >= NOTHING else "0"


def within(
    name: str,
    value: float,
    *,
    least: float = -np.inf,
    most: float = np.inf,
    unit: str = "",
    detail: str = "",
) -> Criterion:
    """A value that has to lie in a range."""
    sides = [f"≥ {least:g}"] * np.isfinite(least) + [f"≤ {most:g}"] * np.isfinite(most)
    passed = bool(least <= value <= most) if np.isfinite(value) else None
    return Criterion(name, value, " and ".join(sides) + (unit and f" {unit}"), passed, detail)


def unmeasured(name: str, why: str) -> Criterion:
    """A line without a value."""
    return Criterion(name, float("nan"), "not measured", None, why)


def timing(
    default: Row, deaf: Sequence[Row], speech_s: float, real_beats: float | None
) -> list[Criterion]:
    """Beat alignment, its floors, and how often hands beat."""
    seeds = ", ".join(f"{z:.2f}" for z in default.zs)
    lines = [
        within(
            "Beat alignment z, default settings",
            default.facts["z"],
            least=3,
            detail=f"pooled over {speech_s:.0f} s, seeds: {seeds}",
        )
    ]
    for row in deaf:
        zs = ", ".join(f"{z:.2f}" for z in row.zs)
        lines.append(
            within(f"z of {row.name}", row.facts["z"], least=-1.5, most=1.5, detail=f"seeds: {zs}")
        )
    real = real_beats or REAL_BEATS_PER_S
    source = "the reference" if real_beats else "six lifted tracks of real speakers"
    lines.append(
        within(
            "Beats per second over real speakers'",
            default.facts["beats"] / real,
            least=0.6,
            most=1.6,
            detail=f"{default.facts['beats']:.2f} /s against {real:.2f} /s of {source}",
        )
    )
    return lines


def control(orders: dict[str, SpeedOrder], recognition: Recognition | None) -> list[Criterion]:
    """Speed and style. The first of `orders` is the default style."""
    lines = []
    for at, (style, order) in enumerate(orders.items()):
        clips, speeds = order.deviation_m.shape
        line = within(
            f"Speed control, Spearman, {style}",
            min(order.pooled, order.within),
            least=0.95,
            detail=f"{speeds} values x {clips} clips: pooled {order.pooled:.3f}, within clips "
            f"{order.within:.3f}",
        )
        lines.append(line if at == 0 else Criterion(*_told(line)))
    if recognition is None:
        return [*lines, unmeasured("Style recognised", "needs two styles, two seeds, two clips")]
    line = within(
        "Style recognised",
        recognition.accuracy,
        least=0.8,
        detail=f"{recognition.segments} segments of 8 s of unseen clips and seeds, chance "
        f"{recognition.chance:.2f}",
    )
    return [*lines, line]


def quality(default: Row, styles: Sequence[Row], teachers: Sequence[Row]) -> list[Criterion]:
    """Seams, jerk, limits, collisions; the worst style counts."""
    lines = []
    if default.seams is None:
        lines.append(unmeasured("Seam ratio", "no clip is longer than a window"))
    else:
        most = max(styles, key=lambda row: row.facts["seam"])
        lines.append(
            within(
                "Seam ratio",
                float(np.median([row.facts["seam"] for row in styles])),
                most=1.2,
                detail=f"median of the styles, {default.seams.joins} joins each; worst "
                f"{most.name} {most.facts['seam']:.2f}, where 95 % of random places stay below "
                f"{most.seams.placebo_most:.2f}",
            )
        )
    ratios = {
        row.name: row.facts["jerk"] / teacher.facts["jerk"]
        for row, teacher in zip(styles, teachers, strict=True)
    }
    lines.append(
        within(
            "Jerk over the teacher's",
            max(ratios.values()),
            most=1.3,
            detail=", ".join(f"{name} {ratio:.2f}" for name, ratio in ratios.items()),
        )
    )
    for key, name, most in (
        ("limits", "Frames beyond joint limits", 0.5),
        ("penetration", "Frames with hands over 5 mm in each other", 1.0),
    ):
        worst = max(styles, key=lambda row: row.facts[key])
        lines.append(
            within(
                name,
                100 * float(np.mean([row.facts[key] for row in styles])),
                most=most,
                unit="%",
                detail=f"all styles; worst {worst.name}: {100 * worst.facts[key]:.2f} %",
            )
        )
    return lines


def editing(spans: Spans, pins: Pins) -> list[Criterion]:
    """Spans and pins."""
    return [
        Criterion(
            "Re-generated span: frames outside",
            float(spans.identical),
            IDENTICAL,
            spans.identical,
            f"new wrists {100 * spans.changed_m:.1f} cm from the old ones, mean",
        ),
        within(
            "Re-generated span: jump at its joins",
            spans.join / spans.join_before,
            most=1.2,
            detail=f"over the jump at the same places before; median of {spans.joins} joins, over "
            f"the median within a second: {spans.join:.2f}, before {spans.join_before:.2f}; "
            f"largest {spans.join_most:.2f} times the 99th percentile",
        ),
        within(
            "Pinned wrist misses by",
            100 * pins.wrist_m,
            most=1,
            unit="cm",
            detail=f"peak speed around the pin {pins.rush:.2f} times the 99th percentile elsewhere",
        ),
        within("Pinned handshape misses by", pins.shape_deg, most=5, unit="°", detail="mean angle"),
    ]


def variety(pairs: dict[str, tuple[Diversity, Diversity]], seeds: int) -> Criterion:
    """Diversity of the model over the teacher's, by style; means over styles are compared."""
    places, turns = (
        np.mean([getattr(ours, name) for ours, _ in pairs.values()])
        / np.mean([getattr(theirs, name) for _, theirs in pairs.values()])
        for name in ("places_m", "turns_rad")
    )
    return within(
        "Diversity over the teacher's",
        float(min(places, turns)),
        least=0.7,
        detail=f"{seeds} seeds a clip: places {places:.2f}, rotations {turns:.2f}; "
        + ", ".join(f"{s} {a.places_m / b.places_m:.2f}" for s, (a, b) in pairs.items()),
    )


def situations(quiet: Sequence[Silence], loud: Shout, teacher: Shout) -> list[Criterion]:
    """Silence and shouting."""
    return [
        within(
            "Silence gives rest: share of time below 5 cm/s",
            100 * min(s.still for s in quiet),
            least=95,
            unit="%",
            detail=f"digital silence, room hiss; at most {max(s.strokes for s in quiet)} strokes",
        ),
        within(
            "A shout gives larger gestures: loud over soft, less two errors",
            loud.ratio - 2 * loud.error,
            least=1,
            detail=f"{loud.ratio:.2f} ± {loud.error:.2f} for 12 dB; teacher {teacher.ratio:.2f} ± "
            f"{teacher.error:.2f}",
        ),
    ]


def groups(found: dict[str, tuple[float, float]]) -> list[Criterion]:
    """z per folder of speech, pooled over styles and seeds: {name: (z, seconds)}."""
    return [
        within(
            f"Works for {name}: z",
            z,
            least=2,
            detail=f"pooled over {seconds:.0f} s of motion, all styles and seeds",
        )
        for name, (z, seconds) in found.items()
    ]


def _told(line: Criterion) -> tuple:
    """A line for information: no verdict."""
    return line.name, line.value, "for information", None, line.detail
