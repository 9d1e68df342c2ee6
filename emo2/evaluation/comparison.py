"""Motions against each other: how differently a speaker says the same thing twice (diversity), and
how near one motion comes to another (PCK)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from emo2.evaluation.points import joints_m
from emo2.motion.rotations import angle_between
from emo2.types import HandMotion

PCK_SHARE = 0.5
"""Of the reference hand's length, wrist to tip of the middle finger: about 9 cm. BEAT's SRGR counts
joints within 10 cm, our film measure hands within 0.2 hands; neither is this."""
WRIST, MIDDLE_TIP = 0, 18


@dataclass(frozen=True)
class Diversity:
    """Mean difference of two motions out of several for the same speech."""

    places_m: float
    """Distance of corresponding points, mean over both hands' 21 joints [m]."""
    turns_rad: float
    """Angle between corresponding rotations, |log R|, mean over both hands' 16 joints [rad]."""
    wrists_m: float
    """Distance of the wrists alone [m]."""


def diversity(motions: Sequence[HandMotion]) -> Diversity:
    """Mean over all pairs; motions must be equally long and for one recording."""
    joints = [joints_m(motion) for motion in motions]
    pairs = list(combinations(range(len(motions)), 2))
    apart = [np.linalg.norm(joints[a] - joints[b], axis=-1) for a, b in pairs]
    turned = [angle_between(motions[a].quaternions, motions[b].quaternions) for a, b in pairs]
    return Diversity(
        places_m=float(np.mean([d.mean() for d in apart])),
        turns_rad=float(np.mean([t.mean() for t in turned])),
        wrists_m=float(np.mean([d[:, :, WRIST].mean() for d in apart])),
    )


def correct_keypoints(motion: HandMotion, reference: HandMotion, share: float = PCK_SHARE) -> float:
    """PCK: the share of the 42 joints of all frames that lie within `share` of the reference hand's
    length of where the reference has them, in the body frame, without any alignment.

    Speech fits many motions: a PCK says something only beside that of another take of the reference
    and of the mean pose, which often wins. The longer motion is cut.
    """
    frames = min(motion.num_frames, reference.num_frames)
    here, there = joints_m(motion)[:frames], joints_m(reference)[:frames]
    # A fist is no smaller hand: its length is that of the flat one, the longest it shows.
    length = np.linalg.norm(there[:, :, MIDDLE_TIP] - there[:, :, WRIST], axis=-1).max()
    apart = np.linalg.norm(here - there, axis=-1)
    return float((apart < share * length)[reference.visible[:frames]].mean())
