"""When strokes land: the time from the nearest accent to each stroke's end, against chance.

Where a score says *that* hands meet the speech, the histogram of lags says *when*: a peak left of
zero is a hand that comes before the syllable.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from emo2.evaluation.synchrony import EDGE_S, NUM_SHIFTS, nearest

REACH_S = 0.5
NUM_BINS = 25


@dataclass(frozen=True)
class Lags:
    """Stroke end minus nearest accent, over all strokes of all clips."""

    median_s: float
    iqr_s: float
    """Between the quartiles."""
    chance_iqr_s: float
    """The same for accents shifted in a circle: no smaller IQR, no timing."""
    edges_s: np.ndarray
    """(bins + 1,) of the histogram."""
    share: np.ndarray
    """(bins,) share of the strokes."""
    chance: np.ndarray
    """(bins,) mean over circular shifts."""
    chance_spread: np.ndarray
    """(bins,) standard deviation over circular shifts."""


def stroke_lags(
    clips: Sequence[tuple[np.ndarray, np.ndarray, float]],
    *,
    shifts: int = NUM_SHIFTS,
    seed: int = 0,
) -> Lags | None:
    """Lags of clips, each stroke ends [s], accents [s], duration [s]; None without strokes."""
    clips = [clip for clip in clips if len(clip[0]) and len(clip[1])]
    if not clips:
        return None
    rng = np.random.default_rng(seed)
    rows: list[list[np.ndarray]] = [[] for _ in range(1 + shifts)]
    for strokes_s, accents_s, duration_s in clips:
        edge = min(EDGE_S, duration_s / 4)
        by = np.append(0.0, rng.uniform(edge, duration_s - edge, shifts))
        for row, shift in zip(rows, by, strict=True):
            row.append(nearest(strokes_s, np.sort((accents_s + shift) % duration_s)))
    lags = np.stack([np.concatenate(row) for row in rows])  # (1 + S, n)
    edges = np.linspace(-REACH_S, REACH_S, NUM_BINS + 1)
    shares = np.stack([np.histogram(row, edges)[0] for row in lags]) / lags.shape[1]
    iqr = np.subtract(*np.percentile(lags, [75, 25], axis=1))
    return Lags(
        median_s=float(np.median(lags[0])),
        iqr_s=float(iqr[0]),
        chance_iqr_s=float(iqr[1:].mean()),
        edges_s=edges,
        share=shares[0],
        chance=shares[1:].mean(axis=0),
        chance_spread=shares[1:].std(axis=0),
    )
