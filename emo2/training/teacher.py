"""A procedural speaker: gestures for speech, from its accents and phrases. It is what the demo
network learns from.

A gesture is a chain of submovements, each a minimum-jerk step of the whole hand's pose with a start
and an end (Flash & Henis 1991). Steps that overlap add up to curved paths; between them the hands
are truly still. WHEN a hand moves follows from the speech alone: the stroke stops at the accent.
HOW it moves (which hand, where, what shape) is drawn at random. A student can learn the first and
must vary the second.

Pose of one hand, always told as a left one, (31,): place in metres (3), pronation, flexion and
ulnar deviation [rad] (3), handshape angles [degrees] (25). Numbers after observation of speakers
(rests, peak speeds, mirror symmetry); the styles are ours.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from emo2.hands.shapes import SHAPES, finger_quaternions
from emo2.motion.anatomy import limit, limit_place, wrist_orientation
from emo2.motion.rest import REST_ANGLES, REST_PLACE_M
from emo2.motion.rotations import continuous, mirror
from emo2.training.prosody import Prosody
from emo2.types import NUM_HANDS, NUM_JOINTS

POSE_SIZE = 3 + 3 + 25
STOP_LEAD_S = 0.03
"""A stroke stops this long before the accent."""
FIRST_STROKE_S = 0.5
"""A clip begins at rest: there is no time to prepare an earlier stroke."""
FINGER_LAG_S, WRIST_LAG_S = 0.06, 0.03


@dataclass(frozen=True)
class Style:
    """How a kind of speaker gestures. Lengths in metres, times in seconds."""

    share: float
    """Share of the accents that get a stroke."""
    min_gap_s: float
    """Shortest time between two strokes."""
    linger_s: float
    """The hands go back to rest when the next stroke is further away than this."""
    raise_m: tuple[float, float, float]
    """Where the hands work, from rest: outward, up, forward."""
    stroke_m: tuple[float, float, float]
    """A full stroke from its preparation: outward, up, forward."""
    stroke_s: float
    prepare_s: float
    retract_s: float
    hold_s: float
    both: float
    """How often both hands gesture together."""
    pronation_deg: tuple[float, float]
    """Range: 90 palm down, 0 thumb up, -60 palm up."""
    shapes: tuple[str, ...] = field(default=("relaxed", "open", "cup"))


STYLES: dict[str, Style] = {
    "talk-calm": Style(
        0.5, 0.8, 1.0, (0.045, 0.06, 0.01), (0.032, -0.05, 0.02), 0.34, 0.45, 0.8, 0.15, 0.6,
        (0, 60), ("relaxed", "relaxed", "cup", "open"),
    ),
    "talk-lively": Style(
        0.85, 0.38, 1.3, (0.08, 0.19, 0.01), (0.05, -0.11, 0.03), 0.26, 0.34, 0.65, 0.2, 0.75,
        (-25, 65), ("open", "relaxed", "cup", "pinch", "point", "ok", "fist"),
    ),
    "present": Style(
        0.65, 0.7, 2.4, (0.13, 0.20, 0.01), (0.16, -0.04, 0.02), 0.42, 0.5, 0.85, 0.7, 0.6,
        (-55, -10), ("open", "flat", "open", "relaxed"),
    ),
    "sing": Style(
        0.5, 1.1, 2.8, (0.06, 0.15, 0.03), (0.14, 0.10, 0.03), 0.85, 0.8, 1.1, 0.5, 0.9,
        (-60, 10), ("open", "relaxed", "cup"),
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Step:
    """One submovement: the pose changes by `change` between `start_s` and `start_s + length_s`."""

    start_s: float
    length_s: float
    change: np.ndarray
    """(31,)."""
    bow_m: np.ndarray
    """(3,) how far the hand's path leaves the straight line half-way."""


@dataclass(frozen=True)
class Performance:
    """What the teacher did."""

    quaternions: np.ndarray
    """(T, 2, 16, 4) float32."""
    translation_m: np.ndarray
    """(T, 2, 3) float32."""
    rest_m: np.ndarray
    """(2, 3) where the hands rest."""
    strokes_s: np.ndarray
    """(n,) when strokes stop."""


def gesture(
    prosody: Prosody,
    style: Style,
    gain: float,
    duration_s: float,
    fps: float,
    rng: np.random.Generator,
) -> Performance:
    """Gesture for `duration_s`. `gain` scales how much and how often: 1 is the style's own
    measure."""
    num_frames = int(np.ceil(duration_s * fps))
    rests = _rest_poses(rng)
    chosen = choose_accents(prosody, style, gain)
    # Size grows from nearly nothing with how far an accent stands out: what the student has to
    # guess from the sound is smooth, and an accent just above the threshold does little harm.
    floor = 1 - _share(style, gain)
    strength = (prosody.salience[chosen] - floor) / (1 - floor)
    steps: tuple[list[Step], list[Step]] = ([], [])
    for unit in _units(prosody.times_s[chosen], style.linger_s):
        strengths = strength[np.isin(prosody.times_s[chosen], unit)]
        unit_gain = gain * (0.45 + 0.75 * strengths.max())
        for hand, form in enumerate(_unit_forms(style, unit_gain, rests, rng)):
            if form is not None:
                steps[hand].extend(_play(unit, strengths, style, gain, rests[hand], form, rng))
    times = np.arange(num_frames) / fps
    poses = np.stack([_sum(rests[hand], steps[hand], times) for hand in range(NUM_HANDS)], axis=1)
    quaternions, translation_m = _to_motion(poses)
    _, rest_m = _to_motion(np.stack(rests)[None])
    return Performance(
        continuous(quaternions).astype(np.float32),
        translation_m.astype(np.float32),
        rest_m[0].astype(np.float32),
        prosody.times_s[chosen] - STOP_LEAD_S,
    )


def choose_accents(prosody: Prosody, style: Style, gain: float) -> np.ndarray:
    """Indices of the accents that get a stroke: those that stand out most, not too close
    together."""
    share = _share(style, gain)
    gap = style.min_gap_s * gain**-0.25
    chosen: list[int] = []
    for index in np.argsort(-prosody.salience):
        time = prosody.times_s[index]
        if prosody.salience[index] < 1 - share:
            break
        apart = all(abs(time - prosody.times_s[other]) >= gap for other in chosen)
        if apart and time >= FIRST_STROKE_S:
            chosen.append(int(index))
    return np.sort(np.array(chosen, dtype=np.int64))


def _share(style: Style, gain: float) -> float:
    """The share of the accents that get a stroke, as far as there is time."""
    return float(np.clip(style.share * gain**0.3, 0.05, 0.95))


def _units(times: np.ndarray, linger_s: float) -> list[np.ndarray]:
    """Strokes between which the hands do not go back to rest."""
    if not len(times):
        return []
    return np.split(times, np.flatnonzero(np.diff(times) > linger_s) + 1)


def _rest_poses(rng: np.random.Generator) -> list[np.ndarray]:
    """Two resting hands, much alike, not quite."""
    common = rng.normal(0, 1, POSE_SIZE)
    rests = []
    for _ in range(NUM_HANDS):
        noise = 0.8 * common + 0.4 * rng.normal(0, 1, POSE_SIZE)
        place = REST_PLACE_M + noise[:3] * [0.010, 0.012, 0.012]
        angles = REST_ANGLES + noise[3:6] * np.deg2rad([8, 5, 4])
        shape = SHAPES["relaxed"].ravel() * (1 + 0.15 * noise[6:])
        rests.append(np.concatenate([place, angles, shape]))
    return rests


def _unit_forms(style: Style, gain: float, rests: list[np.ndarray], rng: np.random.Generator):
    """For each hand where it works and how, (31,), or None where it stays at rest."""
    draw = rng.random()
    active = (
        (True, True)
        if draw < style.both
        else (draw > (2 + style.both) / 3, draw <= (2 + style.both) / 3)
    )
    size = gain**0.9 * rng.lognormal(0, 0.15)
    raised = np.array(style.raise_m) * size * rng.uniform(0.75, 1.3, 3)
    raised += rng.normal(0, [0.02, 0.02, 0.015])
    pronation = np.deg2rad(rng.uniform(*style.pronation_deg))
    shape = SHAPES[str(rng.choice(style.shapes))].ravel() * rng.uniform(0.8, 1.1)
    lift = np.deg2rad(
        rng.uniform(12, 38)
    )  # raised hands point their fingers up, so that they are seen
    forms = []
    for hand in range(NUM_HANDS):
        own = rng.normal(0, 1, 6) * (0.3 if all(active) else 1.0)
        place = limit_place(rests[hand][:3] + raised + own[:3] * 0.02)
        turned = pronation + 0.15 * own[3]
        bend = np.deg2rad([6.0, 5.0]) * own[4:] - lift * _drop(turned)
        fingers = 0.85 * shape + 0.15 * rests[hand][6:] + rng.normal(0, 2.0, 25)
        forms.append(np.concatenate([place, [turned], bend, fingers]) if active[hand] else None)
    return forms


def _play(
    times: np.ndarray,
    strengths: np.ndarray,
    style: Style,
    gain: float,
    rest: np.ndarray,
    form: np.ndarray,
    rng: np.random.Generator,
) -> list[Step]:
    """One unit of one hand: prepare and stroke for every accent, hold, go back."""
    steps: list[Step] = []
    pose, free_s = rest, -np.inf
    for time, strength in zip(times, strengths, strict=True):
        stop = time - STOP_LEAD_S
        # A stroke takes the time there is: short gaps make quick, small strokes.
        room = stop - free_s
        stroke_s = min(style.stroke_s * rng.uniform(0.9, 1.1), 0.55 * room)
        prepare_s = min(style.prepare_s * rng.uniform(0.9, 1.2), room - stroke_s)
        size = gain**0.9 * (0.2 + 1.1 * strength) * min(1.0, room / (style.stroke_s + 0.25))
        stroke = np.array(style.stroke_m) * size * rng.uniform(0.75, 1.25, 3)
        stroke += np.linalg.norm(style.stroke_m) * size * rng.normal(0, 0.18, 3)
        flick = np.deg2rad(16.0) * min(size, 1.5)
        ready, apex = form.copy(), form.copy()
        wander = rng.normal(0, 0.012, 3) * min(size, 1.5)
        ready[:3] = limit_place(form[:3] - 0.45 * stroke + wander)
        apex[:3] = limit_place(form[:3] + 0.55 * stroke + wander)
        ready[4:6] -= 0.8 * flick * _drop(form[3])
        apex[4:6] += flick * _drop(form[3])
        apex[3] -= 0.5 * flick * np.sign(style.stroke_m[0])
        apex[6:] *= 1 - 0.2 * min(strength, 1.0)
        # The preparation flows into the stroke: it is still going on when the stroke sets in.
        steps.append(
            Step(
                stop - stroke_s - prepare_s,
                prepare_s + 0.45 * stroke_s,
                ready - pose,
                _bow(ready - pose, rng),
            )
        )
        steps.append(Step(stop - stroke_s, stroke_s, apex - ready, _bow(apex - ready, rng)))
        pose, free_s = apex, stop
    hold_s = style.hold_s * rng.uniform(0.6, 1.4)
    retract_s = style.retract_s * rng.uniform(0.85, 1.2)
    steps.append(Step(free_s + hold_s, retract_s, rest - pose, _bow(rest - pose, rng)))
    return steps


def _drop(pronation_rad: float) -> np.ndarray:
    """Flexion and ulnar deviation (2,) that let the fingers sink, for a hand turned so far."""
    return np.array([np.sin(pronation_rad), 0.7 * np.cos(pronation_rad)])


def _bow(change: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Hands swing about the elbow: their paths bulge outward, up and forward rather than run
    straight."""
    length = np.linalg.norm(change[:3])
    return length * np.array([0.12, 0.10, 0.12]) * rng.normal(1.0, 0.7, 3)


def _sum(rest: np.ndarray, steps: list[Step], times: np.ndarray) -> np.ndarray:
    """(T, 31): the resting pose plus all steps, the wrist and the fingers a little behind the
    arm."""
    lags = np.repeat([0.0, WRIST_LAG_S, FINGER_LAG_S], [3, 3, 25])
    poses = np.tile(rest, (len(times), 1))
    for step in steps:
        place = (times[:, None] - step.start_s - lags) / step.length_s
        poses += step.change * minimum_jerk(place)
        poses[:, :3] += step.bow_m * bump(place[:, :3])
    return poses


def minimum_jerk(place: np.ndarray) -> np.ndarray:
    """0 before 0, 1 after 1, the smoothest way between."""
    x = np.clip(place, 0.0, 1.0)
    return x**3 * (10 - 15 * x + 6 * x**2)


def bump(place: np.ndarray) -> np.ndarray:
    """0 up to 0, 1 at a half, 0 from 1 on, smooth."""
    x = np.clip(place, 0.0, 1.0)
    return (4 * x * (1 - x)) ** 3


def _to_motion(poses: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Poses (T, 2, 31) -> quaternions (T, 2, 16, 4), translation (T, 2, 3), within the body's
    limits."""
    quaternions = np.zeros((len(poses), NUM_HANDS, NUM_JOINTS, 4))
    translation_m = np.zeros((len(poses), NUM_HANDS, 3))
    for hand in range(NUM_HANDS):
        pose = poses[:, hand]
        place = limit_place(pose[:, :3])
        angles = np.clip(pose[:, 3:6], np.deg2rad([-80, -45, -25]), np.deg2rad([85, 50, 30]))
        wrist = wrist_orientation(place, angles)
        shape = pose[:, 6:].reshape(-1, 5, 5)
        quaternions[:, hand] = finger_quaternions(shape, hand)
        quaternions[:, hand, 0] = mirror(wrist) if hand else wrist
        translation_m[:, hand] = place * ([-1, 1, 1] if hand else [1, 1, 1])
    return limit(quaternions, translation_m)
