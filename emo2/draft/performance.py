"""How the person moves while speaking: one number a frame for jaw, lips, lids, head and torso.

In: the speech, and the hand motion where there is one (the body follows its end effectors, paper
section 3.2). Out: a `Performance`. The mouth opens as the speech is loud and as its sounds want,
which `LipCurves` tell; without them, formant bands must do. The head follows accents over a slow
drift, lids and gaze are seeded random events. Everything is computed for the whole clip at once, so
a stretch rendered alone equals that stretch of the film.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from scipy.ndimage import gaussian_filter1d, maximum_filter1d

from emo2.draft.speech import RATE_HZ, SpeechCurves, analyse_speech
from emo2.draft.visemes import LipCurves
from emo2.errors import InputError
from emo2.types import AudioClip, HandMotion

MAX_HEAD_RAD = np.deg2rad(6.0)
"""No head angle leaves this bound: beyond it, hidden sides would have to be invented."""
LEAST_OPEN, OPEN_GAIN = 0.75, 0.5
"""What loudness opens counts so much for sounds made with the teeth together, and so much more for
a. A larger share for the sounds shut no more labials and followed the voice less."""
SURE = (0.5, 0.8)
"""Lips that half shut look like neither: from here to there the network is believed."""
_LOOK_BACK_S = 1.5
_CLOSURE_REACH_S = 0.15
"""Lips that shut further from any sound are only at rest."""
_BLINK_CLOSE_S, _BLINK_OPEN_S = 0.09, 0.14


@dataclass(frozen=True)
class Performance:
    """(T,) float32 curves, read-only; all zero = the portrait as it is."""

    jaw: np.ndarray
    """[0, 1]: 0 = teeth together, 1 = as wide as speech opens a mouth."""
    spread: np.ndarray
    """[-1, 1]: -1 = rounded lips (u), 1 = spread lips (i)."""
    press: np.ndarray
    """[0, 1]: 1 = the lips are shut whatever the jaw does (p, b, m)."""
    speaking: np.ndarray
    """[0, 1]: 0 = the portrait's own expression, 1 = `jaw` rules, also to close a smile."""
    blink: np.ndarray
    """[0, 1]: 1 = lids shut."""
    gaze_x: np.ndarray
    """[-1, 1]: eyes to the picture's right; 1 is a small saccade, an eighth of the eye's width."""
    gaze_y: np.ndarray
    """[-1, 1]: eyes down."""
    brow: np.ndarray
    """[0, 1]: brows raised."""
    yaw_rad: np.ndarray
    """Head turn, positive to the picture's right; |.| <= MAX_HEAD_RAD, like the next two."""
    pitch_rad: np.ndarray
    """Head nod, positive down."""
    roll_rad: np.ndarray
    """Head tilt, positive clockwise in the picture."""
    sway_m: np.ndarray
    """Shoulders' shift to the picture's right, metres; |.| <= 0.02."""
    breath: np.ndarray
    """[-1, 1]: lungs empty to full."""
    shrug_left_m: np.ndarray
    """The person's left shoulder raised, metres; |.| <= 0.015."""
    shrug_right_m: np.ndarray
    """The person's right shoulder raised, metres."""

    def __post_init__(self) -> None:
        lengths = set()
        for curve in fields(self):
            value = np.array(getattr(self, curve.name), np.float32)
            value.flags.writeable = False
            object.__setattr__(self, curve.name, value)
            lengths.add(value.shape)
        if len(lengths) != 1 or len(next(iter(lengths))) != 1:
            raise ValueError(f"all curves must be (T,) and equally long, got {sorted(lengths)}")

    @classmethod
    def still(cls, num_frames: int) -> Performance:
        """The portrait as it is, `num_frames` long."""
        return cls(**{curve.name: np.zeros(num_frames, np.float32) for curve in fields(cls)})

    @property
    def num_frames(self) -> int:
        """T."""
        return len(self.jaw)

    @classmethod
    def rest(cls, num_frames: int, **curves: np.ndarray) -> Performance:
        """The portrait as it is, with the given curves put in."""
        zeros = {curve.name: np.zeros(num_frames, np.float32) for curve in fields(cls)}
        return cls(**(zeros | curves))


def perform(
    audio: AudioClip,
    num_frames: int,
    fps: float,
    *,
    seed: int = 0,
    motion: HandMotion | None = None,
    lips: LipCurves | None = None,
) -> Performance:
    """Curves for `num_frames` frames in which `audio` is spoken; same seed, same curves. `lips` are
    those of `audio`; None = the mouth follows loudness and formants alone.

    Raises `InputError` where `num_frames` or `fps` is not positive, or `motion` has another length.
    """
    if num_frames < 1:
        raise InputError("num_frames", "must be at least 1", num_frames, "Give a longer recording.")
    if not fps > 0:
        raise InputError("fps", "must be positive", fps, "Use the checkpoint's frame rate, 24.")
    if motion is not None and motion.num_frames != num_frames:
        raise InputError(
            "motion", f"must have {num_frames} frames", motion.num_frames, "Use this clip's motion."
        )
    speech = analyse_speech(audio)
    blinks, gazes, drifts = (np.random.default_rng((seed, stream)) for stream in range(3))
    curves = _mouth(speech, lips, num_frames, fps)
    pauses = curves["jaw"] < 0.1
    curves["blink"] = _blinks(blinks, pauses, fps)
    curves["gaze_x"], curves["gaze_y"] = _gaze(gazes, num_frames, fps)
    accent = _sample(gaussian_filter1d(speech.accent, 6.0), speech, num_frames, fps)
    curves["brow"] = _brow(accent, fps)
    curves |= _head(drifts, accent, curves["speaking"], fps)
    curves |= _torso(drifts, num_frames, fps, motion)
    return Performance(**curves)


def _sample(curve: np.ndarray, speech: SpeechCurves, num_frames: int, fps: float) -> np.ndarray:
    """A curve of the speech at the middle of every frame; zero once the recording has ended."""
    middles = (np.arange(num_frames) + 0.5) / fps
    return np.interp(middles, speech.times_s, curve, right=0.0)


def _mouth(
    speech: SpeechCurves, lips: LipCurves | None, num_frames: int, fps: float
) -> dict[str, np.ndarray]:
    shape = _by_formants(speech) if lips is None else _by_sounds(speech, lips)
    opening, spread, closure = shape
    # Half a frame of smoothing: less flickers between frames, more would miss the syllables.
    width = 0.5 * RATE_HZ / fps
    # A closure of 50 ms must not fall between two frames: it lasts at least one.
    closure = maximum_filter1d(closure, max(1, round(0.7 * RATE_HZ / fps)))
    press = _sample(gaussian_filter1d(closure, 1.0), speech, num_frames, fps)
    jaw = _sample(gaussian_filter1d(opening, width), speech, num_frames, fps) * (1 - 0.55 * press)
    heard = maximum_filter1d(speech.loudness, 2 * round(_LOOK_BACK_S * RATE_HZ) + 1) > 0.15
    speaking = gaussian_filter1d(heard.astype(float), 0.25 * RATE_HZ)
    return {
        "jaw": np.clip(jaw, 0, 1),
        "spread": np.clip(_sample(spread, speech, num_frames, fps), -1, 1),
        "press": np.clip(press, 0, 1),
        "speaking": np.clip(_sample_held(speaking, speech, num_frames, fps), 0, 1),
    }


def _by_formants(speech: SpeechCurves) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Opening, spread and closure (N,) from loudness and bands."""
    opening = speech.loudness * (0.86 + 0.24 * speech.openness)
    # Open vowels have a low second formant too; only closed ones round the lips.
    rounded = np.minimum(speech.spread, 0) * (1 - 0.8 * np.maximum(speech.openness, 0))
    return opening, np.maximum(speech.spread, 0) + rounded, speech.closure


def _by_sounds(speech: SpeechCurves, lips: LipCurves) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The same, by the sounds: they open the mouth wider or less than it is loud, round it, and
    shut it. A closure counts whether the network hears it or the spectrum dips."""
    opening, _, dips = _by_formants(speech)
    spoken = np.clip(3 * speech.loudness, 0, 1)
    near = maximum_filter1d(spoken, round(2 * _CLOSURE_REACH_S * RATE_HZ) + 1)
    opening = opening * (LEAST_OPEN + OPEN_GAIN * lips.open)
    shut = np.clip((lips.press - SURE[0]) / (SURE[1] - SURE[0]), 0, 1) * near
    return opening, lips.spread * np.sqrt(spoken), np.maximum(shut, dips)


def _sample_held(
    curve: np.ndarray, speech: SpeechCurves, num_frames: int, fps: float
) -> np.ndarray:
    return np.interp((np.arange(num_frames) + 0.5) / fps, speech.times_s, curve)


def _blinks(rng: np.random.Generator, pauses: np.ndarray, fps: float) -> np.ndarray:
    """Poisson blinks, about 16 a minute, 1.2 s apart, rather in pauses; one in seven is double."""
    num_frames = len(pauses)
    seconds = (np.arange(num_frames) + 0.5) / fps
    lids = np.zeros(num_frames)
    time = rng.uniform(0.6, 2.5)
    while time < seconds[-1]:
        window = np.flatnonzero((np.abs(seconds - time) < 0.5) & pauses)
        # The lids shut on a frame, not between two, so that they are seen to shut.
        shut = window[np.abs(seconds[window] - time).argmin()] if len(window) else int(time * fps)
        shuts = [shut]
        if rng.random() < 1 / 7:
            shuts.append(shut + round(0.32 * fps))
        for frame in shuts:
            offset = (np.arange(num_frames) - frame) / fps
            lid = np.where(
                offset < 0, 1 + offset / _BLINK_CLOSE_S, 1 - (offset - 0.5 / fps) / _BLINK_OPEN_S
            )
            lids = np.maximum(lids, np.clip(lid, 0, 1))
        time = seconds[min(shuts[-1], num_frames - 1)] + 1.2 + rng.exponential(2.6)
    return lids * lids * (3 - 2 * lids)


def _gaze(rng: np.random.Generator, num_frames: int, fps: float) -> tuple[np.ndarray, np.ndarray]:
    """Small saccades: fixations of 0.4 to 2.5 s, two in five of them on the camera."""
    x, y = np.zeros(num_frames), np.zeros(num_frames)
    frame = round(rng.uniform(0.3, 1.5) * fps)
    while frame < num_frames:
        aside = rng.random() < 0.6
        x[frame:] = rng.uniform(-0.8, 0.8) * aside
        y[frame:] = rng.uniform(-0.4, 0.5) * aside
        frame += round(rng.uniform(0.4, 2.5) * fps) + 1
    eased = np.array([0.25, 0.5, 0.25])
    return tuple(np.convolve(np.pad(c, 1, "edge"), eased, "valid") for c in (x, y))


def _brow(accent: np.ndarray, fps: float) -> np.ndarray:
    """Only the stronger accents raise the brows, and slowly."""
    return np.clip(gaussian_filter1d(np.clip(accent - 0.3, 0, 1) * 1.8, 0.1 * fps), 0, 1)


def _drift(rng: np.random.Generator, num_frames: int, fps: float, period_s: float) -> np.ndarray:
    """Smooth seeded noise of unit deviation whose turns take about `period_s`."""
    sigma = period_s * fps / 4
    margin = int(4 * sigma) + 1
    noise = gaussian_filter1d(rng.standard_normal(num_frames + 2 * margin), sigma, truncate=4.0)
    return noise[margin:-margin] * np.sqrt(2 * sigma * np.sqrt(np.pi))


def _head(
    rng: np.random.Generator, accent: np.ndarray, speaking: np.ndarray, fps: float
) -> dict[str, np.ndarray]:
    """Nods on accents, turns and tilts that change sides between phrases, over a slow drift."""
    num_frames = len(accent)
    nod = gaussian_filter1d(accent, 0.08 * fps)
    lively = 0.35 + 0.65 * gaussian_filter1d(speaking, 0.3 * fps, mode="nearest")
    side, lean = (np.tanh(1.5 * _drift(rng, num_frames, fps, 3.0)) for _ in range(2))
    degrees = {
        "yaw_rad": lively * (1.7 * _drift(rng, num_frames, fps, 2.2) + 3.0 * side * nod),
        "pitch_rad": lively * (0.9 * _drift(rng, num_frames, fps, 1.8) + 4.0 * (nod - 0.25)),
        "roll_rad": lively * (1.1 * _drift(rng, num_frames, fps, 2.6) + 1.5 * lean * nod),
    }
    limit = np.rad2deg(MAX_HEAD_RAD) * 0.75
    return {name: np.deg2rad(limit * np.tanh(angle / limit)) for name, angle in degrees.items()}


def _torso(
    rng: np.random.Generator, num_frames: int, fps: float, motion: HandMotion | None
) -> dict[str, np.ndarray]:
    """Slow sway, breath every four seconds or so, and shoulders that follow the hands a little."""
    phase = 2 * np.pi * (rng.uniform() + np.arange(num_frames) / fps / 4.2)
    breath = np.sin(phase + 0.6 * _drift(rng, num_frames, fps, 8.0))
    sway_m = 0.004 * _drift(rng, num_frames, fps, 3.5)
    shrug_m = np.zeros((num_frames, 2))
    if motion is not None:
        seen = motion.visible[..., None]
        hands = np.where(seen, motion.translation_m, np.median(motion.translation_m, axis=0))
        hands = gaussian_filter1d(hands.astype(np.float64), 0.2 * fps, axis=0, mode="nearest")
        moved = hands - np.median(hands, axis=0)
        sway_m = sway_m + 0.05 * moved[:, :, 0].mean(1)
        shrug_m = 0.015 * np.tanh(0.06 * moved[:, :, 1] / 0.015)
    return {
        "sway_m": 0.02 * np.tanh(sway_m / 0.02),
        "breath": breath,
        "shrug_left_m": shrug_m[:, 0],
        "shrug_right_m": shrug_m[:, 1],
    }
