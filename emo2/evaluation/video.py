"""What a detector sees in a finished film: faces, hands where they should be, a mouth that speaks.

In: frames, the motion and portrait they were made from, their speech. Out: `VideoMeasures`. The
names are ours; none of them is a figure of the paper.

    measures = measure_video(frames, motion, hand_model.joints(motion), portrait, audio)

`emo2.evaluation.one_film` adds all else that is measured of a film, and is the command.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import cv2
import numpy as np

from emo2.evaluation.sightings import Hands, HandScore, Sighting, watch
from emo2.types import AudioClip, Frame, HandMotion, Portrait

UPPER_LIP, LOWER_LIP, FOREHEAD, CHIN = 13, 14, 10, 152  # mediapipe face mesh
MAX_LAG_FRAMES = 6
_SWAY_M = 0.025
"""Background this near to the person is not asked to be still."""
_ARM_M = 0.72
"""From shoulder by elbow to wrist, sleeve included: an arm lies in the ellipse about its shoulder
and wrist whose points are this far from both together."""
SHIFTS = (0.25, 0.4, 0.5, 0.6, 0.75)
"""Circular shifts of the speech, as shares of the clip, that make the wrong-audio floor."""


@dataclass(frozen=True)
class VideoMeasures:
    """Shares are 0..1; `nan` where there was nothing to measure."""

    frames: int
    face_found: float
    """Share of frames with a face."""
    hands: HandScore
    mouth_correlation: float
    """Inner lip gap over face height against the speech envelope, Pearson, at the best lag."""
    mouth_lag_frames: int
    """That lag: positive = the mouth is late."""
    mouth_correlation_wrong_audio: float
    """The same with the speech shifted round by parts of the clip, mean over the shifts."""
    mouth_range: float
    """5th to 95th percentile of the lip gap, in face heights."""
    flicker: float
    """Mean absolute second difference of grey levels outside the hands, 0..255."""
    background_flicker: float
    """The same where the portrait shows no person and no arm can reach."""


@dataclass(frozen=True)
class Viewing:
    """One look at a film, from which everything is measured."""

    sightings: tuple[Sighting, ...]
    flicker: float
    background_flicker: float
    lip_gap: np.ndarray
    """(T,) inner lip gap in face heights, NaN without a face."""

    @classmethod
    def of(
        cls,
        frames: Iterable[Frame],
        hands: Hands,
        portrait: Portrait,
        onlooker: Callable[[int, Frame, Sighting], None] | None = None,
    ) -> Viewing:
        """Run the detectors over a film; `hands` are kept out of the flicker. `onlooker` is shown
        every frame, too."""
        flicker, sightings = _Flicker(portrait), []
        for t, (frame, sighting) in enumerate(watch(frames)):
            sightings.append(sighting)
            flicker.add(frame, hands.points[t], hands.sizes[t])
            if onlooker is not None:
                onlooker(t, frame, sighting)
        gap = np.array([lip_gap(sighting.face) for sighting in sightings])
        return cls(tuple(sightings), _mean(flicker.moving), _mean(flicker.still), gap)

    def measure(self, hands: Hands, audio: AudioClip, fps: float) -> VideoMeasures:
        """How well what was seen fits `hands` and `audio`."""
        gap, count = self.lip_gap, len(self.lip_gap)
        correlation, lag, floor = mouth_follows(gap, speech_envelope(audio, count, fps))
        seen = gap[np.isfinite(gap)]
        return VideoMeasures(
            frames=count,
            face_found=len(seen) / max(count, 1),
            hands=HandScore.of(self.sightings, hands),
            mouth_correlation=correlation,
            mouth_lag_frames=lag,
            mouth_correlation_wrong_audio=floor,
            mouth_range=float(np.subtract(*np.percentile(seen, [95, 5]))) if len(seen) else np.nan,
            flicker=self.flicker,
            background_flicker=self.background_flicker,
        )


def measure_video(
    frames: Iterable[Frame],
    motion: HandMotion,
    joints_m: np.ndarray,
    portrait: Portrait,
    audio: AudioClip,
) -> VideoMeasures:
    """Run the detectors over a film. `joints_m` (T, 2, 21, 3) is `HandModel.joints(motion)`."""
    hands = Hands.of(motion, joints_m, portrait.camera)
    return Viewing.of(frames, hands, portrait).measure(hands, audio, motion.fps)


def speech_envelope(audio: AudioClip, num_frames: int, fps: float) -> np.ndarray:
    """(T,) loudness of the speech over each frame, compressed as ears do (RMS to the power 0.6)."""
    edges = np.round(np.arange(num_frames + 1) / fps * audio.sample_rate_hz).astype(int)
    power = np.concatenate([[0.0], np.cumsum(audio.samples.astype(np.float64) ** 2)])
    edges = np.minimum(edges, len(power) - 1)
    mean = np.diff(power[edges]) / np.maximum(np.diff(edges), 1)
    return np.sqrt(mean) ** 0.6


def mouth_follows(gap: np.ndarray, envelope: np.ndarray) -> tuple[float, int, float]:
    """Best-lag correlation, that lag [frames, positive = late], and the wrong-audio floor at it."""
    lags = range(-MAX_LAG_FRAMES, MAX_LAG_FRAMES + 1)
    scores = [mouth_at(gap, envelope, lag) for lag in lags]
    if not np.isfinite(scores).any():
        return np.nan, 0, np.nan
    best = int(np.nanargmax(scores))
    lag = lags[best]
    wrong = [np.roll(envelope, round(share * len(envelope))) for share in SHIFTS]
    floor = float(np.nanmean([mouth_at(gap, other, lag) for other in wrong]))
    return float(scores[best]), lag, floor


def mouth_at(gap: np.ndarray, envelope: np.ndarray, lag: int) -> float:
    """Pearson correlation of gap[t] with envelope[t - lag], as long as both last; NaN where nothing
    moves."""
    shared = min(len(gap), len(envelope))
    gap, envelope = gap[:shared], envelope[:shared]
    late, early = (
        (gap[lag:], envelope[: shared - lag]) if lag >= 0 else (gap[:lag], envelope[-lag:])
    )
    seen = np.isfinite(late)
    if seen.sum() < 8 or np.std(late[seen]) < 1e-6 or np.std(early[seen]) < 1e-9:
        return np.nan
    return float(np.corrcoef(late[seen], early[seen])[0, 1])


def lip_gap(face: np.ndarray | None) -> float:
    """Between the inner lips of a mesh (468, 2) px, in face heights; NaN without a face."""
    if face is None:
        return np.nan
    gap = np.linalg.norm(face[UPPER_LIP] - face[LOWER_LIP])
    return float(gap / np.linalg.norm(face[FOREHEAD] - face[CHIN]))


class _Flicker:
    """Mean absolute second difference over time of the grey picture, away from the hands."""

    def __init__(self, portrait: Portrait) -> None:
        person = (portrait.person_mask > 0.02).astype(np.uint8)
        metre_px = portrait.camera.pixels_per_metre
        reach = max(3, round(2 * _SWAY_M * metre_px)) | 1
        self._rows, self._columns = np.indices(person.shape, np.float32)
        self._arm_px = _ARM_M * metre_px
        self._to_shoulders = [self._distance(shoulder) for shoulder in portrait.shoulders]
        self._away = cv2.dilate(person, np.ones((reach, reach), np.uint8)) == 0
        self._last: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
        self.moving: list[float] = []
        self.still: list[float] = []

    def add(self, frame: Frame, expected: np.ndarray, sizes: np.ndarray) -> None:
        """One frame; `expected` (2, 21, 2) hand points are cut out with a hand's size around
        them."""
        free = np.ones(frame.shape[:2], bool)
        for points, size in zip(expected, sizes, strict=True):
            low = np.maximum(np.nan_to_num(points.min(axis=0) - size), 0).astype(int)
            high = np.maximum(np.nan_to_num(points.max(axis=0) + size), 0).astype(int)
            free[low[1] : high[1], low[0] : high[0]] = False
        still = free & self._away
        for points, to_shoulder in zip(expected, self._to_shoulders, strict=True):
            still &= to_shoulder + self._distance(points[0]) > self._arm_px
        grey = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY).astype(np.float32)
        self._last = [*self._last[-2:], (grey, free, still)]
        if len(self._last) < 3:
            return
        (a, *fa), (b, *fb), (c, *fc) = self._last
        change = np.abs(a - 2 * b + c)
        for shares, masks in zip(
            (self.moving, self.still), zip(fa, fb, fc, strict=True), strict=True
        ):
            here = np.logical_and.reduce(masks)
            if here.any():
                shares.append(float(change[here].mean()))

    def _distance(self, point: np.ndarray) -> np.ndarray:
        """(H, W) pixels; a hand that is not there is infinitely far."""
        x, y = np.nan_to_num(point, nan=np.inf)
        return np.hypot(self._columns - np.float32(x), self._rows - np.float32(y))


def _mean(values: list[float]) -> float:
    return float(np.mean(values)) if values else np.nan
