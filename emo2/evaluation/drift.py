"""Does the person stay the same from the first second to the last?

A film made window by window may wander off. Every second's face is held against the portrait's:
what counts is not how alike they are but whether that falls.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Drift:
    """Cosines of face embeddings; `nan` where there is less than two seconds."""

    mean: float
    """Of all seconds with the portrait: CSIM, by ArcFace."""
    first: float
    last: float
    """Of the first and the last second with the portrait."""
    per_minute: float
    """Slope of the least-squares line through the seconds; negative = the likeness falls."""

    @classmethod
    def of(
        cls, times_s: Sequence[float], embeddings: Sequence[np.ndarray], portrait: np.ndarray
    ) -> Drift:
        """Embeddings (n, d) of faces at times [s], and the portrait's (d,)."""
        if not len(embeddings) or not np.isfinite(portrait).all():
            return cls(np.nan, np.nan, np.nan, np.nan)
        faces = _unit(np.stack(embeddings).astype(np.float64))
        alike = faces @ _unit(portrait.astype(np.float64))
        seconds = np.floor(np.asarray(times_s)).astype(int)
        whole = np.unique(seconds)
        each = np.array([alike[seconds == second].mean() for second in whole])
        if len(whole) < 2:
            return cls(float(alike.mean()), float(each[0]), np.nan, np.nan)
        slope = np.polyfit(whole / 60, each, 1)[0]
        return cls(float(alike.mean()), float(each[0]), float(each[-1]), float(slope))


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)
