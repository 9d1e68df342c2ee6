"""Who moves the hands in a measurement: anything that turns speech into a motion.

A `Performer` is a callable `(audio, style, seed) -> HandMotion`. Here are the one under test, its
teacher, and those that a measure must not reward. Wrappers make the deaf controls out of any
performer: the same hands, for other sound than the one they are judged by.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Protocol

import numpy as np

from emo2.media import frame_count
from emo2.motion.anatomy import limit
from emo2.motion.edit import trim
from emo2.motion.rest import rest_pose
from emo2.stage1.representation import from_channels, to_channels
from emo2.training.prosody import analyse
from emo2.training.styles import STYLES
from emo2.training.teacher import gesture
from emo2.types import (
    NUM_BETAS,
    NUM_HANDS,
    REFERENCE_SHOULDER_BREADTH_M,
    AudioClip,
    HandMotion,
)

FPS = 24.0


class Performer(Protocol):
    """Hands for speech."""

    def __call__(self, audio: AudioClip, style: str, seed: int) -> HandMotion:
        """`ceil(duration * fps)` frames. The same arguments give the same motion."""


class Model:
    """A checkpoint: the audio encoder and Stage 1 of an `emo2.pipeline.EMO2Pipeline`.

    `options` go to `Stage1Pipeline.__call__`; without any, everything is at its default.
    """

    def __init__(self, pipeline, **options: Any) -> None:
        self._pipeline, self._options = pipeline, options
        self._heard = _Memory(pipeline.hear)

    def __call__(
        self, audio: AudioClip, style: str | None, seed: int, **options: Any
    ) -> HandMotion:
        options = {**self._options, **options}
        return self._pipeline.stage1(self._heard(audio), style=style, seed=seed, **options)

    def joins(self, num_frames: int) -> list[int]:
        """The frames at which windows begin, but the first."""
        return self._pipeline.stage1.joins(num_frames)


class Teacher:
    """The procedural speaker that the demo network learned from. It hears with its own prosody."""

    def __init__(self, fps: float = FPS, gain: float = 1.0) -> None:
        self._fps, self._gain = fps, gain
        self._heard = _Memory(lambda audio: analyse(audio.samples))

    def __call__(self, audio: AudioClip, style: str, seed: int) -> HandMotion:
        made = gesture(
            self._heard(audio),
            STYLES[style],
            self._gain,
            audio.duration_s,
            self._fps,
            np.random.default_rng(seed),
        )
        frames = frame_count(audio.duration_s, self._fps)
        return motion_of(made.quaternions[:frames], made.translation_m[:frames], self._fps)


def frozen(audio: AudioClip, style: str, seed: int) -> HandMotion:
    """The resting pose, held."""
    frames = frame_count(audio.duration_s, FPS)
    quaternions, translation_m = zip(*(rest_pose(hand) for hand in range(NUM_HANDS)), strict=True)
    return motion_of(
        np.broadcast_to(np.stack(quaternions), (frames, NUM_HANDS, 16, 4)),
        np.broadcast_to(np.stack(translation_m), (frames, NUM_HANDS, 3)),
        FPS,
    )


class Trembling:
    """The resting pose with independent jitter in every frame: what naive beat scores love."""

    def __init__(self, size_m: float = 1e-3) -> None:
        self._size_m = size_m

    def __call__(self, audio: AudioClip, style: str, seed: int) -> HandMotion:
        still = frozen(audio, style, seed)
        noise = np.random.default_rng(seed).normal(0, self._size_m, still.translation_m.shape)
        return replace(still, translation_m=still.translation_m + noise)


class SmoothNoise:
    """Random motion as smooth as another performer's, deaf to the speech.

    A surrogate in the sense of Prichard & Theiler (1994): the phases of the other motion's Fourier
    transform are replaced by random ones, the same for all channels. Spectra, ranges and how the
    channels go together stay; when anything happens is lost.
    """

    def __init__(self, like: Performer) -> None:
        self._like = like

    def __call__(self, audio: AudioClip, style: str, seed: int) -> HandMotion:
        motion = self._like(audio, style, seed)
        channels = to_channels(motion.quaternions, motion.translation_m).astype(np.float64)
        quaternions, translation_m = from_channels(surrogate(channels, seed))
        return motion_of(*limit(quaternions, translation_m), motion.fps)


class Shuffled:
    """A performer that hears the same speech cut into pieces and put together in another order, no
    piece where it was."""

    def __init__(self, performer: Performer, piece_s: float = 1.5) -> None:
        self._performer, self._piece_s = performer, piece_s

    def __call__(self, audio: AudioClip, style: str, seed: int) -> HandMotion:
        size = round(self._piece_s * audio.sample_rate_hz)
        circle = np.random.default_rng((seed, 1)).permutation(-(-len(audio.samples) // size))
        order = np.empty_like(circle)
        order[circle] = np.roll(circle, 1)
        pieces = [audio.samples[at * size : (at + 1) * size] for at in order]
        return self._performer(AudioClip(np.concatenate(pieces)), style, seed)


class OtherSpeech:
    """A performer that hears the next of `clips` in place of the one it is asked for."""

    def __init__(self, performer: Performer, clips: Sequence[AudioClip]) -> None:
        self._performer, self._clips = performer, list(clips)

    def __call__(self, audio: AudioClip, style: str, seed: int) -> HandMotion:
        own = next((at for at, clip in enumerate(self._clips) if clip is audio), -1)
        other = self._clips[(own + 1) % len(self._clips)].samples
        if self._clips[(own + 1) % len(self._clips)] is audio:
            other = np.roll(other, len(other) // 2)
        # A shorter clip is heard again from its start.
        samples = np.resize(other, len(audio.samples))
        motion = self._performer(AudioClip(samples), style, seed)
        return trim(motion, 0, frame_count(audio.duration_s, motion.fps))


def surrogate(channels: np.ndarray, seed: int) -> np.ndarray:
    """(T, C) with the power and cross spectra of `channels` and random phases."""
    middle = channels.mean(axis=0)
    spectrum = np.fft.rfft(channels - middle, axis=0)
    turn = np.exp(2j * np.pi * np.random.default_rng((seed, 2)).random((len(spectrum), 1)))
    return middle + np.fft.irfft(spectrum * turn, len(channels), axis=0)


def motion_of(quaternions: np.ndarray, translation_m: np.ndarray, fps: float) -> HandMotion:
    """Rotations (T, 2, 16, 4) and wrists (T, 2, 3) as a motion of two visible, average hands."""
    frames = len(quaternions)
    return HandMotion(
        quaternions=quaternions,
        translation_m=translation_m,
        visible=np.ones((frames, NUM_HANDS), bool),
        betas=np.zeros((NUM_HANDS, NUM_BETAS), np.float32),
        fps=fps,
        meta={"shoulder_breadth_m": REFERENCE_SHOULDER_BREADTH_M},
    )


class _Memory:
    """What was found in a clip, kept: a clip is heard once, however often it is gestured to."""

    def __init__(self, find: Callable[[AudioClip], Any]) -> None:
        self._find = find
        self._known: dict[int, tuple[AudioClip, Any]] = {}

    def __call__(self, audio: AudioClip) -> Any:
        if id(audio) not in self._known:
            # The clip is kept with its value, so that its id cannot become another's.
            self._known[id(audio)] = audio, self._find(audio)
        return self._known[id(audio)][1]
