"""Edits of timing inside a span: its two ends stay where they are, what is between moves in time.

A warp says which moment of the original each frame shows. It is the flow of a field of velocities
over the span that vanishes at both ends, and so does its slope: the span's first and last frame
stay, speed does not jump there, time never runs backwards, and the opposite amount undoes a warp
exactly (up to the reading between frames).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from emo2.errors import InputError
from emo2.motion.edit.filters import low_pass
from emo2.motion.edit.span import WHOLE, Span, ease, put
from emo2.motion.edit.time import at_times
from emo2.types import HandMotion

FLOW_STEPS = 32
NUDGE_SHARE = 0.25
"""A nudge may be this share of its span at most: further, the ends would rush."""
STROKE_M_S = 0.12
"""Slower movements are no strokes (as in `emo2.motion.beats`)."""
STOPPED = 0.1
"""A stroke has stopped where its speed is below this share of its peak."""
SPEED_SMOOTHING_S = 0.12


def speed(motion: HandMotion, span: Span = WHOLE, *, factor: float = 1.0) -> HandMotion:
    """Play the middle of the span `factor` times as fast, with both ends pinned.

    The rate is `factor` at the middle frame and 1 at the ends; between them it makes up for the
    time that the middle saves or takes. At a factor of 2 the middle third plays 1.6 times as fast
    on average and the sides go down to 0.58; at 0.5 these are 0.54 and 1.73.
    """
    span = span.within(motion)
    half = (span.stop - span.start - 1) / 2
    if factor == 1 or half < 1:
        return motion

    def field(frames: np.ndarray) -> np.ndarray:
        x = (frames - span.start - half) / half
        return half * x * (1 - np.clip(x * x, 0, 1)) ** 2

    return _warp(motion, span, field, np.log(factor))


def nudge(motion: HandMotion, span: Span = WHOLE, *, frames: float = 0.0) -> HandMotion:
    """What happens in the span's middle third happens `frames` later (earlier, below 0); the outer
    thirds take up the difference."""
    span = span.within(motion)
    count = span.stop - span.start - 1
    if frames == 0:
        return motion
    if abs(frames) > NUDGE_SHARE * count:
        raise InputError(
            "frames",
            f"must be at most a quarter of the span, {NUDGE_SHARE * count:g}",
            frames,
            "Choose a longer span.",
        )
    return _shift(motion, span, frames, span.start + count / 3, span.start + count * 2 / 3)


def snap(
    motion: HandMotion, span: Span = WHOLE, *, onset_s: float, lead_s: float = 0.0
) -> HandMotion:
    """Nudge the stroke in the span whose apex is nearest to a moment of the sound onto it.

    `onset_s` counts from the motion's first frame; the apex comes `lead_s` before it.
    """
    span = span.within(motion)
    target = (onset_s - lead_s) * motion.fps
    arrivals = apexes(motion, span)
    if not len(arrivals):
        raise InputError(
            "span",
            f"must hold a stroke: a wrist that moves at {STROKE_M_S} m/s or more and slows down",
            f"{span.start}..{span.stop}",
            "Choose a span around a gesture.",
        )
    now = arrivals[np.abs(arrivals - target).argmin()]
    late, early = max(now, target), min(now, target)
    room = min(early - span.start, span.stop - 1 - late)
    if room < 2 * abs(target - now) or room < 2:
        raise InputError(
            "onset_s",
            "the stroke's apex and the sound must lie well inside the span",
            f"{onset_s:g} s; apex at {now / motion.fps:.3f} s, span from "
            f"{span.start / motion.fps:.3f} to {span.stop / motion.fps:.3f} s",
            "Widen the span on both sides, or choose a nearer sound.",
        )
    if target == now:
        return motion
    return _shift(motion, span, target - now, early - 1, late + 1)


def apexes(motion: HandMotion, span: Span = WHOLE) -> np.ndarray:
    """The frames (n,) at which strokes arrive: where the faster of the chosen hands, after a peak
    of its speed, first comes to a stop or turns.

    In the literature the apex is the stroke's goal, and it is what falls on a pitch accent (Kendon
    1980; Loehr 2012).
    """
    from scipy.signal import find_peaks

    span = span.within(motion)
    if span.stop - span.start < 3:
        return np.zeros(0)
    places = motion.translation_m[span.frames][:, span.indices].astype(np.float64)
    velocity = np.gradient(low_pass(places, SPEED_SMOOTHING_S * motion.fps), axis=0) * motion.fps
    rate = np.linalg.norm(velocity, axis=-1).max(axis=1)
    peaks, _ = find_peaks(rate, height=STROKE_M_S, prominence=0.5 * STROKE_M_S)
    arrivals = []
    for peak, end in zip(peaks, [*peaks, len(rate)][1:], strict=True):
        after = rate[peak:end]
        stops = np.flatnonzero(after < STOPPED * after[0])
        arrivals.append(span.start + peak + (stops[0] if len(stops) else after.argmin()))
    return np.array(arrivals, dtype=np.float64)


def _shift(motion: HandMotion, span: Span, frames: float, first: float, last: float) -> HandMotion:
    """Move what lies between `first` and `last` by `frames`, easing to nothing at the span's
    ends."""
    end = span.stop - 1

    def field(at: np.ndarray) -> np.ndarray:
        rising = ease((at - span.start) / (first - span.start))
        falling = ease((end - at) / (end - last))
        return -np.minimum(rising, falling)

    return _warp(motion, span, field, frames)


def _warp(
    motion: HandMotion, span: Span, field: Callable[[np.ndarray], np.ndarray], amount: float
) -> HandMotion:
    """Each frame shows the moment to which the field's flow takes it in the time `amount`
    (Runge-Kutta, 4th order)."""
    at = np.arange(span.start, span.stop, dtype=np.float64)
    step = amount / FLOW_STEPS
    for _ in range(FLOW_STEPS):
        a = field(at)
        b = field(at + 0.5 * step * a)
        c = field(at + 0.5 * step * b)
        d = field(at + step * c)
        at = at + step / 6 * (a + 2 * b + 2 * c + d)
    shown = at_times(motion, np.clip(at, span.start, span.stop - 1))
    hands = span.indices
    return put(
        motion,
        span,
        quaternions=shown.quaternions[:, hands],
        translation_m=shown.translation_m[:, hands],
        visible=shown.visible[:, hands],
        weights=np.ones(len(at)),
    )
