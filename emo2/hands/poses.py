"""Handshapes as they were drawn: a table by hand, and what the fingers of it are to touch.

`emo2.hands.recipes` solves them on the hand's skin. Rows are those of `emo2.hands.shapes`: twist,
spread, base, middle and tip, in degrees.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise

from emo2.hands.contact import PAD, Spot
from emo2.hands.ik import Goal, Rest, Touch
from emo2.hands.skeleton import FINGERS

Row = tuple[float, float, float, float, float]


@dataclass(frozen=True)
class Step:
    """Fingers that move, and what they are to touch."""

    free: tuple[str, ...]
    goals: tuple[Goal, ...] = ()
    prior_deg: float = 12.0


@dataclass(frozen=True)
class Recipe:
    """A start, finger by finger, and steps of contact after it."""

    rows: Mapping[str, Row] = field(default_factory=dict)
    like: str = "flat"
    """The finished handshape that other fingers are taken from."""
    steps: tuple[Step, ...] = ()


def _palm(*fingers: str) -> Step:
    """Curled fingers with their tips on the palm."""
    goals = [Rest(Spot(f, 3, 0.92), "palm", weight=0.1) for f in fingers]
    return Step(fingers, tuple(goals), prior_deg=6.0)


def _thumb_on(finger: str, along: float = 0.6, *also: str) -> Step:
    """The thumb's pad on the back of a curled finger's middle bone, and its length on others."""
    pad = Touch(Spot("thumb", 3, 0.6), Spot(finger, 2, along, "back"), facing=1.5)
    rests = [Rest(Spot("thumb", 3, 0.0), other, weight=0.5) for other in also]
    return Step(("thumb",), (pad, *rests))


def _together() -> Step:
    """Straight fingers without gaps on either side of the middle one."""
    goals = [
        Rest(Spot("index", 2, 0.3, "outward"), "middle"),
        Rest(Spot("ring", 2, 0.3, "thumbward"), "middle"),
        Rest(Spot("pinky", 2, 0.6, "thumbward"), "ring"),
    ]
    return Step(("index", "ring", "pinky"), tuple(goals), prior_deg=4.0)


def _tips_meet(*fingers: str, along: float = 0.75, facing: float = 0.5) -> Step:
    """The thumb's pad on the pad of the first finger; each other finger beside the one before."""
    pads = [Touch(Spot("thumb", 3, along), Spot(fingers[0], 3, along), facing)]
    for one, other in pairwise(fingers):
        sides = Spot(one, 3, along, "outward"), Spot(other, 3, along, "thumbward")
        pads.append(Touch(*sides, facing=0.0, weight=0.5))
    return Step(("thumb", *fingers), tuple(pads))


_CLOSED = {
    "index": (0, 0, 90, 97, 54),
    "middle": (0, 0, 92, 98, 56),
    "ring": (0, 0, 92, 96, 54),
    "pinky": (0, 0, 90, 88, 44),
}
RECIPES = {
    "flat": Recipe(),
    "open": Recipe(
        {
            "thumb": (0, 6, -14, -4, -8),
            "index": (0, 9, -6, -2, 0),
            "middle": (0, 0, -7, -2, 0),
            "ring": (0, 6, -6, -2, 0),
            "pinky": (0, 11, -4, -2, 0),
        }
    ),
    "relaxed": Recipe(
        {
            "thumb": (14, 12, 6, 12, 16),
            "index": (0, 1, 20, 26, 14),
            "middle": (0, 0, 26, 30, 16),
            "ring": (0, -1, 30, 33, 18),
            "pinky": (0, -2, 32, 32, 18),
        }
    ),
    "cup": Recipe(
        {
            "thumb": (26, 26, 8, 14, 20),
            "index": (0, -2, 36, 24, 14),
            "middle": (0, 0, 40, 26, 14),
            "ring": (0, -3, 42, 27, 15),
            "pinky": (0, -6, 43, 27, 15),
        }
    ),
    "offer": Recipe(
        {
            "thumb": (4, 8, -12, 2, 4),
            "index": (0, 4, 4, 8, 5),
            "middle": (0, 0, 9, 12, 7),
            "ring": (0, 1, 13, 15, 9),
            "pinky": (0, 3, 15, 17, 10),
        }
    ),
    "blade": Recipe(
        {
            "thumb": (6, 0, 16, 8, 4),
            "index": (0, -2, 0, 3, 2),
            "middle": (0, 0, 0, 3, 2),
            "ring": (0, -2, 0, 3, 2),
            "pinky": (0, -6, 1, 4, 3),
        },
        steps=(
            _together(),
            Step(
                ("thumb",),
                (Touch(Spot("thumb", 3, 0.5), Spot("index", 1, 0.45, "thumbward"), facing=0.5),),
                20.0,
            ),
        ),
    ),
    "steeple": Recipe(
        {
            "thumb": (0, 4, -6, 0, 0),
            "index": (0, 5, -4, 6, 4),
            "middle": (0, 0, -4, 6, 4),
            "ring": (0, 4, -4, 6, 4),
            "pinky": (0, 8, -4, 6, 4),
        }
    ),
    "frame": Recipe(
        {
            "thumb": (8, 26, -10, 0, -4),
            "index": (0, -3, 34, 8, 5),
            "middle": (0, 0, 36, 8, 5),
            "ring": (0, -3, 37, 9, 6),
            "pinky": (0, -7, 36, 10, 7),
        }
    ),
    "claw": Recipe(
        {
            "thumb": (16, 24, -8, 20, 34),
            "index": (0, 10, -4, 62, 40),
            "middle": (0, 0, -2, 64, 42),
            "ring": (0, 7, -2, 64, 42),
            "pinky": (0, 13, 0, 60, 40),
        }
    ),
    "hold": Recipe(
        {
            "thumb": (34, 34, 0, 18, 22),
            "index": (0, 0, 44, 52, 28),
            "middle": (0, 0, 50, 56, 30),
            "ring": (0, -2, 54, 58, 32),
            "pinky": (0, -4, 56, 56, 32),
        }
    ),
    "thumb_up": Recipe({"thumb": (-6, 8, -34, -8, -14), **_CLOSED}, steps=(_palm(*FINGERS[1:]),)),
    "fist": Recipe(
        {
            "thumb": (30, 31, 0, 60, 37),
            "index": (0, 3, 78, 97, 56),
            "middle": (0, 1, 78, 99, 58),
        },
        "thumb_up",
        (
            Step(
                ("thumb", "index", "middle"),
                (
                    Rest(Spot("thumb", 3, 0.7), "middle", weight=0.3),
                    Rest(Spot("thumb", 3, 0.1), "index", weight=0.3),
                ),
                prior_deg=5.0,
            ),
        ),
    ),
    "point": Recipe(
        {
            "thumb": (40, 26, 10, 40, 40),
            "index": (0, 0, -1, 3, 2),
            "middle": (0, 0, 70, 96, 52),
            "ring": (0, -2, 78, 98, 56),
            "pinky": (0, -6, 80, 94, 54),
        },
        steps=(_palm("middle", "ring", "pinky"), _thumb_on("middle", 0.35)),
    ),
    "one": Recipe(
        {"thumb": (46, 42, 8, 56, 40), "index": (0, 0, -2, 3, 2)},
        "thumb_up",
        (Step(("thumb",), (Rest(PAD["thumb"], "middle"),), 8.0),),
    ),
    "two": Recipe(
        {"thumb": (52, 32, 26, 42, 44), "index": (0, 11, -2, 3, 2), "middle": (0, -8, -2, 3, 2)},
        "thumb_up",
        (_thumb_on("ring", 0.5),),
    ),
    "three": Recipe(
        {
            "thumb": (50, 20, 40, 50, 30),
            "pinky": (0, -6, 70, 92, 50),
            "index": (0, 10, -2, 3, 2),
            "middle": (0, 0, -2, 3, 2),
            "ring": (0, 7, 4, 6, 4),
        },
        "thumb_up",
        (
            Step(
                ("thumb", "pinky"),
                (Touch(Spot("thumb", 3, 0.7), Spot("pinky", 2, 0.9, "back"), facing=0.5),),
            ),
        ),
    ),
    "four": Recipe(
        {
            "thumb": (50, -4, 40, 44, 40),
            "index": (0, 8, -3, 2, 1),
            "middle": (0, 0, -3, 2, 1),
            "ring": (0, 5, -3, 2, 1),
            "pinky": (0, 10, -2, 2, 1),
        },
        steps=(
            Step(
                ("thumb",),
                (
                    Rest(Spot("thumb", 3, 0.7), "palm"),
                    Rest(Spot("thumb", 2, 0.9), "palm", weight=0.1),
                ),
            ),
        ),
    ),
    "five": Recipe(
        {
            "thumb": (-4, 4, -26, -6, -10),
            "index": (0, 14, -9, -3, 0),
            "middle": (0, 0, -10, -3, 0),
            "ring": (0, 9, -9, -3, 0),
            "pinky": (0, 18, -7, -3, 0),
        }
    ),
    "ok": Recipe(
        {
            "thumb": (45, 26, 20, 16, 26),
            "index": (0, 0, 46, 66, 36),
            "middle": (0, 2, 22, 20, 10),
            "ring": (0, 4, 12, 14, 8),
            "pinky": (0, 9, 4, 10, 6),
        },
        steps=(_tips_meet("index", along=0.9, facing=0.3),),
    ),
    "pinch": Recipe(
        {
            "thumb": (46, 22, 24, 10, 10),
            "index": (0, 0, 56, 42, 22),
            "middle": (0, 0, 50, 48, 26),
            "ring": (0, -1, 54, 54, 30),
            "pinky": (0, -3, 54, 54, 30),
        },
        steps=(_tips_meet("index", along=0.7),),
    ),
    "a_little": Recipe(
        {
            "thumb": (40, 24, 14, 10, 6),
            "index": (0, 0, 46, 40, 16),
            "middle": (0, -1, 76, 94, 52),
            "ring": (0, -3, 80, 96, 54),
            "pinky": (0, -7, 78, 90, 52),
        },
        steps=(
            _palm("middle", "ring", "pinky"),
            Step(("thumb", "index"), (Touch(PAD["thumb"], PAD["index"], gap_m=0.018),)),
        ),
    ),
    "precision": Recipe(
        {
            "thumb": (48, 28, 22, 14, 24),
            "index": (0, 0, 52, 46, 26),
            "middle": (0, 1, 56, 46, 26),
            "ring": (0, -2, 62, 66, 36),
            "pinky": (0, -4, 62, 64, 36),
        },
        steps=(_tips_meet("index", "middle", along=0.85, facing=0.3),),
    ),
    "purse": Recipe(
        {
            "thumb": (48, 30, 22, 8, 10),
            "index": (0, -2, 60, 32, 14),
            "middle": (0, 0, 60, 38, 18),
            "ring": (0, -4, 62, 36, 18),
            "pinky": (0, -10, 62, 26, 12),
        },
        steps=(_tips_meet("index", "middle", "ring", "pinky", along=0.85, facing=0.3),),
    ),
    "l_shape": Recipe(
        {"thumb": (-4, 10, -35, -8, -10), "index": (0, 0, -2, 3, 2)},
        "thumb_up",
        (Step(("middle", "ring", "pinky"), (), 4.0),),
    ),
    "phone": Recipe(
        {"thumb": (-4, 9, -32, -6, -10), "pinky": (0, 14, -2, 6, 4)},
        "thumb_up",
        (Step(("index", "middle", "ring"), (), 4.0),),
    ),
}
