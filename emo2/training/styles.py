"""How the procedural speaker gestures, style by style.

Numbers after observation: real hands that talk rest for a fifth to three fifths of the time, turn
about once a second, and move at 0.1 to 0.4 m/s between (six tracked speakers); the names and the
differences between them are ours.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Style:
    """How a kind of speaker gestures. Lengths in metres, times in seconds."""

    share: float
    """Share of the accents that get a stroke."""
    min_gap_s: float
    """Shortest time between two strokes."""
    linger_s: float
    """The hands go back to rest when the next stroke is further away than this."""
    least: float
    """Hands stay at rest through a stretch whose strongest accent (0..1) is weaker than this."""
    raise_m: tuple[float, float, float]
    """Where the hands work, from rest: outward, up, forward."""
    stroke_m: tuple[float, float, float]
    """A full stroke from its preparation: outward, up, forward."""
    stroke_s: float
    prepare_s: float
    retract_s: float
    hold_s: float
    both: float
    """How often both hands gesture together."""
    pronation_deg: tuple[float, float]
    """Range: 90 palm down, 0 thumb up, -60 palm up."""
    shapes: tuple[str, ...] = field(default=("relaxed", "open", "cup"))


STYLES: dict[str, Style] = {
    "talk-calm": Style(
        0.75, 0.6, 1.3, 0.45, (0.04, 0.055, 0.01), (0.022, -0.045, 0.015), 0.26, 0.36, 0.7, 0.25,
        0.75, (0, 60), ("relaxed", "relaxed", "cup", "open"),
    ),
    "talk-lively": Style(
        0.92, 0.45, 1.0, 0.4, (0.07, 0.16, 0.01), (0.04, -0.085, 0.025), 0.24, 0.3, 0.6, 0.2, 0.75,
        (-25, 65), ("open", "relaxed", "cup", "pinch", "point", "ok", "fist"),
    ),
    "present": Style(
        0.75, 0.7, 1.3, 0.4, (0.12, 0.18, 0.01), (0.11, -0.04, 0.02), 0.32, 0.4, 0.75, 0.6, 0.6,
        (-55, -10), ("open", "flat", "open", "relaxed"),
    ),
    "sing": Style(
        0.55, 0.9, 1.8, 0.35, (0.06, 0.14, 0.03), (0.10, 0.08, 0.025), 0.6, 0.6, 1.0, 0.5, 0.9,
        (-60, 10), ("open", "relaxed", "cup"),
    ),
}  # fmt: skip
