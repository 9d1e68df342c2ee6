"""Movements that no hand makes: too fast, one-frame pops, cuts, trembling, stutter, and none at
all.

The least size that counts grows with how fast the hand moves around there, and with how rough the
track is anyway: lively people pass.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy.ndimage import maximum_filter1d

from emo2.hands.skeleton import JOINT_NAMES
from emo2.motion.checks.clip import CHANNELS, Clip
from emo2.motion.checks.finding import FINGER_WORDS, HAND_WORDS, Reading, Signal
from emo2.motion.checks.roughness import POP_GAIN, Roughness, windowed_count, windowed_median
from emo2.types import NUM_HANDS

FILM_FPS = 24.0
TREMOR_FPS = 18.0
"""Hands tremble at 8 Hz and more: slower rates cannot show it."""
SPEED_FLOOR = np.array([2.5, 18.0, 22.0])
SPEED_CEILING = np.array([5.0, 35.0, 45.0])
"""Per channel [m/s, rad/s]: below the floor nothing is too fast, above the ceiling everything is;
between them four times what is usual in this clip. A lively speaker's wrist reaches 2.8 m/s."""
USUAL_TIMES = 4.0
SPEED_ERROR_RATIO = 1.6
CUT_FLOOR = np.array([0.009, np.deg2rad(9.0), np.deg2rad(13.0)])
TREMOR_FLOOR = np.array([0.0025, np.deg2rad(2.5), np.deg2rad(5.0)])
"""Least sizes at rest [m, rad, rad]."""
CUT_MOVING, TREMOR_MOVING = 0.25, 0.12
"""Share of the step from frame to frame that is added to the least size."""
ROUGH_TIMES = 6.0
SPIKE_ERROR_RATIO, TREMOR_ERROR_RATIO = 2.0, 2.5
WINDOW_S, TREMOR_S, STILL_S = 1.0, 0.6, 6.0
LEAST_STEP = np.array([0.003, np.deg2rad(2.0), np.deg2rad(3.0)])
STUTTERS_PER_S = 4
STILL = np.array([2e-5, 2e-4, 2e-4])
_THING = ("the {hand}", "the wrist of the {hand}", "the {finger} of the {hand}")


def signals(clip: Clip) -> list[Signal]:
    """All faults of movement, of both hands."""
    out = []
    for hand in range(NUM_HANDS):
        for channel in range(len(CHANNELS)):
            out += _channel(clip, hand, channel)
    return [*out, *_still(clip)]


class _Measure(NamedTuple):
    """One kind of fault in one channel, per frame (T,)."""

    kind: str
    ratio: np.ndarray
    value: np.ndarray
    limit: np.ndarray
    error_ratio: float
    spread: int = 0


def _channel(clip: Clip, hand: int, channel: int) -> list[Signal]:
    seen = clip.seen[:, hand]
    rough = Roughness.of(clip.steps[channel][:, hand], seen, LEAST_STEP[channel])
    stutter = windowed_count(rough.repeats, round(WINDOW_S * clip.fps)) / WINDOW_S
    joint = 1 + rough.joint if channel == 2 else np.zeros(clip.num_frames, int)
    where = clip.joints_m[np.arange(clip.num_frames), hand, joint]
    out = [
        Signal(
            kind=measure.kind,
            hand=hand,
            ratio=measure.ratio,
            error_ratio=measure.error_ratio,
            where_m=where,
            read=_reader(measure, hand, channel, joint),
            spread=measure.spread,
        )
        for measure in _measures(clip, hand, channel, rough, stutter < STUTTERS_PER_S)
    ]
    return [*out, _stutter(hand, stutter, where)] if channel == 0 else out


def _measures(
    clip: Clip, hand: int, channel: int, rough: Roughness, steady: np.ndarray
) -> list[_Measure]:
    """Pops, seams, trembling and speed; the first three where the track is `steady` (T,)."""
    # Slower rates than a film's see more of a stroke in a frame, and leave more beside the cubic.
    coarse = max(1.0, (FILM_FPS / clip.fps) ** 2)
    around = windowed_median(rough.cut, round(WINDOW_S * clip.fps))
    least = CUT_FLOOR[channel] * coarse + CUT_MOVING * rough.speed
    limit = np.maximum(least, ROUGH_TIMES * around)
    pops, seams = rough.pops_and_seams(np.where(steady, rough.cut / limit, 0.0))
    # A hand that jumps and comes back is no fast hand; one that rushes has no cuts beside it.
    speed = np.where(_near(pops > 1, 2), 0.0, rough.fastest * clip.fps)
    usual = USUAL_TIMES * clip.usual[hand, channel]
    speed_limit = np.full(len(speed), np.clip(usual, SPEED_FLOOR[channel], SPEED_CEILING[channel]))
    rushing = speed > speed_limit
    seams = np.where(_near(rushing, 4), 0.0, seams)
    shake = windowed_median(rough.off, round(TREMOR_S * clip.fps))
    shake_limit = TREMOR_FLOOR[channel] * coarse + TREMOR_MOVING * rough.speed
    trembling = steady & (clip.fps >= TREMOR_FPS) & ~_near(rushing, round(TREMOR_S * clip.fps))
    tremor = np.where(trembling, shake / shake_limit, 0.0)
    return [
        _Measure("pop", pops, rough.cut / POP_GAIN, limit / POP_GAIN, SPIKE_ERROR_RATIO, spread=1),
        _Measure("seam", seams, rough.cut, limit, SPIKE_ERROR_RATIO, spread=1),
        _Measure("tremor", tremor, shake, shake_limit, TREMOR_ERROR_RATIO),
        _Measure("speed", speed / speed_limit, speed, speed_limit, SPEED_ERROR_RATIO),
    ]


def _near(marks: np.ndarray, frames: int) -> np.ndarray:
    """(T,) bool: a mark is no more than `frames` away."""
    return maximum_filter1d(marks.astype(np.int8), 2 * frames + 1, mode="constant") > 0


def _reader(
    measure: _Measure, hand: int, channel: int, joint: np.ndarray
) -> Callable[[int], Reading]:
    def read(frame: int) -> Reading:
        finger = FINGER_WORDS.get(JOINT_NAMES[joint[frame]][:-1])
        thing = _THING[channel].format(hand=HAND_WORDS[hand], finger=finger)
        number, most = measure.value[frame], measure.limit[frame]
        if measure.kind == "speed":
            unit = ("m/s", "rad/s", "rad/s")[channel]
            turns = "moves at" if channel == 0 else "turns at"
            text = f"{number:.1f} m/s" if channel == 0 else f"{np.rad2deg(number):.0f}° a second"
            return Reading(number, most, unit, f"{thing} {turns} {text}, faster than people do")
        if channel == 0:
            number, most, unit, text = 1000 * number, 1000 * most, "mm", f"{100 * number:.1f} cm"
        else:
            number, most, unit = np.rad2deg(number), np.rad2deg(most), "deg"
            text = f"{number:.0f}°"
        words = {
            "pop": f"{thing} jumps by {text} and back",
            "seam": f"{thing} jumps by {text} from one frame to the next",
            "tremor": f"{thing} trembles by {text}",
        }
        return Reading(number, most, unit, words[measure.kind])

    return read


def _stutter(hand: int, per_second: np.ndarray, where: np.ndarray) -> Signal:
    def read(frame: int) -> Reading:
        words = (
            f"the {HAND_WORDS[hand]} stutters: {per_second[frame]:.0f} frames a second repeat the "
            f"one before, as in a film made for fewer frames a second"
        )
        return Reading(per_second[frame], STUTTERS_PER_S, "frames/s", words)

    return Signal(
        kind="stutter",
        hand=hand,
        ratio=per_second / (STUTTERS_PER_S - 0.5),
        error_ratio=np.inf,
        where_m=where,
        read=read,
        merge_frames=24,
    )


def _still(clip: Clip) -> list[Signal]:
    """Both hands dead still, which even resting hands are not."""
    moving = np.zeros(clip.num_frames, bool)
    for channel, least in enumerate(STILL):
        moving |= (np.abs(clip.steps[channel]) > least).any(axis=(1, 2, 3))

    def read(frame: int) -> Reading:
        words = f"nothing moves for more than {STILL_S:.0f} s; even resting hands breathe a little"
        return Reading(0.0, 0.0, "m/s", words)

    still = ~moving & clip.seen.any(axis=1)
    still[0] = still[1:2].any()
    return [
        Signal(
            kind="still",
            hand=None,
            ratio=np.where(still, 1.01, 0.0),
            error_ratio=np.inf,
            where_m=clip.places_m.mean(axis=1),
            read=read,
            least_frames=int(STILL_S * clip.fps) + 1,
            merge_frames=1,
        )
    ]
