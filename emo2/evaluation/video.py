"""What a detector sees in a finished film: faces, hands where they should be, a mouth that speaks.

In: an mp4, the motion and portrait it was made from, its speech. Out: `VideoMeasures`. mediapipe is
run on the decoded frames, so nothing the renderer knows can leak into the figures. The names are
ours; none of them is a figure of the paper.

    python -m emo2 evaluate video film.mp4 --motion film.npz --portrait face.jpg --audio
    speech.wav
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np

from emo2.types import NUM_HANDS, AudioClip, Frame, HandMotion, Portrait

# MediaPipe's 21 hand points out of `HandModel.joints` (MANO's 16, then five tips).
MEDIAPIPE_ORDER = np.array(
    [0, 13, 14, 15, 16, 1, 2, 3, 17, 4, 5, 6, 18, 10, 11, 12, 19, 7, 8, 9, 20]
)
FOUND_WITHIN = 0.5
"""A detection belongs to a hand when its points lie this close on average, in hand sizes."""
PCK_WITHIN = 0.2
APART = 0.75
"""Two hands overlap when their centres are nearer than this, in hand sizes: one may hide the
other."""
UPPER_LIP, LOWER_LIP, FOREHEAD, CHIN = 13, 14, 10, 152  # mediapipe face mesh
MAX_LAG_FRAMES = 6
SHIFTS = (0.25, 0.4, 0.5, 0.6, 0.75)
"""Circular shifts of the speech, as shares of the clip, that make the wrong-audio floor."""


@dataclass(frozen=True)
class VideoMeasures:
    """Shares are 0..1; `nan` where there was nothing to measure."""

    frames: int
    face_found: float
    """Share of frames with a face."""
    hand_found: float
    """Share of hands in view that a detection lies on (within half a hand of the joints)."""
    both_found: float
    """The same for both hands, over the frames where both are in view and apart."""
    pck: float
    """Share of found hands' points within 0.2 hand sizes of the projected joint."""
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
    """The same where the portrait shows no person and no hand comes near."""


def measure_video(
    frames: Iterator[Frame],
    motion: HandMotion,
    joints_m: np.ndarray,
    portrait: Portrait,
    audio: AudioClip,
) -> VideoMeasures:
    """Run the detectors over a film. `joints_m` (T, 2, 21, 3) is `HandModel.joints(motion)`."""
    expected = portrait.camera.project(joints_m)[:, :, MEDIAPIPE_ORDER]  # (T, 2, 21, 2)
    sizes = np.ptp(expected, axis=2).max(axis=-1)  # (T, 2)
    size = np.array([portrait.camera.width_px, portrait.camera.height_px])
    inside = ((expected >= 0) & (expected < size)).all(axis=-1).mean(axis=-1)
    in_view = motion.visible & (inside > 0.9)
    tally = _HandTally()
    gaps: list[float] = []
    flicker = _Flicker(portrait)
    for t, (frame, face, hands) in enumerate(_detect(frames)):
        gaps.append(_lip_gap(face))
        tally.add(hands, expected[t], sizes[t], in_view[t])
        flicker.add(frame, expected[t], sizes[t])
    gap = np.array(gaps)
    correlation, lag, floor = mouth_follows(gap, speech_envelope(audio, len(gap), motion.fps))
    seen = gap[np.isfinite(gap)]
    return VideoMeasures(
        frames=len(gap),
        face_found=len(seen) / max(len(gap), 1),
        hand_found=_share(tally.found),
        both_found=_share(tally.both),
        pck=_share(tally.points),
        mouth_correlation=correlation,
        mouth_lag_frames=lag,
        mouth_correlation_wrong_audio=floor,
        mouth_range=float(np.subtract(*np.percentile(seen, [95, 5]))) if len(seen) else np.nan,
        flicker=_share(flicker.moving),
        background_flicker=_share(flicker.still),
    )


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
    scores = [_lagged_correlation(gap, envelope, lag) for lag in lags]
    if not np.isfinite(scores).any():
        return np.nan, 0, np.nan
    best = int(np.nanargmax(scores))
    lag = lags[best]
    wrong = [np.roll(envelope, round(share * len(envelope))) for share in SHIFTS]
    floor = float(np.nanmean([_lagged_correlation(gap, other, lag) for other in wrong]))
    return float(scores[best]), lag, floor


def _lagged_correlation(gap: np.ndarray, envelope: np.ndarray, lag: int) -> float:
    """Pearson correlation of gap[t] with envelope[t - lag]."""
    late, early = (
        (gap[lag:], envelope[: len(envelope) - lag]) if lag >= 0 else (gap[:lag], envelope[-lag:])
    )
    seen = np.isfinite(late)
    if seen.sum() < 8 or np.std(late[seen]) < 1e-6 or np.std(early[seen]) < 1e-9:
        return np.nan
    return float(np.corrcoef(late[seen], early[seen])[0, 1])


def _detect(frames: Iterator[Frame]) -> Iterator[tuple[Frame, np.ndarray | None, list[np.ndarray]]]:
    """Each frame, its face (468, 2) px or None, and its hands [(21, 2) px]; every frame on its
    own."""
    from mediapipe.python.solutions import face_mesh, hands

    with (
        face_mesh.FaceMesh(static_image_mode=True, max_num_faces=1) as find_face,
        hands.Hands(static_image_mode=True, max_num_hands=NUM_HANDS) as find_hands,
    ):
        for frame in frames:
            scale = np.array([frame.shape[1], frame.shape[0]], np.float64)
            faces = find_face.process(frame).multi_face_landmarks or []
            found = find_hands.process(frame).multi_hand_landmarks or []
            points = [
                np.array([(p.x, p.y) for p in group.landmark]) * scale
                for group in (*faces[:1], *found)
            ]
            yield frame, points[0] if faces else None, points[len(faces[:1]) :]


def _lip_gap(face: np.ndarray | None) -> float:
    if face is None:
        return np.nan
    gap = np.linalg.norm(face[UPPER_LIP] - face[LOWER_LIP])
    return float(gap / np.linalg.norm(face[FOREHEAD] - face[CHIN]))


class _HandTally:
    """Counts, frame by frame, of hands found where they should be."""

    def __init__(self) -> None:
        self.found: list[float] = []
        self.both: list[float] = []
        self.points: list[float] = []

    def add(self, hands: list[np.ndarray], expected, sizes, in_view) -> None:
        """One frame: detected `hands` [(21, 2)], `expected` (2, 21, 2), `sizes` and `in_view`
        (2,)."""
        on = []
        for hand in np.flatnonzero(in_view):
            errors = [
                np.linalg.norm(points - expected[hand], axis=-1) / sizes[hand] for points in hands
            ]
            nearest = min(errors, key=np.mean, default=np.array([np.inf]))
            on.append(float(nearest.mean() < FOUND_WITHIN))
            if on[-1]:
                self.points.extend(nearest < PCK_WITHIN)
        self.found.extend(on)
        gap = np.linalg.norm(np.subtract(*expected.mean(axis=1)))
        if in_view.all() and gap > APART * sizes.mean():
            self.both.append(float(all(on) and len(hands) >= NUM_HANDS))


class _Flicker:
    """Mean absolute second difference over time of the grey picture, away from the hands."""

    def __init__(self, portrait: Portrait) -> None:
        person = (portrait.person_mask > 0.02).astype(np.uint8)
        reach = max(3, round(0.05 * portrait.camera.pixels_per_metre)) | 1
        self._away = cv2.dilate(person, np.ones((reach, reach), np.uint8)) == 0
        self._last: list[tuple[np.ndarray, np.ndarray]] = []
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
        grey = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY).astype(np.float32)
        self._last = [*self._last[-2:], (grey, free)]
        if len(self._last) < 3:
            return
        (a, fa), (b, fb), (c, fc) = self._last
        change, free = np.abs(a - 2 * b + c), fa & fb & fc
        if free.any():
            self.moving.append(float(change[free].mean()))
        if (free & self._away).any():
            self.still.append(float(change[free & self._away].mean()))


def _share(values: list[float]) -> float:
    return float(np.mean(values)) if values else np.nan


def main(argv: Sequence[str] | None = None) -> int:
    """Measure one film and print one line of JSON."""
    from emo2.media import load_audio, load_image, read_frames
    from emo2.motion.formats.npz import load_npz
    from emo2.pipeline import DEMO_CHECKPOINT, EMO2Pipeline

    parser = argparse.ArgumentParser(prog="emo2 evaluate video", description=main.__doc__)
    parser.add_argument("video", type=Path)
    parser.add_argument("--motion", type=Path, required=True)
    parser.add_argument("--portrait", type=Path, required=True)
    parser.add_argument("--audio", type=Path, required=True)
    parser.add_argument("--checkpoint", type=Path, default=DEMO_CHECKPOINT)
    args = parser.parse_args(argv)
    pipe, motion = EMO2Pipeline.from_pretrained(args.checkpoint), load_npz(args.motion)
    measures = measure_video(
        read_frames(args.video),
        motion,
        pipe.hand_model.joints(motion),
        pipe.analyse(load_image(args.portrait)),
        load_audio(args.audio),
    )
    # JSON has no NaN: what could not be measured is null.
    facts = {k: None if v != v else v for k, v in asdict(measures).items()}
    print(json.dumps(facts))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
