"""Hands that pass through one another, fingers through fingers, hands through the body."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from emo2.hands.skeleton import FINGERS
from emo2.motion import torso
from emo2.motion.capsules import BONE_FINGER, IN_PALM, Contact, deepest
from emo2.motion.checks.clip import Clip
from emo2.motion.checks.finding import FINGER_WORDS, HAND_WORDS, Reading, Signal
from emo2.motion.clearance import FOREARM, between_hands, pair_bones
from emo2.types import NUM_HANDS

CHUNK_FRAMES = 512
HANDS_LIMIT_M, HANDS_ERROR_M = 0.006, 0.014
"""Folded and steepled hands press into each other by a few millimetres; a finger that goes
through another overlaps by 14 to 18 mm."""
FINGERS_LIMIT_M, FINGERS_ERROR_M = 0.006, 0.013
FINGERS_S = 0.1
"""Fists and pinches press fingers together by up to 2 mm; a thumb that slips through a finger on
its way for a frame or two is not seen."""
BODY_LIMIT_M, BODY_ERROR_M = 0.020, 0.060
"""The reference body is only about right: cloth gives way, people differ."""
_FREE = np.flatnonzero(~IN_PALM)
PAIRS = np.array([(a, b) for a in _FREE for b in _FREE if BONE_FINGER[a] < BONE_FINGER[b]])
"""(P, 2) of `BONES`: the bones of one hand's fingers that must not cross."""


def signals(clip: Clip) -> list[Signal]:
    """All contacts that go too deep."""
    out = [_hands(clip)]
    for hand in range(NUM_HANDS):
        out += [_fingers(clip, hand), _body(clip, hand)]
    return out


def within_hand(clip: Clip, hand: int) -> Contact:
    """The deepest overlap of two fingers of one hand, per frame; `pair` counts `PAIRS`."""
    depth = np.full(clip.num_frames, -np.inf, np.float32)
    where = np.array(clip.places_m[:, hand])
    pair = np.zeros(clip.num_frames, int)
    for chunk in _chunks(np.flatnonzero(clip.seen[:, hand])):
        starts, ends = clip.anatomy.capsules(clip.joints_m[chunk, hand], hand)
        radius = clip.anatomy.radius_m[hand].astype(np.float32)
        sides = [(starts[:, bones], ends[:, bones], radius[bones]) for bones in PAIRS.T]
        contact = deepest(*sides)
        depth[chunk], where[chunk], pair[chunk] = contact.depth_m, contact.where_m, contact.pair
    return Contact(depth, where, pair)


def _chunks(frames: np.ndarray) -> Iterator[np.ndarray]:
    for first in range(0, len(frames), CHUNK_FRAMES):
        yield frames[first : first + CHUNK_FRAMES]


def _hands(clip: Clip) -> Signal:
    contact = between_hands(clip.joints_m, clip.anatomy)

    def read(frame: int) -> Reading:
        parts = [_part(bone) for bone in pair_bones(contact.pair[frame])]
        words = (
            f"the hands pass {1000 * contact.depth_m[frame]:.0f} mm into each other (left "
            f"{parts[0]}, right {parts[1]})"
        )
        return Reading(1000 * contact.depth_m[frame], 1000 * HANDS_LIMIT_M, "mm", words)

    return Signal(
        kind="hands_collide",
        hand=None,
        ratio=np.where(clip.seen.all(axis=1), contact.depth_m / HANDS_LIMIT_M, 0.0),
        error_ratio=HANDS_ERROR_M / HANDS_LIMIT_M,
        where_m=contact.where_m,
        read=read,
    )


def _fingers(clip: Clip, hand: int) -> Signal:
    contact = within_hand(clip, hand)

    def read(frame: int) -> Reading:
        one, other = (_part(bone) for bone in PAIRS[contact.pair[frame]])
        words = (
            f"{one} and {other} of the {HAND_WORDS[hand]} pass "
            f"{1000 * contact.depth_m[frame]:.0f} mm into each other"
        )
        return Reading(1000 * contact.depth_m[frame], 1000 * FINGERS_LIMIT_M, "mm", words)

    return Signal(
        kind="fingers_collide",
        hand=hand,
        ratio=contact.depth_m / FINGERS_LIMIT_M,
        error_ratio=FINGERS_ERROR_M / FINGERS_LIMIT_M,
        where_m=contact.where_m,
        read=read,
        least_frames=max(1, round(FINGERS_S * clip.fps)),
    )


def _body(clip: Clip, hand: int) -> Signal:
    depth = np.full(clip.num_frames, -np.inf)
    where = np.array(clip.places_m[:, hand])
    radius = clip.anatomy.radius_m[hand]
    for chunk in _chunks(np.flatnonzero(clip.seen[:, hand])):
        starts, ends = clip.anatomy.capsules(clip.joints_m[chunk, hand], hand)
        points = np.stack([ends, 0.5 * (starts + ends)], axis=2)  # (t, 24, 2, 3)
        deep = torso.depth(points, radius[:, None]).reshape(len(chunk), -1)
        worst = deep.argmax(axis=1)
        rows = np.arange(len(chunk))
        depth[chunk] = deep[rows, worst]
        where[chunk] = points.reshape(len(chunk), -1, 3)[rows, worst]

    def read(frame: int) -> Reading:
        words = (
            f"the {HAND_WORDS[hand]} goes {100 * depth[frame]:.1f} cm into the "
            f"{torso.part(where[frame])}"
        )
        return Reading(1000 * depth[frame], 1000 * BODY_LIMIT_M, "mm", words)

    return Signal(
        kind="body_collide",
        hand=hand,
        ratio=depth / BODY_LIMIT_M,
        error_ratio=BODY_ERROR_M / BODY_LIMIT_M,
        where_m=where,
        read=read,
    )


def _part(bone: int) -> str:
    if bone == FOREARM:
        return "forearm"
    return "palm" if IN_PALM[bone] else FINGER_WORDS[FINGERS[BONE_FINGER[bone]]]
