"""How sure a detector is of the hands in a film, and how much they move.

CyberHost's HKC and HKV (Lin et al. 2024) are the mean confidence of the hands' key points and their
variance. Neither name comes with a formula in full, so the figures here have names of their own
where mediapipe looks (`hand_confidence`, `hand_variance`) and bear the published ones only with
DWPose (`hkc`, `hkv`); units and sums are said below.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from emo2.evaluation.sightings import Hands, Sighting
from emo2.types import NUM_HANDS


@dataclass(frozen=True)
class HandQuality:
    """`nan` where no hand was in view."""

    confidence: float
    """Mean over hands in view of the detector's score; a hand that is not found counts 0."""
    variance: float
    """Of a found key point's place over time, x plus y, in shoulder breadths squared; mean over
    points and hands."""

    @classmethod
    def of(cls, sightings: Iterable[Sighting], hands: Hands, shoulders_px: float) -> HandQuality:
        """By mediapipe: its palm score, and the points of hands that are where they should be."""
        sightings = list(sightings)[: len(hands.points)]
        tracks: list[list[np.ndarray]] = [[] for _ in range(NUM_HANDS)]
        scores = []
        for t, sighting in enumerate(sightings):
            for hand in np.flatnonzero(hands.in_view[t]):
                at = hands.seen(sighting, t, hand)
                scores.append(0.0 if at is None else sighting.palms[at])
                if at is not None:
                    tracks[hand].append(sighting.hands[at])
        return cls(_mean(scores), variance(tracks, shoulders_px))


@dataclass(frozen=True)
class PoseSighting:
    """What DWPose sees of both hands in one frame."""

    points: np.ndarray
    """(2, 21, 2) px."""
    scores: np.ndarray
    """(2, 21)."""


SURE = 0.3
"""DWPose's own threshold for drawing a point."""


def pose_quality(seen: Sequence[PoseSighting], shoulders_px: float) -> HandQuality:
    """HKC and HKV by a detector that scores every point: all frames count for the confidence; for
    the variance the points it is sure of."""
    if not seen:
        return HandQuality(np.nan, np.nan)
    points = np.stack([frame.points for frame in seen])
    scores = np.stack([frame.scores for frame in seen])
    points = np.where(scores[..., None] >= SURE, points, np.nan).reshape(len(seen), -1, 2)
    counted = np.isfinite(points[..., 0]).sum(axis=0) >= 2
    if not counted.any():
        return HandQuality(float(scores.mean()), np.nan)
    spread = np.nanvar(points[:, counted], axis=0).sum(axis=-1).mean()
    return HandQuality(float(scores.mean()), float(spread) / shoulders_px**2)


def variance(tracks: Sequence[Sequence[np.ndarray]], shoulders_px: float) -> float:
    """Of key points (21, 2) px seen over time, one sequence a hand; NaN below two frames."""
    spreads = [
        np.var(np.stack(track), axis=0).sum(axis=-1).mean() for track in tracks if len(track) > 1
    ]
    return _mean(spreads) / shoulders_px**2


def asked_variance(hands: Hands, shoulders_px: float) -> float:
    """What the motion itself would give: the figure beside `hand_variance`."""
    tracks = [hands.points[hands.in_view[:, hand], hand] for hand in range(NUM_HANDS)]
    return variance([list(track) for track in tracks], shoulders_px)


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if len(values) else np.nan
