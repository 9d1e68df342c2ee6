"""How good a lifted motion is: reprojection error and added jitter, against the 2-D track."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from emo2.motion.lift.track import Track


@dataclass(frozen=True)
class FitQuality:
    """Measured on confident points (score above 0.5, inside the picture) of all frames."""

    error_px: float
    """Median distance of reprojected from seen points, pixels of a picture 768 high."""
    error_p90_px: float
    jerk_ratio: float
    """Mean length of the third difference over time of the reprojected points, over that of the
    seen ones; below 1 the motion is smoother than the track."""
    points: int
    """How many points were counted."""

    def facts(self) -> dict[str, float | int]:
        """JSON values."""
        return {
            "error_px": round(self.error_px, 3),
            "error_p90_px": round(self.error_p90_px, 3),
            "jerk_ratio": round(self.jerk_ratio, 3),
            "points": self.points,
        }


def fit_quality(track: Track, reprojected_px: np.ndarray) -> FitQuality:
    """Compare points (T, 2, 21, 2) of the track's picture with the track."""
    confident = track.confident
    distance = track.scale * np.linalg.norm(reprojected_px - track.hands_px, axis=-1)[confident]
    steady = confident[3:] & confident[2:-1] & confident[1:-2] & confident[:-3]
    jerk = [
        np.linalg.norm(np.diff(points, n=3, axis=0), axis=-1)[steady].sum()
        for points in (reprojected_px, track.hands_px)
    ]
    return FitQuality(
        error_px=float(np.median(distance)) if distance.size else 0.0,
        error_p90_px=float(np.quantile(distance, 0.9)) if distance.size else 0.0,
        jerk_ratio=float(jerk[0] / jerk[1]) if jerk[1] > 0 else 1.0,
        points=int(distance.size),
    )
