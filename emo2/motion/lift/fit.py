"""A 2-D track becomes a motion: the hand model is fitted to the points over time.

    track -> believed points -> body view -> hand size -> frames for themselves -> all together

The body stands still unless the person walks about: then hands are counted from where it is.
Distances count in pixels of a picture whose smaller side is 768.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from scipy.ndimage import binary_closing, binary_opening
from threadpoolctl import threadpool_limits

from emo2.hands.limits import clamp_angles
from emo2.hands.shapes import finger_quaternions
from emo2.motion.lift.body import WRIST_M, BodyView, depth_by_arm, view_body
from emo2.motion.lift.bones import MIRROR, NUM_ANGLES, Bones, hand_points
from emo2.motion.lift.frames import fit_frames
from emo2.motion.lift.measure import FitQuality, fit_quality
from emo2.motion.lift.size import fit_betas
from emo2.motion.lift.smooth import smooth
from emo2.motion.lift.terms import Pose, Sight, bounded, joined, unbounded
from emo2.motion.lift.track import Track
from emo2.motion.rotations import continuous, from_matrix, mirror, normalise, slerp, to_matrix
from emo2.types import NUM_HANDS, REFERENCE_SHOULDER_BREADTH_M, Camera, HandMotion

if TYPE_CHECKING:
    from emo2.hands.model import HandModel

FRAME_NOISE_PX = 2.0
TOLERANCE = 3.5
LEAST_NOISE_PX, MOST_NOISE_PX = 0.12, 6.0
LEAST_OUTLIER_PX = 6.0
"""However clean a track is, no point that is nearer is taken for a mistake."""
ROUNDS, ROUND_STEPS = 3, 8
CHUNK_FRAMES, OVERLAP_FRAMES = 360, 60
BRIDGED_S = 0.25
"""A hand that is not seen for longer is not visible."""
INSIDE_SHARE = 0.25
"""A hand with less of itself in the picture is not visible."""


@dataclass(frozen=True)
class Lifted:
    """A track as a motion."""

    motion: HandMotion
    quality: FitQuality
    view: BodyView
    reprojected_px: np.ndarray
    """(T, 2, 21, 2) in the track's picture."""


def lift(
    track: Track, hand_model: HandModel | None = None, *, camera: Camera | None = None
) -> Lifted:
    """Fit both hands over the whole track, at its own frame rate; `hand_model` gives the bones (the
    free hand's anatomy where it is None), `camera` how the body lies in the picture (measured on
    the track where it is None). Raises `InputError` where no hand is seen."""
    # Many small systems: more threads than one only wait for each other.
    with threadpool_limits(limits=1, user_api="blas"):
        return _lift(track, hand_model, camera)


def _lift(track: Track, hand_model: HandModel | None, camera: Camera | None) -> Lifted:
    weights = track.weights()
    if camera is None:
        view = view_body(track, weights)
    else:
        view = BodyView(camera, np.tile(camera.origin_px, (track.num_frames, 1)), ())
    sights = tuple(_sight(track, view, weights, hand) for hand in range(NUM_HANDS))
    bones = Bones.of(hand_model)
    betas = np.stack([fit_betas(sights, bones, FRAME_NOISE_PX, TOLERANCE)] * NUM_HANDS)
    rest = bones.shaped(betas)
    poses = [_fit_hand(sights[hand], rest[hand : hand + 1], track.fps) for hand in range(NUM_HANDS)]
    return _assemble(track, view, weights, bones, betas, poses)


def _sight(track: Track, view: BodyView, weights: np.ndarray, hand: int) -> Sight:
    depth, spread = depth_by_arm(track, view, hand)
    return Sight(
        points_px=view.relative(track.hands_px[:, hand], track.scale) * MIRROR[:2] ** hand,
        weight=weights[:, hand],
        depth_m=depth,
        depth_std_m=spread,
        pixels_per_metre=view.camera.pixels_per_metre * track.scale,
        distance_m=view.camera.distance_m,
    )


def _fit_hand(sight: Sight, rest_m: np.ndarray, fps: float) -> Pose:
    frames = np.flatnonzero(sight.weight.any(-1))
    count = len(sight.weight)
    if len(frames) == 0:
        return _resting(count)
    path = fit_frames(sight[frames], rest_m, FRAME_NOISE_PX, TOLERANCE)
    pose = _bridge(path, frames, count)
    noise_px = _noise(sight)
    step = CHUNK_FRAMES - OVERLAP_FRAMES
    out = None
    for first in range(0, max(1, count - OVERLAP_FRAMES), step):
        span = slice(first, min(first + CHUNK_FRAMES, count))
        part = _fit_chunk(sight[span], pose[span], rest_m, fps, noise_px)
        out = part if out is None else _faded(out, part, len(out.free) - first)
    return out


def _fit_chunk(sight: Sight, pose: Pose, rest_m: np.ndarray, fps: float, noise_px: float) -> Pose:
    seen = sight.weight > 0
    if not seen.any():
        return pose
    own, tolerance = max(noise_px, 1.0), 2 * TOLERANCE
    for _ in range(ROUNDS):
        pose, now = smooth(sight, pose, rest_m, fps, own, tolerance, ROUND_STEPS)
        # What is left over tells how far the points can be believed: a track made from a motion
        # fits to a tenth of a pixel, a detector's to a few.
        left = float(np.median(now.error_px[seen])) / 1.18
        own = float(np.clip(max(noise_px, left), LEAST_NOISE_PX, MOST_NOISE_PX))
        tolerance = max(TOLERANCE, LEAST_OUTLIER_PX / own)
    return pose


def _noise(sight: Sight) -> float:
    """Standard deviation [px] of what trembles faster than hands: from third differences."""
    seen = sight.weight > 0
    steady = seen[3:] & seen[2:-1] & seen[1:-2] & seen[:-3]
    if steady.sum() < 30:
        return 1.0
    third = np.abs(np.diff(sight.points_px, n=3, axis=0))[steady]
    return float(np.median(third)) / 0.6745 / np.sqrt(20.0)


def _resting(count: int) -> Pose:
    return Pose(
        np.tile(WRIST_M, (count, 1)),
        np.tile(np.eye(3), (count, 1, 1)),
        np.tile(unbounded(np.zeros(NUM_ANGLES)), (count, 1)),
    )


def _bridge(path: Pose, frames: np.ndarray, count: int) -> Pose:
    """Poses of `frames` filled up to all frames, straight from one to the next."""
    every = np.arange(count)
    after = np.clip(np.searchsorted(frames, every), 0, len(frames) - 1)
    before = np.maximum(np.where(frames[after] > every, after - 1, after), 0)
    length = np.maximum(frames[after] - frames[before], 1)
    share = np.clip((every - frames[before]) / length, 0.0, 1.0)
    share = np.where(before == after, 0.0, share)
    return _mixed(path[before], path[after], share)


def _faded(first: Pose, second: Pose, overlap: int) -> Pose:
    """Two stretches that share `overlap` frames, faded from one into the other."""
    share = np.linspace(0.0, 1.0, overlap)
    share = share**2 * (3 - 2 * share)
    middle = _mixed(first[-overlap:], second[:overlap], share)
    return joined((first[:-overlap], middle, second[overlap:]))


def _mixed(a: Pose, b: Pose, share: np.ndarray) -> Pose:
    weight = share[:, None]
    turn = slerp(from_matrix(a.turn), from_matrix(b.turn), share)
    return Pose(
        (1 - weight) * a.place_m + weight * b.place_m,
        to_matrix(turn),
        (1 - weight) * a.free + weight * b.free,
    )


def _assemble(
    track: Track,
    view: BodyView,
    weights: np.ndarray,
    bones: Bones,
    betas: np.ndarray,
    poses: list[Pose],
) -> Lifted:
    count = track.num_frames
    quaternions = np.zeros((count, NUM_HANDS, 16, 4))
    places = np.zeros((count, NUM_HANDS, 3))
    for hand, pose in enumerate(poses):
        degrees = clamp_angles(np.rad2deg(bounded(pose.free)[0]).reshape(count, 5, 5))
        quaternions[:, hand] = finger_quaternions(degrees, hand)
        wrist = from_matrix(pose.turn)
        quaternions[:, hand, 0] = mirror(wrist) if hand else wrist
        places[:, hand] = pose.place_m * MIRROR**hand
    motion = HandMotion(
        quaternions=continuous(normalise(quaternions)),
        translation_m=places,
        visible=np.ones((count, NUM_HANDS), dtype=bool),
        betas=betas,
        fps=track.fps,
    )
    walked = (view.origin_px - view.camera.origin_px)[:, None, None]
    pixels = view.camera.project(hand_points(bones, motion, slice(None))) + walked
    visible = _visible(track, weights.any(-1), pixels)
    quality = fit_quality(track, pixels)
    meta = {
        "shoulder_breadth_m": REFERENCE_SHOULDER_BREADTH_M,
        "camera": asdict(view.camera),
        "lift": quality.facts(),
    }
    motion = replace(motion, visible=visible, meta=meta)
    return Lifted(motion, quality, view, pixels)


def _visible(track: Track, seen: np.ndarray, pixels: np.ndarray) -> np.ndarray:
    """(T, 2) bool: hands that are seen, or lost for no longer than a moment, and in the picture."""
    inside = ((pixels > 0) & (pixels < (track.width_px, track.height_px))).all(-1).mean(-1)
    visible = np.zeros_like(seen)
    reach = max(1, round(BRIDGED_S * track.fps))
    for hand in range(NUM_HANDS):
        padded = np.pad(seen[:, hand] & (inside[:, hand] > INSIDE_SHARE), reach, mode="edge")
        steady = binary_closing(padded, np.ones(reach + 1))
        steady = binary_opening(steady, np.ones(3))
        visible[:, hand] = steady[reach:-reach]
    return visible
