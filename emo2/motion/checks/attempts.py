"""What might mend a finding: edit operations, the gentlest first. `fixes` tries them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from emo2.motion import torso
from emo2.motion.anatomy import FOREARM_M, SHOULDER_M, UPPER_ARM_M
from emo2.motion.checks.clip import Clip
from emo2.motion.checks.finding import Finding
from emo2.motion.clearance import needed
from emo2.motion.edit.span import HANDS

FADE_S = 0.25
Attempt = tuple[dict[str, Any], str]
"""An operation, and what it does in plain words."""
FARTHEST_M = 0.25
"""Hands are not moved further than this; hide them, or gesture anew."""


def attempts(finding: Finding, clip: Clip) -> Iterator[Attempt]:
    """Operations that might mend `finding`, found in `clip`."""
    return _ATTEMPTS[finding.kind](finding, clip)


def _span(finding: Finding, clip: Clip, fade_s: float = FADE_S) -> dict[str, Any]:
    """The finding's frames at full strength, and a cross-fade around them."""
    fade = round(fade_s * clip.fps)
    return {
        "start": max(finding.start - fade, 0),
        "stop": min(finding.stop + fade, clip.num_frames),
        **({"fade": fade} if fade else {}),
        "hands": _hands(finding),
    }


def _hands(finding: Finding) -> list[str]:
    return list(HANDS) if finding.hand is None else [HANDS[finding.hand]]


def _limit(what: str, says: str) -> Callable[[Finding, Clip], Iterator[Attempt]]:
    def tries(finding: Finding, clip: Clip) -> Iterator[Attempt]:
        yield {"op": "limit", "what": what, **_span(finding, clip)}, says

    return tries


def _reach(finding: Finding, clip: Clip) -> Iterator[Attempt]:
    frames = slice(finding.start, finding.stop)
    shoulder = SHOULDER_M * (1 - 2 * finding.hand, 1, 1)
    away = clip.places_m[frames, finding.hand] - shoulder
    length = np.linalg.norm(away, axis=-1)
    over = np.maximum(length - 0.98 * (UPPER_ARM_M + FOREARM_M), 0.0)
    back = -(away / length[:, None] * over[:, None])[over.argmax()]
    for times in (1.0, 1.3):
        yield _offset(finding, clip, times * back), "moves the hand back to where the arm ends"
    yield {"op": "limit", "what": "place", **_span(finding, clip)}, "keeps the hand within reach"


def _apart(finding: Finding, clip: Clip) -> Iterator[Attempt]:
    span = _span(finding, clip)
    sideways, forward = "moves the hands apart", "moves the nearer hand forward"
    yield {"op": "separate", **span}, f"{sideways} until they only touch"
    joints = clip.joints_m[finding.start : finding.stop]
    far = needed(joints, clip.anatomy, np.array([[1.0, 0, 0], [-1.0, 0, 0]])).max()
    nearer = int(joints.mean(axis=(0, 2))[:, 2].argmax())
    ahead = needed(joints, clip.anatomy, np.eye(2)[nearer][:, None] * [0.0, 0, 1]).max()
    ways = [
        (2 * far, {"op": "offset", "apart": round(float(far) + 5e-4, 3)}, sideways),
        (ahead, {"op": "separate", "way": "forward"}, forward),
    ]
    for _, operation, says in sorted(ways, key=lambda way: way[0]):
        yield {**operation, **span}, f"{says} until they only touch"
    yield {"op": "separate", "way": "forward", "gap": 0.02, **span}, forward
    yield {"op": "offset", "apart": round(float(far) + 0.02, 3), **span}, sideways


def _open(finding: Finding, clip: Clip) -> Iterator[Attempt]:
    yield from _limit("fingers", "bends the fingers back to what they can do")(finding, clip)
    for amount in (0.25, 0.5, 0.8):
        yield (
            {"op": "openness", "amount": amount, **_span(finding, clip)},
            "opens the fingers until they no longer cross",
        )


def _out_of_body(finding: Finding, clip: Clip) -> Iterator[Attempt]:
    frames = slice(finding.start, finding.stop)
    starts, ends = clip.anatomy.capsules(clip.joints_m[frames, finding.hand], finding.hand)
    points = np.concatenate([ends, 0.5 * (starts + ends)], axis=1)
    radius = np.tile(clip.anatomy.radius_m[finding.hand], 2)
    forward, aside = torso.ways_out(points, radius)
    inside = np.minimum(forward, aside) > 0
    outward = 1 - 2 * finding.hand
    # To the hand's own side, across the middle if it has gone beyond.
    aside = aside + np.abs(points[..., 0]) - outward * points[..., 0]
    front = np.array([0.0, 0.0, forward[inside].max()])
    side = np.array([aside[inside].max() * outward, 0.0, 0.0])
    moves = sorted(((front, "forward"), (side, "sideways")), key=lambda m: np.abs(m[0]).max())
    for more in (0.06, 0.12):
        moves.append((front + np.array([more * outward, 0.0, 0.0]), "forward and aside"))
    for move, word in moves:
        yield _offset(finding, clip, move), f"moves the hand {word} out of the body"


def _into_picture(finding: Finding, clip: Clip) -> Iterator[Attempt]:
    camera = clip.scene.camera
    frames = slice(finding.start, finding.stop)
    joints = clip.joints_m[frames, finding.hand]
    pixels = camera.project(joints)
    size = np.array([camera.width_px, camera.height_px])
    low, high = pixels.min(axis=(0, 1)), pixels.max(axis=(0, 1))
    outside = np.any((pixels < 0) | (pixels > size), axis=-1)
    scale = camera.pixels_per_metre * camera.distance_m / (camera.distance_m - joints[..., 2])
    metre = float(scale.min())
    move_px = np.where(low < 0, -low, np.minimum(size - high, 0.0))
    fits = np.all(high - low <= size)
    move = np.array([move_px[0], -move_px[1], 0.0]) / metre
    if not outside.all() and fits and np.abs(move).max() <= FARTHEST_M:
        for times in (1.0, 0.7, 0.45):
            yield _offset(finding, clip, times * move), "moves the hand into the picture"
    if outside.all():
        span = _span(finding, clip, fade_s=0)
        yield {"op": "hide", **span}, "tells the film that the hand is not in the picture"
    for factor in (0.8, 0.6, 0.4):
        span = _span(finding, clip, fade_s=0.5)
        yield {"op": "amplitude", "factor": factor, **span}, "makes the gestures smaller"
    yield {"op": "rest", **_span(finding, clip, fade_s=0.75)}, "lets the hand rest meanwhile"


def _off_mouth(finding: Finding, clip: Clip) -> Iterator[Attempt]:
    outward = 1 - 2 * finding.hand
    ways = (((0, -1, 0), "lower"), ((outward, 0, 0), "to its own side"), ((-outward, 0, 0), "over"))
    for far in (0.03, 0.06, 0.09, 0.13, 0.18):
        for way, word in ways:
            yield _offset(finding, clip, far * np.array(way)), f"moves the hand {word}"


def _smooth(*seconds: float, around_s: float = 0.0) -> Callable[[Finding, Clip], Iterator[Attempt]]:
    """`around_s`: seconds on both sides that are smoothed fully too."""

    def tries(finding: Finding, clip: Clip) -> Iterator[Attempt]:
        around = round(around_s * clip.fps)
        wide = replace(finding, start=finding.start - around, stop=finding.stop + around)
        for strength in seconds:
            yield {"op": "smooth", "seconds": strength, **_span(wide, clip)}, "smooths it"

    return tries


def _seam(finding: Finding, clip: Clip) -> Iterator[Attempt]:
    for reach_s in (0.25, 0.4, 0.7):
        yield (
            {
                "op": "seam",
                "frame": max(finding.worst_frame, 1),
                "frames": max(round(reach_s * clip.fps), 2),
                "hands": _hands(finding),
            },
            "bends both sides of the jump so that they meet",
        )
    yield from _smooth(0.3, 0.6)(finding, clip)


def _bridge(finding: Finding, clip: Clip) -> Iterator[Attempt]:
    for more in (0, 1, 2):
        yield (
            {
                "op": "bridge",
                "start": max(finding.start - more, 0),
                "stop": min(finding.stop + more, clip.num_frames),
                "hands": _hands(finding),
            },
            "leads the hand over these frames, from the good ones before to the good ones after",
        )


def _pop(finding: Finding, clip: Clip) -> Iterator[Attempt]:
    yield from _bridge(finding, clip)
    yield from _smooth(0.3, 0.5)(finding, clip)


def _steady(finding: Finding, clip: Clip) -> Iterator[Attempt]:
    frame = finding.worst_frame
    shown = bool(clip.visible[frame, finding.hand])
    says = "hides the hand there" if shown else "shows the hand throughout"
    yield {"op": "hide" if shown else "show", **_span(finding, clip, fade_s=0)}, says


def _nothing(finding: Finding, clip: Clip) -> Iterator[Attempt]:
    yield from ()


def _offset(finding: Finding, clip: Clip, move_m: np.ndarray) -> dict[str, Any]:
    # Outwards to whole tenths of a millimetre: rounding must not leave a hair of the fault.
    tenths = np.sign(move_m) * np.ceil(np.abs(move_m) * 1e4 - 1e-6) / 1e4
    named = zip(("dx", "dy", "dz"), tenths.tolist(), strict=True)
    return {"op": "offset", **{k: round(v, 4) for k, v in named if v}, **_span(finding, clip)}


_ATTEMPTS: dict[str, Callable[[Finding, Clip], Iterator[Attempt]]] = {
    "broken_numbers": _bridge,
    "flicker": _steady,
    "pop": _pop,
    "seam": _seam,
    "stutter": _smooth(0.2, 0.35, 0.5, 0.7, around_s=0.25),
    "tremor": _smooth(0.25, 0.4, 0.6, around_s=0.25),
    "speed": _smooth(0.35, 0.6, 1.0),
    "finger_limit": _limit("fingers", "bends the fingers back to what they can do"),
    "finger_twist": _limit("fingers", "turns the finger back about its joint's own axes"),
    "wrist_bend": _limit("wrist", "straightens the wrist"),
    "reach": _reach,
    "body_collide": _out_of_body,
    "hands_collide": _apart,
    "fingers_collide": _open,
    "out_of_frame": _into_picture,
    "mouth_hidden": _off_mouth,
    "still": _nothing,
}
