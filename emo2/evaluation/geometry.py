"""Geometric features of gesture: what an eye sees in a window of motion, with no network.

    vectors = geometric_features(motion, hand_model)        # (n_windows, 45)

Each feature is a length, a speed, a direction or a share, less its middle and over its unit in
the tables below. Both are chosen by design, once, and not fitted to any corpus: the unit is about
the difference between two speakers that a viewer notices (a doubling of speed, 8 cm of height, 20
degrees of a palm), so no data decides what counts, and distances stay comparable when corpora
change. Amplitudes enter as logarithms over a stated floor, because people differ by factors; the
floors lie at what trackers tremble, so hands that rest are alike whoever tracked them. The kinds of
features follow gesture statistics in use: speed, jerk and extent (Wolfert et al. 2022), palm
orientation and handshape (McNeill 1992), two-handedness and symmetry (Kita 2003).
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from emo2.evaluation.windows import FPS, at_film_rate, cut
from emo2.hands.model import HandModel
from emo2.hands.skeleton import FIRST_JOINT
from emo2.motion.rotations import angle_between
from emo2.types import NUM_HANDS, HandMotion

DOUBLE = float(np.log(2))
HAND_FEATURES: dict[str, tuple[float, float]] = {
    "place outward [m]": (0.20, 0.08),
    "place up [m]": (-0.25, 0.08),
    "place forward [m]": (0.18, 0.08),
    "log spread outward [m]": (np.log(0.02), DOUBLE),
    "log spread up [m]": (np.log(0.02), DOUBLE),
    "log spread forward [m]": (np.log(0.02), DOUBLE),
    "log median speed [m/s]": (np.log(0.10), DOUBLE),
    "log 90th percentile of speed [m/s]": (np.log(0.30), DOUBLE),
    "log mean jerk [m/s^3]": (np.log(30.0), DOUBLE),
    "share slower than 5 cm/s": (0.4, 0.3),
    "palm outward": (0.0, 0.35),
    "palm up": (0.0, 0.35),
    "palm forward": (0.0, 0.35),
    "log turning of the wrist [rad/s]": (np.log(0.8), DOUBLE),
    "extension of the fingers [palms]": (1.6, 0.15),
    "log spread of extension [palms]": (np.log(0.04), DOUBLE),
    "gap from thumb to index [palms]": (0.7, 0.2),
    "fan from index to little finger [palms]": (0.8, 0.2),
    "log speed of the fingers [palms/s]": (np.log(0.3), DOUBLE),
}
"""Per hand: middle and unit. The right hand is seen in the mirror, so "outward" fits both."""
PAIR_FEATURES: dict[str, tuple[float, float]] = {
    "log distance of the wrists [m]": (np.log(0.3), np.log(1.3)),
    "log spread of that distance [m]": (np.log(0.03), DOUBLE),
    "correlation of mirrored velocities": (0.3, 0.4),
    "absolute log ratio of the hands' speeds": (0.5, DOUBLE),
    "log speed of the wrists below 1 Hz [m/s]": (np.log(0.08), DOUBLE),
    "log speed of the wrists at 1-3 Hz [m/s]": (np.log(0.08), DOUBLE),
    "log speed of the wrists above 3 Hz [m/s]": (np.log(0.03), DOUBLE),
}
NAMES = (
    *(f"{side} {name}" for side in ("left", "right") for name in HAND_FEATURES),
    *PAIR_FEATURES,
)
"""What each number of a vector is."""
_TABLE = np.array([*[*HAND_FEATURES.values()] * NUM_HANDS, *PAIR_FEATURES.values()])
BANDS_HZ = (0.0, 1.0, 3.0, FPS / 2)
STILL_M_S = 0.05
# What is added under a logarithm: about what hands at rest show in a good track.
SPREAD_FLOOR_M = 2e-3
SPEED_FLOOR_M_S = 0.02
JERK_FLOOR_M_S3 = 3.0
TURN_FLOOR_RAD_S = 0.15
PALM_FLOOR = 5e-3
"""Palms: lengths within a hand over its own palm's, so that large hands are no outliers."""
PALM_SPEED_FLOOR = 0.05
_TIPS = slice(17, 21)
_THUMB_TIP, _INDEX_TIP, _LITTLE_TIP = 16, 17, 20
_MIRROR = np.array([[1.0, 1.0, 1.0], [-1.0, 1.0, 1.0]])


def geometric_features(motion: HandMotion, hand_model: HandModel) -> np.ndarray:
    """(n_windows, 45) float64, in units: one row per window of 64 frames, every 32 frames.

    Raises InputError for a motion shorter than one window.
    """
    motion = at_film_rate(motion)
    joints = hand_model.joints(motion).astype(np.float64) * _MIRROR[:, None]  # (T, 2, 21, 3)
    turning = np.zeros((motion.num_frames, NUM_HANDS))
    wrists = motion.quaternions[:, :, 0].astype(np.float64)
    turning[1:] = angle_between(wrists[1:], wrists[:-1]) * FPS
    windows = cut(joints)  # (n, 64, 2, 21, 3)
    hands = _of_hands(windows, cut(turning))  # (n, 2 * 19)
    values = np.concatenate([hands, _of_pair(windows[..., 0, :])], axis=1)
    return (values - _TABLE[:, 0]) / _TABLE[:, 1]


def _of_hands(joints: np.ndarray, turning: np.ndarray) -> np.ndarray:
    """Both hands' features (n, 2 * 19) from joints (n, W, 2, 21, 3) [m], x outward."""
    wrist = joints[..., 0, :]  # (n, W, 2, 3)
    speed = np.linalg.norm(np.diff(wrist, axis=1), axis=-1) * FPS
    jerk = np.linalg.norm(np.diff(wrist, n=3, axis=1), axis=-1) * FPS**3
    index, middle, little = (
        joints[..., FIRST_JOINT[finger], :] - wrist for finger in ("index", "middle", "pinky")
    )
    palm = np.cross(little, index)
    palm /= np.linalg.norm(palm, axis=-1, keepdims=True)
    length = np.linalg.norm(middle, axis=-1)  # (n, W, 2): the palm's, in every pose the same
    extension = np.linalg.norm(joints[..., _TIPS, :] - wrist[..., None, :], axis=-1)
    extension /= length[..., None]  # (n, W, 2, 4)
    opening = np.abs(np.diff(extension, axis=1)).mean(axis=(1, -1)) * FPS
    columns = [
        *np.moveaxis(wrist.mean(axis=1), -1, 0),
        *np.moveaxis(np.log(wrist.std(axis=1) + SPREAD_FLOOR_M), -1, 0),
        *np.log(np.quantile(speed, (0.5, 0.9), axis=1) + SPEED_FLOOR_M_S),
        np.log(jerk.mean(axis=1) + JERK_FLOOR_M_S3),
        (speed < STILL_M_S).mean(axis=1),
        *np.moveaxis(palm.mean(axis=1), -1, 0),
        np.log(turning.mean(axis=1) + TURN_FLOOR_RAD_S),
        extension.mean(axis=(1, -1)),
        np.log(extension.mean(axis=-1).std(axis=1) + PALM_FLOOR),
        (_gap(joints, _THUMB_TIP, _INDEX_TIP) / length).mean(axis=1),
        (_gap(joints, _INDEX_TIP, _LITTLE_TIP) / length).mean(axis=1),
        np.log(opening + PALM_SPEED_FLOOR),
    ]
    return np.stack(columns, axis=-1).reshape(len(joints), -1)  # (n, 2, 19) -> (n, 38)


def _of_pair(wrists: np.ndarray) -> np.ndarray:
    """What two wrists do together (n, 7), from places (n, W, 2, 3) [m], x outward."""
    apart = np.linalg.norm(wrists[:, :, 0] * [-1, 1, 1] - wrists[:, :, 1], axis=-1)
    velocity = np.diff(wrists, axis=1) * FPS  # (n, W - 1, 2, 3)
    size = np.linalg.norm(velocity, axis=-1).mean(axis=1) + SPEED_FLOOR_M_S
    left, right = np.moveaxis(velocity - velocity.mean(axis=1, keepdims=True), 2, 0)
    power = (left**2).sum(axis=(1, 2)) * (right**2).sum(axis=(1, 2))
    # A floor in the divisor: hands that rest are not in step with each other.
    floor = left.shape[1] * SPEED_FLOOR_M_S**2
    together = (left * right).sum(axis=(1, 2)) / (np.sqrt(power) + floor)
    columns = [
        np.log(apart.mean(axis=1) + SPEED_FLOOR_M_S),
        np.log(apart.std(axis=1) + SPREAD_FLOOR_M),
        together,
        np.abs(np.log(size[:, 0] / size[:, 1])),
        *_bands(velocity),
    ]
    return np.stack(columns, axis=1)


def _bands(velocity: np.ndarray) -> list[np.ndarray]:
    """Log of the wrists' root-mean-square speed [m/s] within each of `BANDS_HZ`, (n,) each."""
    power = np.abs(np.fft.rfft(velocity, axis=1)) ** 2  # (n, F, 2, 3)
    power[:, 1:] *= 2  # Parseval: the negative frequencies (of an odd length, no Nyquist bin)
    power = power.sum(axis=-1).mean(axis=-1) / velocity.shape[1] ** 2
    hertz = np.fft.rfftfreq(velocity.shape[1], 1 / FPS)
    parts = [
        power[:, (hertz >= low) & (hertz < high)].sum(axis=1) for low, high in pairwise(BANDS_HZ)
    ]
    return [np.log(np.sqrt(part) + SPEED_FLOOR_M_S / 2) for part in parts]


def _gap(joints: np.ndarray, a: int, b: int) -> np.ndarray:
    """Distance [m] (n, W, 2) between two joints of each hand."""
    return np.linalg.norm(joints[..., a, :] - joints[..., b, :], axis=-1)
