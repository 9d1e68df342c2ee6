"""The films of one portrait: rendered, watched and measured, in a process of its own."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import cv2
import numpy as np

from emo2.draft.performance import Performance
from emo2.draft.renderer import DraftRenderer
from emo2.draft.speech import analyse_speech
from emo2.errors import InputError
from emo2.evaluation.drift import Drift
from emo2.evaluation.film_crowds import OFFLINE
from emo2.evaluation.film_rows import FilmRow
from emo2.evaluation.hand_quality import HandQuality, asked_variance
from emo2.evaluation.identity import embed
from emo2.evaluation.lips import QUARTER, shut_ranks
from emo2.evaluation.phones import Aligner, labials_s, transcript
from emo2.evaluation.sightings import Hands, HandScore, Sighting, watch
from emo2.evaluation.sync import mouth_sync, wrong_audio
from emo2.evaluation.video import Viewing, lip_gap, mouth_at, speech_envelope
from emo2.media import load_audio, load_image
from emo2.pipeline import EMO2Pipeline
from emo2.types import AudioClip, Frame, HandMotion, Portrait

IDENTITY_EVERY = 8
"""Faces are recognised in every so many frames."""
MISSED_PX = 320
"""Long side of a frame that is kept."""


@dataclass(frozen=True)
class Clip:
    """What is said in every film, and how the hands move to it."""

    name: str
    audio: AudioClip
    motion: HandMotion
    joints_m: np.ndarray
    closures_s: np.ndarray
    """(n,) when p, b and m were said; none where the aligner does not know the language."""


@dataclass(frozen=True)
class Job:
    """One portrait, all recordings."""

    portrait: Path
    speech: tuple[Path, ...]
    english: tuple[Path, ...]
    checkpoint: Path
    renderer: str
    seconds: float
    seed: int
    crowded: bool = False
    """Whether features for comparing with real pictures are kept."""


@dataclass(frozen=True)
class Measured:
    """All films of one portrait."""

    rows: list[FilmRow]
    face: np.ndarray
    """(128,) the portrait's embedding."""
    missed: list[tuple[float, Frame]]
    """Of each film the share of hands missed and its worst frame."""
    tables: list[dict[str, np.ndarray]]
    """Of each film its features, by the figure's name."""


class LoudMouth(DraftRenderer):
    """The baseline: a mouth that opens with the speech's envelope and knows no sounds."""

    def perform(self, audio: AudioClip, motion: HandMotion, seed: int = 0) -> Performance:
        performance = super().perform(audio, motion, seed)
        curves = analyse_speech(audio)
        middles = (np.arange(motion.num_frames) + 0.5) / motion.fps
        jaw = np.clip(np.interp(middles, curves.times_s, curves.loudness), 0, 1)
        still = np.zeros_like(jaw)
        return replace(performance, jaw=jaw, spread=still, press=still)


def measure_portrait(job: Job) -> Measured | str:
    """All films of one portrait, or why the picture was refused."""
    studio, clips = _prepared(job)
    try:
        portrait = studio.analyse(load_image(job.portrait))
    except InputError as error:
        return str(error)
    ((_, at_rest),) = watch([portrait.image])
    known = np.full(128, np.nan) if at_rest.face is None else embed(portrait.image, at_rest.face)
    measured = Measured([], known, [], [])
    for clip in clips:
        row, film = _measure_film(job, studio, portrait, clip, clips, at_rest, known)
        measured.rows.append(row)
        measured.missed.append((1 - row.each_hand, film.worst))
        measured.tables.append({name: crowd.table() for name, crowd in film.crowds.items()})
    return measured


def _measure_film(job, studio, portrait: Portrait, clip: Clip, clips, at_rest: Sighting, known):
    hands = Hands.of(clip.motion, clip.joints_m, portrait.camera)
    clock, film = _Clock(), _Recorder(hands, job.crowded)
    frames = studio.render(portrait, clip.audio, clip.motion, renderer=job.renderer, seed=job.seed)
    viewing = Viewing.of(clock(frames), hands, portrait, film)
    seen = viewing.measure(hands, clip.audio, clip.motion.fps)
    count = len(viewing.sightings)
    others = [c for c in clips if c is not clip]
    r = [
        mouth_at(
            viewing.lip_gap, speech_envelope(c.audio, count, studio.fps), seen.mouth_lag_frames
        )
        for c in others
    ]
    stray = [
        HandScore.of(viewing.sightings, Hands.of(c.motion, c.joints_m, portrait.camera))
        for c in others
    ]
    still = HandScore.of([at_rest] * count, hands)
    shoulders_px = float(np.linalg.norm(np.subtract(*portrait.shoulders)))
    quality, at_ease = (
        HandQuality.of(sightings, hands, shoulders_px)
        for sightings in (viewing.sightings, [at_rest] * count)
    )
    envelope = speech_envelope(clip.audio, count, studio.fps)
    drift = Drift.of(film.times / studio.fps, film.faces, known)
    met = loud_met = np.nan
    if len(clip.closures_s):
        met = _met(viewing.lip_gap, clip, studio.fps)
        loud_met = _met(_loud_gap(studio, portrait, clip, job.seed), clip, studio.fps)
    row = FilmRow(
        portrait=job.portrait.name,
        speech=clip.name,
        frames=count,
        face=seen.face_found,
        any_hand=seen.hands.any_found,
        both_hands=seen.hands.both_found,
        each_hand=seen.hands.each_found,
        pck=seen.hands.pck,
        mouth_r=seen.mouth_correlation,
        mouth_lag=seen.mouth_lag_frames,
        mouth_range=seen.mouth_range,
        flicker=seen.flicker,
        background_flicker=seen.background_flicker,
        identity=drift.mean,
        identity_first=drift.first,
        identity_last=drift.last,
        hand_confidence=quality.confidence,
        hand_variance=quality.variance,
        mouth_sync=mouth_sync(viewing.lip_gap, envelope).confidence,
        closures=len(clip.closures_s),
        closures_met=met,
        fps=count / clock.spent_s,
        other_mouth_r=_mean(r),
        other_any_hand=_mean([s.any_found for s in stray]),
        other_pck=_mean([s.pck for s in stray]),
        still_any_hand=still.any_found,
        still_both_hands=still.both_found,
        still_pck=still.pck,
        still_hand_confidence=at_ease.confidence,
        asked_hand_variance=asked_variance(hands, shoulders_px),
        other_mouth_sync=wrong_audio(viewing.lip_gap, envelope),
        loud_closures_met=loud_met,
    )
    return row, film


class _Recorder:
    """Looks on while a film is watched: who it shows, and a frame whose hands are not found."""

    def __init__(self, hands: Hands, crowded: bool) -> None:
        self._hands = hands
        self._most = -1.0
        self._times: list[int] = []
        self.faces: list[np.ndarray] = []
        self.worst: Frame | None = None
        self.crowds = {name: kind() for name, kind in OFFLINE.items()} if crowded else {}

    @property
    def times(self) -> np.ndarray:
        """(n,) the frames whose faces were recognised."""
        return np.array(self._times)

    def __call__(self, t: int, frame: Frame, sighting: Sighting) -> None:
        for crowd in self.crowds.values():
            crowd.add(t, frame, sighting)
        if t % IDENTITY_EVERY == 0 and sighting.face is not None:
            self._times.append(t)
            self.faces.append(embed(frame, sighting.face))
        found = HandScore.of([sighting], self._hands[t : t + 1]).each_found
        missing = float(np.nan_to_num(1 - found))
        if missing > self._most:
            self._most, self.worst = missing, _marked(frame, self._hands.points[t])


class _Clock:
    """Counts the time that is spent making frames, not that spent looking at them."""

    def __init__(self) -> None:
        self.spent_s = 0.0

    def __call__(self, frames: Iterator[Frame]) -> Iterator[Frame]:
        iterator = iter(frames)
        while True:
            start = time.perf_counter()
            frame = next(iterator, None)
            self.spent_s += time.perf_counter() - start
            if frame is None:
                return
            yield frame


def _loud_gap(studio, portrait: Portrait, clip: Clip, seed: int) -> np.ndarray:
    mouth = LoudMouth(studio.draft.arm_model, studio.draft.hand_model)
    hidden = replace(clip.motion, visible=np.zeros_like(clip.motion.visible))
    film = (drafted.image for drafted in mouth(portrait, clip.audio, hidden, seed=seed))
    return np.array([lip_gap(s.face) for _, s in watch(film, faces_only=True)])


def _met(gap: np.ndarray, clip: Clip, fps: float) -> float:
    return float(
        (shut_ranks(np.nan_to_num(gap, nan=np.inf), clip.closures_s, fps) < QUARTER).mean()
    )


def _marked(frame: Frame, points: np.ndarray) -> Frame:
    """A small copy with the joints (2, 21, 2) px drawn in."""
    scale = MISSED_PX / max(frame.shape[:2])
    small = cv2.resize(frame, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    for x, y in np.rint(points.reshape(-1, 2) * scale).astype(int):
        cv2.circle(small, (int(x), int(y)), 1, (0, 255, 0), -1)
    return small


@cache
def _studio(checkpoint: Path) -> EMO2Pipeline:
    return EMO2Pipeline.from_pretrained(checkpoint)


@cache
def _clip(path: Path, english: bool, checkpoint: Path, seconds: float, seed: int) -> Clip:
    studio, audio = _studio(checkpoint), load_audio(path)
    closures = np.zeros(0)
    if english:
        closures = labials_s(Aligner()(audio, transcript(path)))
        closures = closures[closures < seconds - 0.1]
    audio = AudioClip(audio.samples[: round(seconds * audio.sample_rate_hz)])
    motion = studio.gesture(audio, seed=seed)
    return Clip(path.name, audio, motion, studio.hand_model.joints(motion), closures)


def _prepared(job: Job) -> tuple[EMO2Pipeline, list[Clip]]:
    import torch

    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    clips = [
        _clip(path, path in job.english, job.checkpoint, job.seconds, job.seed)
        for path in job.speech
    ]
    return _studio(job.checkpoint), clips


def _mean(values: Sequence[float]) -> float:
    known = [v for v in values if np.isfinite(v)]
    return float(np.mean(known)) if known else np.nan
