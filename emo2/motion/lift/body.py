"""The body that a track's hands belong to: how its frame lies in the picture, and how far in front
of it the arms hold the hands.

One picture does not show depth. But bones have their lengths: a forearm that looks short points at
the camera, and with the upper arm it tells where the wrist can be.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter1d

from emo2.errors import InputError
from emo2.motion.anatomy import FOREARM_M, SHOULDER_M, UPPER_ARM_M
from emo2.motion.lift.bones import MIRROR
from emo2.motion.lift.track import Track
from emo2.types import NUM_HANDS, REFERENCE_SHOULDER_BREADTH_M, Camera

CONFIDENT = 0.3
SHOULDERS, ELBOWS = (5, 2), (6, 3)
"""Left and right, in OpenPose's body order."""
PALM_M = 0.0934
"""From the wrist to the middle finger's knuckle of the reference hand."""
NEAR_HAND = 1.08
"""By how much hands in front of a body look larger than in the plane of its shoulders."""
WRIST_M = np.array([0.15, -0.30, 0.20])
"""Where a speaker's left wrist is on the whole."""
TURNED_AWAY = 0.6
"""Shoulders that ask for less than this share of the hands' scale are not seen from the front."""
SWAY = 0.15
"""A body whose shoulders leave their middle place by more than this share of their breadth walks
about: then hands are counted from where it is, else from where it is on the whole."""
WALK_SMOOTHING_S = 0.5
DEPTH_SMOOTHING_S = 0.35
DEPTHS_M, DEPTH_STD_M = np.linspace(0.0, 0.48, 25), 0.10
ELBOW_DEPTHS_M, ELBOW_MEAN_M, ELBOW_STD_M = np.linspace(-0.26, 0.26, 27), -0.02, 0.10
BONE_STD_M = 0.025
"""How much a person's arm bones differ from the reference body's, at equal shoulders."""
LEAST_DEPTH_STD_M = 0.03
BATCH = 512


@dataclass(frozen=True)
class BodyView:
    """How the body frame lies in the picture of a track."""

    camera: Camera
    """The body on the whole."""
    origin_px: np.ndarray
    """(T, 2): the middle of the shoulders; the camera's own unless the person walks about."""
    notes: tuple[str, ...]
    """What was guessed."""

    @property
    def follows(self) -> bool:
        """Whether hands are counted from a body that walks about."""
        return bool(np.ptp(self.origin_px, axis=0).max() > 0)

    def relative(self, points_px: np.ndarray, scale: float) -> np.ndarray:
        """Picture points (T, ..., 2) as seen from the body: y up, times `scale`."""
        origin = self.origin_px.reshape(len(points_px), *[1] * (points_px.ndim - 2), 2)
        return (points_px - origin) * (scale, -scale)


def view_body(track: Track, weights: np.ndarray) -> BodyView:
    """The camera of a track: from its shoulders, or from its hands' size where there are none.

    Raises `InputError` where there is neither.
    """
    middle = track.body_px[:, SHOULDERS].mean(axis=1)
    seen = (track.body_score[:, SHOULDERS] > CONFIDENT).all(-1)
    by_hands = _scale_by_hands(track, weights)
    if by_hands is None:
        raise InputError(
            "motion",
            "must show a hand in some frames",
            f"{track.num_frames} frames without confident hand points",
            "Detect the person again, or lower the detector's threshold.",
        )
    if seen.sum() < max(1, 0.1 * track.num_frames):
        origin = _origin_by_hands(track, weights, by_hands)
        camera = _camera(track, origin, by_hands)
        note = "no shoulders in the file: the body was guessed from the hands"
        return BodyView(camera, np.tile(origin, (track.num_frames, 1)), (note,))
    notes = []
    across = np.diff(track.body_px[seen][:, SHOULDERS], axis=1)[:, 0]
    scale = float(np.median(np.linalg.norm(across, axis=-1))) / REFERENCE_SHOULDER_BREADTH_M
    if scale < TURNED_AWAY * by_hands:
        notes.append("shoulders not seen from the front: the scale is that of the hands")
        scale = by_hands
    origin = np.median(middle[seen], axis=0)
    path = np.tile(origin, (track.num_frames, 1))
    wander = np.linalg.norm(middle[seen] - origin, axis=-1)
    if np.quantile(wander, 0.9) > SWAY * scale * REFERENCE_SHOULDER_BREADTH_M:
        notes.append("the person's way through the picture: hands are counted from the body")
        frames = np.arange(track.num_frames)
        path = np.stack([np.interp(frames, frames[seen], middle[seen, k]) for k in (0, 1)], -1)
        path = gaussian_filter1d(path, WALK_SMOOTHING_S * track.fps, axis=0, mode="nearest")
    return BodyView(_camera(track, origin, scale), path, tuple(notes))


def depth_by_arm(track: Track, view: BodyView, hand: int) -> tuple[np.ndarray, np.ndarray]:
    """How far in front of the shoulders (T,) [m] the arm can hold this wrist, and how sure that is
    (T,) [m]: the mean and spread over all depths of elbow and wrist, weighed by how well they fit
    the bones."""
    side = MIRROR**hand
    metres = view.relative(track.body_px[:, ELBOWS[hand]], 1 / view.camera.pixels_per_metre)
    elbow = metres * side[:2]
    metres = view.relative(track.hands_px[:, hand, 0], 1 / view.camera.pixels_per_metre)
    wrist = metres * side[:2]
    seen = track.body_score[:, ELBOWS[hand]] > CONFIDENT
    known = track.hands_score[:, hand, 0] > CONFIDENT
    upper_m, lower_m = _bones(elbow, wrist, seen & known)
    mean, spread = np.empty(track.num_frames), np.empty(track.num_frames)
    for first in range(0, track.num_frames, BATCH):
        part = slice(first, first + BATCH)
        mean[part], spread[part] = _depths(
            elbow[part], wrist[part], (seen & known)[part], (upper_m, lower_m), view.camera
        )
    return gaussian_filter1d(mean, DEPTH_SMOOTHING_S * track.fps, mode="nearest"), spread


def _depths(
    elbow: np.ndarray,
    wrist: np.ndarray,
    seen: np.ndarray,
    bones_m: tuple[float, float],
    camera: Camera,
) -> tuple[np.ndarray, np.ndarray]:
    """Mean and spread (N,) [m] of the wrist's depth; elbow, wrist (N, 2) metres as they look."""
    elbow_z, wrist_z = ELBOW_DEPTHS_M[:, None], DEPTHS_M
    cost = ((wrist_z - WRIST_M[2]) / DEPTH_STD_M) ** 2
    cost = cost + ((elbow_z - ELBOW_MEAN_M) / ELBOW_STD_M) ** 2  # (E, W)
    # What is nearer than the shoulders is smaller than it looks.
    elbow_xy = elbow[:, None, None] * (1 - elbow_z / camera.distance_m)[..., None]
    wrist_xy = wrist[:, None, None] * (1 - wrist_z / camera.distance_m)[..., None]
    across = ((elbow_xy - SHOULDER_M[:2]) ** 2).sum(-1)
    upper = np.sqrt(across + elbow_z**2)
    lower = np.sqrt(((elbow_xy - wrist_xy) ** 2).sum(-1) + (elbow_z - wrist_z) ** 2)
    bones = ((upper - bones_m[0]) ** 2 + (lower - bones_m[1]) ** 2) / BONE_STD_M**2
    cost = cost + np.where(seen[:, None, None], bones, 0.0)
    share = np.exp(-0.5 * (cost - cost.min(axis=(1, 2), keepdims=True))).sum(axis=1)
    share /= share.sum(axis=-1, keepdims=True)
    mean = share @ DEPTHS_M
    return mean, np.sqrt(np.maximum(share @ DEPTHS_M**2 - mean**2, LEAST_DEPTH_STD_M**2))


def _bones(elbow: np.ndarray, wrist: np.ndarray, seen: np.ndarray) -> tuple[float, float]:
    """Lengths [m] of the upper arm and forearm: the reference body's, or as long as they were
    seen."""
    if not seen.any():
        return UPPER_ARM_M, FOREARM_M
    upper = np.quantile(np.linalg.norm(elbow[seen] - SHOULDER_M[:2], axis=-1), 0.9)
    lower = np.quantile(np.linalg.norm(elbow[seen] - wrist[seen], axis=-1), 0.9)
    return max(UPPER_ARM_M, float(upper)), max(FOREARM_M, 0.95 * float(lower))


def _scale_by_hands(track: Track, weights: np.ndarray) -> float | None:
    """Pixels per metre from the palms that are seen at full length; None without hands."""
    palm = np.linalg.norm(track.hands_px[:, :, 9] - track.hands_px[:, :, 0], axis=-1)
    seen = (weights[:, :, 9] > 0) & (weights[:, :, 0] > 0)
    return float(np.quantile(palm[seen], 0.9)) / (PALM_M * NEAR_HAND) if seen.any() else None


def _origin_by_hands(track: Track, weights: np.ndarray, scale: float) -> np.ndarray:
    """(2,) pixels: the middle of the shoulders above these hands."""
    guesses = []
    for hand in range(NUM_HANDS):
        seen = weights[:, hand, 0] > 0
        if seen.any():
            wrist = np.median(track.hands_px[seen, hand, 0], axis=0)
            guesses.append(wrist - scale * NEAR_HAND * (WRIST_M * MIRROR**hand)[:2] * (1, -1))
    return np.mean(guesses, axis=0)


def _camera(track: Track, origin: np.ndarray, scale: float) -> Camera:
    place = (float(origin[0]), float(origin[1]))
    return Camera(place, scale, round(track.width_px), round(track.height_px))
