"""From the network's channels to hands: calmed, within an arm's limits, in pieces of any size.

The filter takes out what a small network adds, a tremble of millimetres that real hands at rest do
not have. It looks `calm_reach` frames to either side and no further, so a long track can be
finished piece by piece and comes out as if it were finished at once, to the bit.
"""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter1d, maximum_filter1d

from emo2.motion.anatomy import limit
from emo2.motion.rotations import continuous
from emo2.stage1.motion_dit import MotionDiT
from emo2.types import NUM_HANDS, NUM_JOINTS

LIGHT_SMOOTHING_S = 0.02
STRONG_SMOOTHING_S = 0.30
SPEED_SMOOTHING_S, MIXING_SMOOTHING_S = 0.08, 0.06
REST_SPEED_M_S, MOVING_SPEED_M_S = 0.025, 0.10
REST_S = 0.5
TRUNCATE = 4.0
"""Standard deviations at which Gaussians end."""


def calm(track: np.ndarray, place_m: np.ndarray, fps: float) -> np.ndarray:
    """Smooth a hand (T, C): lightly while its place (T, 3) moves, strongly while it rests."""
    if len(track) < 3:
        return track
    light = _gaussian(track, LIGHT_SMOOTHING_S * fps)
    strong = _gaussian(track, STRONG_SMOOTHING_S * fps)
    steady = _gaussian(place_m, SPEED_SMOOTHING_S * fps)
    speed = np.linalg.norm(np.gradient(steady, axis=0), axis=-1) * fps
    # A hand that turns is slow for a moment, too: only what lasts is a rest.
    speed = maximum_filter1d(speed, round(REST_S * fps), mode="nearest")
    moving = np.clip((speed - REST_SPEED_M_S) / (MOVING_SPEED_M_S - REST_SPEED_M_S), 0, 1)
    moving = _gaussian(moving**2 * (3 - 2 * moving), MIXING_SMOOTHING_S * fps)[:, None]
    return light * moving + strong * (1 - moving)


def calm_reach(fps: float) -> int:
    """Frames to either side on which a calmed frame depends."""
    chain = [_radius(s * fps) for s in (SPEED_SMOOTHING_S, MIXING_SMOOTHING_S)]
    rest = round(REST_S * fps) // 2
    return max(_radius(STRONG_SMOOTHING_S * fps), sum(chain) + rest + 1)  # 1: the gradient's


class Finisher:
    """Takes normalised channels in order, gives back finished frames, `calm_reach` later."""

    def __init__(self, motion_dit: MotionDiT) -> None:
        self.motion_dit = motion_dit
        self.reach = calm_reach(motion_dit.config.fps)
        self.rows = np.zeros((0, motion_dit.representation.num_channels), dtype=np.float32)
        self.done = 0
        """Rows at the front of `rows` that are finished and only there to be looked at."""
        self.last = np.zeros((0, NUM_HANDS, NUM_JOINTS, 4), dtype=np.float32)
        """The last quaternions given out (0 or 1, 2, 16, 4): the next ones continue their signs."""

    def __call__(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Rows (n, C) that follow those before: quaternions (m, 2, 16, 4) and translation (m, 2, 3)
        of the frames that are final now; m may be 0."""
        self.rows = np.concatenate([self.rows, rows])
        return self._finish(max(self.done, len(self.rows) - self.reach))

    def rest(self) -> tuple[np.ndarray, np.ndarray]:
        """The frames that were still waiting: there will be no more."""
        return self._finish(len(self.rows))

    def _finish(self, stop: int) -> tuple[np.ndarray, np.ndarray]:
        """The rows from `done` to `stop`."""
        dit, wanted = self.motion_dit, slice(self.done, stop)
        mean, std = (v.cpu().numpy() for v in (dit.channel_mean, dit.channel_std))
        channels = self.rows * std + mean
        places_m = dit.representation.places_m(channels)
        hands = np.split(channels, NUM_HANDS, axis=1)
        calmed = [calm(hands[h], places_m[:, h], dit.config.fps)[wanted] for h in range(NUM_HANDS)]
        quaternions, translation_m = dit.representation.from_channels(np.concatenate(calmed, 1))
        quaternions, translation_m = limit(quaternions, translation_m)
        quaternions = continuous(np.concatenate([self.last, quaternions.astype(np.float32)]))
        quaternions = quaternions[len(self.last) :]
        self.last = quaternions[-1:] if len(quaternions) else self.last
        forget = max(0, stop - self.reach)
        self.rows, self.done = self.rows[forget:], stop - forget
        return quaternions, translation_m.astype(np.float32)


def _gaussian(track: np.ndarray, sigma: float) -> np.ndarray:
    return gaussian_filter1d(track, sigma, axis=0, mode="nearest", truncate=TRUNCATE)


def _radius(sigma: float) -> int:
    return int(TRUNCATE * sigma + 0.5)
