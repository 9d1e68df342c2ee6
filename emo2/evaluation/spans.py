"""Editing with the same model: a span made anew between frames that stay, and pinned poses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product

import numpy as np

from emo2.evaluation.performers import Model
from emo2.evaluation.points import seen_points
from emo2.evaluation.smoothness import jumps_at, local_ratios
from emo2.hands.shapes import handshape
from emo2.motion.rotations import angle_between
from emo2.stage1.keeping import Keep
from emo2.stage1.representation import NUM_SLOTS
from emo2.types import NUM_HANDS, AudioClip, HandMotion

SPANS = ((0.12, 0.28), (0.40, 0.60), (0.70, 0.88))
"""The parts of a clip that are made anew, together."""
ROUNDS, SHIFT = 3, 0.03
"""How often, each time with another seed and so much later."""
PIN_AT = 0.5
PIN_BY_M = np.array([0.05, 0.10, 0.03])
"""How far a wrist is pinned from where it was: outward, up, forward."""
PIN_SHAPE = "point"


@dataclass(frozen=True)
class Spans:
    """What came of re-generated spans."""

    identical: bool
    """Every frame outside, of every clip: the same bits."""
    changed_m: float
    """How far the new wrists are from the old ones inside, mean."""
    join: float
    """Velocity jump at a join over the median within a second of it; the median over joins."""
    join_before: float
    """The same at the same places of the motion as it was: what no seam looks like."""
    join_most: float
    """The largest jump at a join over the 99th percentile elsewhere."""
    joins: int


@dataclass(frozen=True)
class Pins:
    """What came of pinned poses."""

    wrist_m: float
    """How far the wrist misses its pin, largest."""
    shape_deg: float
    """Angle between pinned and made finger joints, mean; the largest clip."""
    rush: float
    """The largest wrist speed within half a second of a pin over the 99th percentile elsewhere: a
    pin that is met by a leap is not met."""


def regenerated(model: Model, clips: Sequence[AudioClip], style: str | None = None) -> Spans:
    """Make three spans of each clip anew with another seed, everything else kept; three rounds."""
    identical, changed, ratios, before, at, elsewhere = True, [], [], [], [], []
    for clip, turn in product(clips, range(ROUNDS)):
        old = model(clip, style, 0)
        ends = ((np.array(SPANS) + SHIFT * turn) * old.num_frames).round().astype(int)
        outside = np.ones(old.num_frames, bool)
        for start, stop in ends:
            outside[start:stop] = False
        new = model(clip, style, 1 + turn, keep=Keep(old, outside))
        identical &= bool(
            np.array_equal(new.quaternions[outside], old.quaternions[outside])
            and np.array_equal(new.translation_m[outside], old.translation_m[outside])
        )
        apart = new.translation_m[~outside] - old.translation_m[~outside]
        changed.append(np.linalg.norm(apart, axis=-1).mean())
        made, was = seen_points(new), seen_points(old)
        ratios.append(local_ratios(made, ends.ravel(), new.fps))
        before.append(local_ratios(was, ends.ravel(), new.fps))
        jumps = jumps_at(made, new.fps, 2)
        at.append(jumps[ends.ravel()])
        elsewhere.append(np.delete(jumps, ends.ravel()))
    return Spans(
        identical=identical,
        changed_m=float(np.mean(changed)),
        join=float(np.median(ratios)),
        join_before=float(np.median(before)),
        join_most=float(np.max(at) / np.nanpercentile(np.concatenate(elsewhere), 99)),
        joins=len(np.ravel(ratios)),
    )


def pinned(model: Model, clips: Sequence[AudioClip], style: str | None = None) -> Pins:
    """Pin one frame's wrists away from where they were, then its handshapes, all else free."""
    misses, angles, rushes = [], [], []
    for clip in clips:
        old = model(clip, style, 0)
        at = round(PIN_AT * old.num_frames)
        sides = np.array([[1, 1, 1], [-1, 1, 1]])
        places, shapes = np.array(old.translation_m), np.array(old.quaternions)
        places[at] += PIN_BY_M * sides
        for hand in range(NUM_HANDS):
            shapes[at, hand, 1:] = handshape(PIN_SHAPE, hand)[1:]
        made = model(clip, style, 1, keep=_keep(replace(old, translation_m=places), at, [0]))
        misses.append(np.linalg.norm(made.translation_m[at] - places[at], axis=-1).max())
        rushes.append(_rush(made, at))
        fingers = range(2, NUM_SLOTS)
        made = model(clip, style, 1, keep=_keep(replace(old, quaternions=shapes), at, fingers))
        angles.append(np.rad2deg(angle_between(made.quaternions[at], shapes[at])[:, 1:]).mean())
    return Pins(float(max(misses)), float(max(angles)), float(max(rushes)))


def _keep(motion: HandMotion, frame: int, slots) -> Keep:
    mask = np.zeros((motion.num_frames, NUM_HANDS, NUM_SLOTS), bool)
    mask[frame, :, list(slots)] = True
    return Keep(motion, mask)


def _rush(motion: HandMotion, at: int) -> float:
    step = np.linalg.norm(np.diff(motion.translation_m, axis=0), axis=-1).max(axis=1)
    near = np.abs(np.arange(len(step)) + 0.5 - at) <= motion.fps / 2
    return float(step[near].max() / np.percentile(step[~near], 99))
