"""MANO tracks of a video (HaMeR, WiLoR and their kind) become a `HandMotion`.

What such a track lacks, and what is done about it: it knows the camera but no body, so the person
is taken to face the camera, and the hands are put before an average chest; its depth is nominal (a
made-up focal length), so depth is brought to a speaker's scale; it looks at every frame by itself,
so the wrist's path is smoothed a little (rotations are kept as they are); it misses frames, which
are filled; it may see several people, of whom one is followed. The report says all of it.

Left hands reach these networks as mirrored crops, so their rotations are those of a right hand;
some tools turn them back before saving. Fingers bend one way only: about +z on a right hand and
about -z on a left one, in MANO's frame. So the file itself shows which it is.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from scipy.ndimage import gaussian_filter1d

from emo2.hands.shapes import handshape
from emo2.hands.skeleton import LEFT, RIGHT, WRIST
from emo2.motion.anatomy import MAX_REACH_M, SHOULDER_M, neutral_wrist
from emo2.motion.formats.arrays import names_in
from emo2.motion.formats.mano_detections import SUFFIXES, Detections, read_detections
from emo2.motion.formats.mano_person import one_person
from emo2.motion.formats.mano_rows import NESTED
from emo2.motion.formats.report import Context, Imported, ImportReport
from emo2.motion.formats.smplx_bodies import mano_pair
from emo2.motion.rotations import continuous, mirror, multiply, slerp, to_axis_angle
from emo2.types import (
    NUM_BETAS,
    NUM_HANDS,
    NUM_JOINTS,
    REFERENCE_SHOULDER_BREADTH_M,
    HandMotion,
)

ASSUMED_FPS = 30.0
NOMINAL_TO_REAL_DEPTH = 1.1 / (5000 / 256)
"""HaMeR and WiLoR suppose a focal length of 5000 / 256 picture sides; cameras have about 1.1."""
CROPS_APART_M = 0.05
"""Two hands nearer than this, over a whole clip, were each placed in the middle of a crop."""
METRIC_DEPTH_M = 4.0
"""Nearer than this a depth is taken as it is."""
CENTRE_M = np.array([0.0, -0.22, 0.28])
"""Where both of a speaker's wrists are on average."""
REST_M = np.array([0.17, -0.40, 0.20])
"""The left wrist of a hand that is never seen."""
SMOOTH_S = 0.04
SMOOTH_DEPTH_S = 0.15
"""Standard deviations of the smoothing of the wrist's path, across the view and along it."""
SHORT_GAP_S = 0.25
FLEXION_RAD = 0.05
"""Fingers bend by more than this on average, but for hands held flat."""
DEPTH_RANGE_M = 0.2
"""Hands are held within this of a speaker's usual distance from the chest."""
_MIRROR = np.array([-1.0, 1.0, 1.0])
_Y_UP = np.array([0.0, 1.0, 0.0, 0.0])
"""Half a turn about x: from y down, z away to y up, z towards the viewer."""


def recognise(path: Path) -> bool:
    """Folders and archives with MANO parameters; any pickle, for the reader to complain about."""
    if path.is_dir():
        return any(file.suffix.lower() in SUFFIXES for file in path.iterdir())
    if path.suffix.lower() == ".npz":
        return bool({"hand_pose", "global_orient", *NESTED} & names_in(path))
    return True


def read(path: Path, context: Context) -> Imported:
    """The registry's reader."""
    found = read_detections(path)
    fps = found.fps or ASSUMED_FPS
    right, quaternions = found.right, found.quaternions.copy()
    mirrored = _left_is_mirrored(quaternions[~right])
    if mirrored:
        quaternions[~right] = mirror(quaternions[~right])
    quaternions[:, 0] = multiply(_Y_UP, quaternions[:, 0])
    places = _camera_places(found)
    chosen, others = one_person(found.frame, right, quaternions, places, fps)
    turns, wrists, visible, gaps = _over_time(found, quaternions, places, chosen, fps)
    betas = np.stack([_median_betas(found, rows) for rows in chosen])
    keeps_betas = _is_mano(context)

    lost = ["the body: an average one, facing the camera, was put behind the hands"]
    if places is None:
        lost.append("where the hands are: the file does not say; they stay before the chest")
    else:
        lost.append("depth: nominal in such tracks, brought to a speaker's distance")
        lost.append(f"jitter of the wrist's path: smoothed over {SMOOTH_S:g} s; turns are as found")
    lost += gaps
    if others:
        lost.append(f"{others} hands of other people or places: the longest track was followed")
    if not keeps_betas:
        lost.append("hand shape: MANO's betas mean nothing to the free hand; they are in meta")
    if not found.numbered and right.any() and not right.all():
        lost.append("frame numbers: the n-th left and the n-th right hand were paired")
    convention = "camera frame, y down, turned to y up; fingers count from the flat hand"
    if not right.all():
        how = "those of mirrored crops, turned back" if mirrored else "left hands already"
        convention += f"; left hands were {how}"
    if found.fps is None:
        convention += f"; no frame rate in the file, {ASSUMED_FPS:g} assumed"
    motion = HandMotion(
        quaternions=turns,
        translation_m=wrists,
        visible=visible,
        betas=betas if keeps_betas else np.zeros_like(betas),
        fps=fps,
        meta={
            "source": path.name,
            "format": "mano",
            "mano_betas": betas.round(5).tolist(),
            "shoulder_breadth_m": REFERENCE_SHOULDER_BREADTH_M,
        },
    )
    return Imported(motion, ImportReport("mano", fps, convention, tuple(lost)))


def _left_is_mirrored(left: np.ndarray) -> bool:
    """Do left hands (N, 16, 4) bend their fingers like right ones? Flat hands: as the networks say
    it, yes."""
    if not len(left):
        return False
    bend = to_axis_angle(left[:, 1:13])[..., 2].mean()  # joints 13 to 15: the thumb, other axes
    return bool(bend > -FLEXION_RAD)


def _camera_places(found: Detections) -> np.ndarray | None:
    """Wrists (N, 3), x right, y up, z towards the camera [m], depth at a real camera's scale; None
    where the file has no places, or those of each crop's own camera."""
    if found.places is None:
        return None
    across = [found.places[found.right == side, :2] for side in (False, True)]
    if found.from_crops and all(map(len, across)):
        apart = np.linalg.norm(np.median(across[0], axis=0) - np.median(across[1], axis=0))
        if apart < CROPS_APART_M:
            return None
    # The translation moves the whole hand, whose wrist is not its origin and stays where it is.
    places = found.places + np.where(found.right[:, None], WRIST, WRIST * _MIRROR)
    if np.median(places[:, 2]) > METRIC_DEPTH_M:
        places[:, 2] *= NOMINAL_TO_REAL_DEPTH
    return places * np.array([1.0, -1.0, -1.0])


def _over_time(
    found: Detections,
    quaternions: np.ndarray,
    places: np.ndarray | None,
    chosen: list[np.ndarray],
    fps: float,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[str]]:
    """Both hands at every frame: rotations (T, 2, 16, 4), wrists (T, 2, 3) in the body frame,
    visible (T, 2), and what was filled, for people."""
    count = found.num_frames
    turns = np.zeros((count, NUM_HANDS, NUM_JOINTS, 4))
    wrists = np.zeros((count, NUM_HANDS, 3))
    visible = np.zeros((count, NUM_HANDS), bool)
    said = []
    for hand, side in enumerate(("left", "right")):
        rows = chosen[hand]
        if not len(rows):
            turns[:, hand] = handshape("relaxed", hand)
            at_rest = neutral_wrist(REST_M)
            turns[:, hand, 0] = mirror(at_rest) if hand == RIGHT else at_rest
            said.append(f"the {side} hand: not in the file; it rests, hidden")
            continue
        frame = found.frame[rows]
        before, after, share = _neighbours(frame, count)
        turns[:, hand] = slerp(quaternions[rows[before]], quaternions[rows[after]], share[:, None])
        turns[frame, hand] = quaternions[rows]
        if places is not None:
            at = places[rows]
            wrists[:, hand] = at[before] + share[:, None] * (at[after] - at[before])
        missing = ~np.isin(np.arange(count), frame)
        short = (before != after) & (frame[after] - frame[before] - 1 <= SHORT_GAP_S * fps)
        visible[:, hand] = ~missing | short
        for frames, how in (
            (missing & short, "bridged"),
            (missing & ~short, "hidden"),
        ):
            if frames.any():
                said.append(f"{frames.sum()} frames without a {side} hand: {how}")
    wrists = _before_a_chest(wrists, [len(rows) > 0 for rows in chosen], places is not None, fps)
    return continuous(turns), wrists, visible, said


def _neighbours(frame: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For every time 0..count-1 the entries of `frame` (rising) before and after it, and how far it
    is from the one to the other, 0..1; the first and last entry hold beyond the ends."""
    time = np.arange(count)
    before = np.clip(np.searchsorted(frame, time, side="right") - 1, 0, len(frame) - 1)
    after = np.clip(np.searchsorted(frame, time), 0, len(frame) - 1)
    span = np.maximum(frame[after] - frame[before], 1)
    return before, after, np.clip((time - frame[before]) / span, 0.0, 1.0)


def _before_a_chest(
    wrists: np.ndarray, present: list[bool], placed: bool, fps: float
) -> np.ndarray:
    """Camera places (T, 2, 3) to the body frame: smoothed, centred on a speaker's wrists, shrunk
    until arms reach them."""
    sides = np.stack([SHOULDER_M, SHOULDER_M * _MIRROR])
    resting = np.stack([REST_M, REST_M * _MIRROR])
    middle = CENTRE_M + sides * np.array([1.0, 0.0, 0.0])
    if not placed:
        return np.broadcast_to(np.where(np.array(present)[:, None], middle, resting), wrists.shape)
    for axis, seconds in enumerate((SMOOTH_S, SMOOTH_S, SMOOTH_DEPTH_S)):
        wrists[..., axis] = gaussian_filter1d(
            wrists[..., axis], seconds * fps, axis=0, mode="nearest"
        )
    here = [hand for hand in (LEFT, RIGHT) if present[hand]]
    medians = np.median(wrists[:, here], axis=0)
    centre = medians.mean(axis=0)
    if len(here) == 1:
        centre = centre - sides[here[0]] * np.array([1.0, 0.0, 0.0])
    away = wrists - centre
    away[..., 2] = DEPTH_RANGE_M * np.tanh(away[..., 2] / DEPTH_RANGE_M)
    for scale in np.linspace(1.0, 0.4, 31):
        reach = CENTRE_M + scale * away - sides
        length = np.linalg.norm(reach[:, here], axis=-1)
        if np.quantile(length, 0.98) <= MAX_REACH_M:
            break
    length = np.linalg.norm(reach, axis=-1, keepdims=True)
    wrists = sides + reach * np.minimum(1.0, MAX_REACH_M / np.maximum(length, 1e-9))
    return np.where(np.array(present)[:, None], wrists, resting)


def _median_betas(found: Detections, rows: np.ndarray) -> np.ndarray:
    """(10,) of the frames of one hand."""
    return np.median(found.betas[rows], axis=0) if len(rows) else np.zeros(NUM_BETAS)


def _is_mano(context: Context) -> bool:
    """Will MANO's own hands draw this motion?"""
    if context.hand_model is not None:
        return context.hand_model.is_mano
    return mano_pair(context) is not None
