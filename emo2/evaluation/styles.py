"""Can a style be told from the motion alone? A linear classifier over 8 s of hands.

The features are what anyone would jot down: where the hands are and how far they go, how fast, how
often they turn or rest, how open they are and where the palms look. A shrunken linear discriminant
(Ledoit-Wolf) learns on half of the clips with half of the seeds and is asked about the other clips
with the other seeds; then the other way round.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from emo2.evaluation.points import joints_m, speeds, tracked
from emo2.evaluation.synchrony import speed_minima
from emo2.evaluation.takes import Take
from emo2.hands.limits import finger_angles
from emo2.motion.rotations import rotate
from emo2.types import NUM_HANDS, HandMotion

SEGMENT_S = 8.0
_SIDE = np.array([[1.0, 1.0, 1.0], [-1.0, 1.0, 1.0]])
_PALM = np.array([0.0, -1.0, 0.0])
"""Where the palm of an unturned hand looks."""


@dataclass(frozen=True)
class Recognition:
    """How well styles were told apart."""

    accuracy: float
    chance: float
    styles: tuple[str, ...]
    confusion: np.ndarray
    """(S, S) share of the segments of each true style (row) taken for each style (column)."""
    segments: int
    """How many were asked about."""


def recognise(takes: Sequence[Take]) -> Recognition | None:
    """Both folds together; None where there are too few clips, seeds, styles or whole segments to
    hold any out."""
    styles = tuple(dict.fromkeys(take.style for take in takes))
    clips = list(dict.fromkeys(id(take.speech) for take in takes))
    seeds = sorted({take.seed for take in takes})
    if len(styles) < 2 or len(clips) < 2 or len(seeds) < 2:
        return None
    folds: list[tuple[list[np.ndarray], list[int]]] = [([], []), ([], [])]
    for take in takes:
        fold = clips.index(id(take.speech)) % 2
        if seeds.index(take.seed) % 2 != fold:
            continue  # neither its clip nor its seed may be on both sides
        rows = segment_features(take.motion)
        folds[fold][0].extend(rows)
        folds[fold][1].extend([styles.index(take.style)] * len(rows))
    if min(len(labels) for _, labels in folds) <= len(styles):
        return None
    confusion = np.zeros((len(styles), len(styles)))
    for train, test in ((folds[0], folds[1]), (folds[1], folds[0])):
        for true, told in zip(test[1], _told(*train, test[0]), strict=True):
            confusion[true, told] += 1
    total = confusion.sum()
    return Recognition(
        accuracy=float(np.trace(confusion) / total),
        chance=1 / len(styles),
        styles=styles,
        confusion=confusion / confusion.sum(axis=1, keepdims=True),
        segments=int(total),
    )


def segment_features(motion: HandMotion) -> list[np.ndarray]:
    """One vector per whole segment of 8 s."""
    size = round(SEGMENT_S * motion.fps)
    joints = joints_m(motion)
    return [
        _features(motion, joints, slice(start, start + size))
        for start in range(0, motion.num_frames - size + 1, size)
    ]


def _features(motion: HandMotion, joints: np.ndarray, part: slice) -> np.ndarray:
    places = motion.translation_m[part].astype(np.float64) * _SIDE  # outward, up, forward
    speed = speeds(motion.translation_m[part], motion.fps)
    apart = places[:, 0] - places[:, 1]
    palms, open_deg = [], []
    for hand in range(NUM_HANDS):
        turns = motion.quaternions[part, hand]
        palms.append(rotate(turns[:, 0], _PALM) * _SIDE[hand])
        open_deg.append(finger_angles(turns, hand)[0][:, 1:, 2:].mean(axis=(1, 2)))
    palms, curl = np.stack(palms, axis=1), np.stack(open_deg, axis=1)
    minima = speed_minima(tracked(joints[part]), motion.fps, None)
    return np.concatenate(
        [
            places.mean(axis=(0, 1)),
            places.std(axis=0).mean(axis=0),
            np.abs(apart).mean(axis=0),
            [speed.mean(), np.percentile(speed, 90), (speed < 0.05).mean()],
            [np.mean([len(beats) for beats in minima])],
            palms.mean(axis=(0, 1)),
            [curl.mean(), curl.std()],
        ]
    )


def _told(train: list[np.ndarray], labels: list[int], test: list[np.ndarray]) -> np.ndarray:
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    discriminant = LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto")
    return make_pipeline(StandardScaler(), discriminant).fit(train, labels).predict(test)
