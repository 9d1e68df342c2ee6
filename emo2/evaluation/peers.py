"""The measures of TalkSHOW, DiffSHEG and EMAGE, each as its own code has it, under its own name.

No two of them mean the same by BA (or BC), DIV, PCK and FGD, and EMO2 has published no code: a
figure made here may be held against another made here, and against nothing that is printed in a
paper. Most of them are misled by noise (`tests/test_evaluation_peers.py` shows how); this project
judges itself by `synchrony`, `comparison` and `frechet`.

Written after a reading of yhw-yhw/TalkSHOW@9aef82d, JeremyCJM/DiffSHEG@3ebf305 and
PantoMatrix@6ca70b9. What our motion lacks is built or left out, and said so at each function: it
has hands, no body. Arms are the project's two bones from the wrist (`emo2.motion.anatomy.elbow`),
shoulders and clavicles stand still.

FGD is nowhere here, for each peer's is the Frechet distance (`fgd`) of features of a network that
only they have: `fgd` on ours is no number of theirs.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.interpolate import CubicSpline
from scipy.signal import argrelextrema

from emo2.evaluation.frechet import frechet_distance
from emo2.motion.anatomy import SHOULDER_M, elbow
from emo2.motion.rotations import to_axis_angle
from emo2.types import NUM_HANDS, HandMotion

__all__ = [
    "bc_emage",
    "bc_talkshow",
    "div_diffsheg",
    "div_talkshow",
    "fgd",
    "l1div_emage",
    "lvd_talkshow",
    "pck_diffsheg",
    "pose_vectors",
    "srgr_beat",
]

FPS = 30.0
"""Theirs: motions are resampled by cubic splines."""
STERNUM_M = 0.05
"""Where a clavicle begins beside the midline; it ends at the shoulder."""
TALKSHOW_MEAN_SPEED = (6.0181e-5, 5.1597e-5, 2.1344e-4, 2.1899e-4)
"""Of the angles between clavicle and upper arm, left and right, and of the elbows', on SHOW."""
TALKSHOW_DROP = 0.01
TALKSHOW_SIGMA_S = 0.1
EMAGE_SIGMA_S, EMAGE_ORDER, EMAGE_MASK = 0.3, 7, 0.3
EMAGE_CUT_S = 2.0
DIFFSHEG_WITHIN = 0.5
_SIDES = np.array([[1.0, 1.0, 1.0], [-1.0, 1.0, 1.0]])

fgd = frechet_distance


def bc_talkshow(motion: HandMotion, onsets_s: np.ndarray) -> float:
    """TalkSHOW's BC (`evaluation/FGD.py`): sum of exp(-d^2 / 2 sigma^2) over audio onsets and
    angles, d to the angle's nearest beat, divided by their number.

    Four angles: upper arm to clavicle and forearm to upper arm, left and right; arccos(u . v) / pi
    of bones in METRES, not of unit vectors. A beat is a strict minimum of the angle's step from
    frame to frame, over four times its mean on SHOW, with a drop of 0.01 on either side. Angles
    without beats are left out, so that arms which never move do not count. Approximate: no real
    clavicles, elbows by inverse kinematics. Fingers play no part. NaN without beats.
    """
    earned, counted = 0.0, 0
    for angle, usual in zip(_arm_angles(motion).T, TALKSHOW_MEAN_SPEED, strict=True):
        step = np.abs(np.diff(angle)) / usual / 4
        middle, before, after = step[1:-1], step[:-2], step[2:]
        lowest = (middle < before) & (middle < after)
        deep = np.maximum(before - middle, after - middle) >= TALKSHOW_DROP
        beats_s = (np.flatnonzero(lowest & deep) + 1) / FPS
        if len(beats_s) and len(onsets_s):
            earned += _earned(onsets_s, beats_s, TALKSHOW_SIGMA_S).sum()
            counted += len(onsets_s)
    return earned / counted if counted else float("nan")


def bc_emage(
    motion: HandMotion,
    onsets_s: np.ndarray,
    *,
    sigma_s: float = EMAGE_SIGMA_S,
    mask: float = EMAGE_MASK,
) -> float:
    """EMAGE's BC (`utils/metric.py`): mean over joints of the mean over audio onsets of
    exp(-d^2 / 2 sigma^2), d to the joint's nearest beat.

    A beat is a minimum of speed over 7 frames on either side where speed over its mean exceeds the
    mask: sigma 0.3 s and mask 0.3 as in the paper's time for BEAT2, 0.5 s for TalkSHOW's data, mask
    0.1 in the later tools. The first and last 2 s are dropped. Theirs are 13 joints from spine to
    wrists and the speeds of a data set; ours are the elbows and wrists, the only ones of them that
    move here, and the clip's own mean speed.
    """
    arms = _resampled(_arms(motion)[:, :, 1:].reshape(motion.num_frames, -1), motion.fps)
    points = arms.reshape(len(arms), -1, 3)
    if len(points) < 2:
        return 0.0
    speed = np.linalg.norm(np.gradient(points, axis=0), axis=-1) * FPS
    speed = speed / np.maximum(speed.mean(axis=0), 1e-12)
    last_s = len(points) / FPS - EMAGE_CUT_S
    onsets_s = onsets_s[(onsets_s > EMAGE_CUT_S) & (onsets_s < last_s)]
    scores = []
    for track in speed.T:
        (at,) = argrelextrema(track, np.less, order=EMAGE_ORDER)
        beats_s = at[track[at] > mask] / FPS
        beats_s = beats_s[(beats_s > EMAGE_CUT_S) & (beats_s < last_s)]
        some = len(beats_s) and len(onsets_s)
        scores.append(_earned(onsets_s, beats_s, sigma_s).mean() if some else 0.0)
    return float(np.mean(scores))


def div_talkshow(samples_m: np.ndarray) -> float:
    """TalkSHOW's "diverse" (`scripts/test_body.py`): variance of joint positions (B, T, J, 3) [m]
    over B samples of one audio (theirs: B = 2), norm over the coordinates, sum over joints, mean
    over time. Theirs are SMPL-X joints; the sum grows with their number."""
    spread = np.linalg.norm(np.var(samples_m, axis=0, ddof=1), axis=-1)  # (T, J)
    return float(spread.sum(axis=-1).mean())


def div_diffsheg(poses: np.ndarray) -> float:
    """DiffSHEG's DIV: mean over pairs of the mean |x_i - x_j| of poses (B, T, D), z-scored
    axis-angle vectors of B (theirs: 50) DIFFERENT clips, not of samples of one audio."""
    count = len(poses)
    total = sum(
        np.abs(poses[a] - poses[b]).mean() for a in range(count) for b in range(a + 1, count)
    )
    return float(2 * total / (count * (count - 1)))


def l1div_emage(positions_m: np.ndarray) -> float:
    """EMAGE's L1div: the sum over joints and coordinates of |x - mean over time|, mean over time,
    of one clip's positions (T, J, 3) [m]. It is how far a clip spreads out, not how samples
    differ."""
    return float(np.abs(positions_m - positions_m.mean(axis=0)).sum() / len(positions_m))


def pck_diffsheg(poses: np.ndarray, reference: np.ndarray) -> float:
    """DiffSHEG's PCK: the share of SCALARS of z-scored axis-angle poses (T, D) within 0.5 of the
    reference. No keypoints; the mean pose does well."""
    return float((np.abs(poses - reference) < DIFFSHEG_WITHIN).mean())


def lvd_talkshow(positions_m: np.ndarray, reference_m: np.ndarray) -> float:
    """TalkSHOW's LVD (`evaluation/metrics.py`): the difference of joint speeds [m a frame], summed
    over joints, mean over time; positions (T, J, 3)."""
    speed, wanted = (
        np.linalg.norm(np.diff(points, axis=0), axis=-1) for points in (positions_m, reference_m)
    )
    return float(np.abs(speed - wanted).sum(axis=-1).mean())


def srgr_beat(
    positions_m: np.ndarray,
    reference_m: np.ndarray,
    relevance: np.ndarray,
    *,
    within_m: float = 0.1,
    order: int = 2,
) -> float:
    """BEAT's SRGR, which EMAGE kept: the share of joints (T, J, 3) within 0.1 m of the reference
    (0.3 in a later file), each frame weighed by its semantic relevance (T,), which annotators gave.
    Distance is Euclidean in one of their files (`order` 2) and the sum of absolute differences
    (`order` 1) in the other."""
    apart = np.linalg.norm(positions_m - reference_m, ord=order, axis=-1)
    return float(((apart < within_m) * relevance[:, None]).mean())


def pose_vectors(motion: HandMotion) -> np.ndarray:
    """(T', 96) axis-angle [rad] of both hands' 16 joints at their 30 frames a second: what the
    measures in pose space are fed with here. Z-scores are the caller's to make, with the mean and
    deviation of real motion."""
    turns = to_axis_angle(motion.quaternions).reshape(motion.num_frames, -1)
    return _resampled(turns, motion.fps)


def _arms(motion: HandMotion) -> np.ndarray:
    """(T, 2, 3, 3): shoulder, elbow and wrist of either side [m]."""
    out = np.empty((motion.num_frames, NUM_HANDS, 3, 3))
    for hand, side in enumerate(_SIDES):
        wrist = motion.translation_m[:, hand].astype(np.float64)
        out[:, hand] = np.stack(
            [np.broadcast_to(SHOULDER_M * side, wrist.shape), elbow(wrist * side) * side, wrist],
            axis=1,
        )
    return out


def _arm_angles(motion: HandMotion) -> np.ndarray:
    """(T', 4) at 30 frames a second: clavicle left and right, elbow left and right; shares of
    pi."""
    places = _resampled(_arms(motion).reshape(motion.num_frames, -1), motion.fps)
    arms = places.reshape(-1, NUM_HANDS, 3, 3)
    upper, lower = arms[:, :, 1] - arms[:, :, 0], arms[:, :, 2] - arms[:, :, 1]
    clavicle = (SHOULDER_M - [STERNUM_M, 0, 0]) * _SIDES
    dots = np.concatenate([(upper * clavicle).sum(-1), (lower * upper).sum(-1)], axis=1)
    return np.arccos(np.clip(dots, -1, 1)) / np.pi


def _resampled(values: np.ndarray, fps: float) -> np.ndarray:
    """(T, D) at `fps` as (T', D) at 30 frames a second."""
    if fps == FPS or len(values) < 2:
        return np.asarray(values, np.float64)
    times = np.arange(len(values)) / fps
    return CubicSpline(times, values)(np.arange(0, times[-1] + 1e-9, 1 / FPS))


def _earned(onsets_s: Sequence[float] | np.ndarray, beats_s: np.ndarray, sigma_s: float):
    """exp(-d^2 / 2 sigma^2) of each onset (n,), d to the nearest beat."""
    apart = np.abs(np.asarray(onsets_s)[:, None] - beats_s).min(axis=1)
    return np.exp(-0.5 * (apart / sigma_s) ** 2)
