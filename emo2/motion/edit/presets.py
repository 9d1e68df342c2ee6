"""Manners: bundles of operations with names, for a span or a whole motion.

A bundle is told at full strength; `amount` scales every parameter from the value at which it does
nothing: factors by their powers, everything else in proportion. The values are ours, judged by eye.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Preset:
    """One manner."""

    help: str
    """What it looks like, one line for people."""
    operations: tuple[dict[str, Any], ...]
    """Without a span: they take the style's."""


PRESETS: dict[str, Preset] = {
    "calmer": Preset(
        "Smaller, softer, a little lower: the same gestures with less weight.",
        (
            {"op": "amplitude", "factor": 0.6},
            {"op": "smooth", "seconds": 0.5},
            {"op": "offset", "dy": -0.02},
        ),
    ),
    "livelier": Preset(
        "Larger, a little higher, fingers freer.",
        (
            {"op": "amplitude", "factor": 1.4},
            {"op": "offset", "dy": 0.02},
            {"op": "openness", "amount": 0.15},
        ),
    ),
    "grander": Preset(
        "Wide, high, open: for a big room.",
        (
            {"op": "amplitude", "factor": 1.7, "turn": 0.3},
            {"op": "offset", "dy": 0.05, "dz": 0.02, "apart": 0.04},
            {"op": "openness", "amount": 0.35},
            {"op": "limit"},
        ),
    ),
    "precise": Preset(
        "Small and close, in front, thumb and index together.",
        (
            {"op": "amplitude", "factor": 0.8},
            {"op": "offset", "dy": 0.04, "dz": 0.02, "apart": -0.02},
            {"op": "handshape", "shape": "pinch", "amount": 0.55},
            {"op": "limit"},
        ),
    ),
    "news reader": Preset(
        "Quiet, low, hands near each other.",
        (
            {"op": "amplitude", "factor": 0.5},
            {"op": "smooth", "seconds": 0.35},
            {"op": "offset", "dy": -0.03, "apart": -0.03},
            {"op": "handshape", "shape": "relaxed", "amount": 0.4},
            {"op": "limit"},
        ),
    ),
    "keynote": Preset(
        "Large, high and open, wrists free.",
        (
            {"op": "amplitude", "factor": 1.35, "turn": 0.6},
            {"op": "offset", "dy": 0.06, "dz": 0.01, "apart": 0.04},
            {"op": "openness", "amount": 0.45},
            {"op": "limit"},
        ),
    ),
    "intimate": Preset(
        "Close to the body and to each other, fingers loose.",
        (
            {"op": "amplitude", "factor": 0.75},
            {"op": "offset", "dy": 0.03, "dz": -0.02, "apart": -0.04},
            {"op": "handshape", "shape": "relaxed", "amount": 0.35},
            {"op": "limit"},
        ),
    ),
}
"""By name."""
