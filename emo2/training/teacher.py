"""A procedural speaker: gestures for speech, from its accents and phrases. It is what the demo
network learns from.

A gesture is a chain of submovements, each a minimum-jerk step of the whole hand's pose with a start
and an end (Flash & Henis 1991). Steps that overlap add up to loops; between them the hands are
truly still. WHEN a hand moves follows from the speech alone: the stroke turns at the accent. HOW it
moves (which hand, where, what shape) is drawn at random. A student can learn the first and
must vary the second.

Pose of one hand, always told as a left one, (31,): place in metres (3), pronation, flexion and
ulnar deviation [rad] (3), handshape angles [degrees] (25). Numbers after observation of speakers
(rests, peak speeds, mirror symmetry); the styles are ours.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from emo2.hands.limits import clamp_angles
from emo2.hands.shapes import SHAPES, finger_quaternions
from emo2.motion.anatomy import limit, limit_place, wrist_orientation
from emo2.motion.rest import REST_ANGLES, REST_PLACE_M
from emo2.motion.rotations import continuous, mirror
from emo2.training.prosody import Prosody
from emo2.training.styles import Style
from emo2.types import NUM_HANDS, NUM_JOINTS

POSE_SIZE = 3 + 3 + 25
STOP_LEAD_S = 0.025
"""A stroke turns this long before the accent; fingers, which lag, arrive with it."""
FIRST_STROKE_S = 0.5
"""A clip begins at rest: there is no time to prepare an earlier stroke."""
FINGER_LAG_S, WRIST_LAG_S = 0.06, 0.03
TURN_S = 0.12
"""How long a stroke and the movement after it overlap: hands slow down at an accent, they do not
freeze."""
FLOW_S = 0.25
"""Where there is no more time than this beside preparation and stroke, strokes are one swing; else
the hand waits between them."""
AT_THE_TOP, AT_THE_TURN = 0.85, 0.28
"""Sideways movement before and after a stroke, as shares of it: paths are loops, wide above and
narrow where the stroke turns."""


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
    """(n,) when strokes turn [s]."""


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
    dominant = int(rng.random() < 0.85)
    chosen = choose_accents(prosody, style, gain)
    # Size grows from nearly nothing with how far an accent stands out: what the student has to
    # guess from the sound is smooth, and an accent just above the threshold does little harm.
    floor = 1 - _share(style, gain)
    strength = (prosody.salience[chosen] - floor) / (1 - floor)
    steps: tuple[list[Step], list[Step]] = ([], [])
    for unit in _units(prosody.times_s[chosen], style.linger_s):
        inside = np.isin(prosody.times_s[chosen], unit)
        strengths, efforts = strength[inside], prosody.effort[chosen][inside]
        if strengths.max() * efforts.max() < style.least:
            continue
        unit_gain = gain * (0.45 + 0.75 * strengths.max()) * np.sqrt(efforts.mean())
        forms = _unit_forms(style, unit_gain, rests, dominant, rng)
        lag_s = _lags(forms, rng)
        for hand, form in enumerate(forms):
            if form is not None:
                sizes = gain**0.9 * (0.2 + 1.1 * strengths) * efforts
                steps[hand].extend(_play(unit - lag_s[hand], sizes, style, rests[hand], form, rng))
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


def _unit_forms(
    style: Style,
    gain: float,
    rests: list[np.ndarray],
    dominant: int,
    rng: np.random.Generator,
) -> list[np.ndarray | None]:
    """For each hand where it works and how, (31,), or None where it stays at rest."""
    active = [True, True]
    if rng.random() >= style.both:
        active[1 - dominant if rng.random() < 0.7 else dominant] = False
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


def _lags(forms: list[np.ndarray | None], rng: np.random.Generator) -> tuple[float, float]:
    """Seconds by which each hand is early: two hands mostly move as one, sometimes one leads."""
    lead_s = float(rng.uniform(0.02, 0.06)) if rng.random() < 0.25 else 0.0
    if any(form is None for form in forms):
        return 0.0, 0.0
    return (lead_s, 0.0) if rng.random() < 0.5 else (0.0, lead_s)


def _play(
    times: np.ndarray,
    sizes: np.ndarray,
    style: Style,
    rest: np.ndarray,
    form: np.ndarray,
    rng: np.random.Generator,
) -> list[Step]:
    """One unit of one hand: prepare and stroke for every accent, hold, go back."""
    steps: list[Step] = []
    pose, turned_s, swing = rest, None, np.zeros(POSE_SIZE)
    drift = rng.normal(0, 0.012, 3)
    for time, full in zip(times, sizes, strict=True):
        stop = time - STOP_LEAD_S
        # A stroke takes the time there is: short gaps make quick, small strokes.
        room = np.inf if turned_s is None else stop - turned_s
        stroke_s = min(style.stroke_s * rng.uniform(0.9, 1.1), 0.55 * room)
        size = full * min(1.0, room / (style.stroke_s + 0.25))
        # Where a speaker works wanders from stroke to stroke, and stays near.
        drift = 0.7 * drift + rng.normal(0, 0.009, 3) * min(size, 1.5)
        stroke = _stroke(style, size, rng)
        ready, apex = _ends(form, stroke, drift, size, style)
        if turned_s is None:
            begin = stop - stroke_s - style.prepare_s * rng.uniform(0.9, 1.2)
        elif room < style.prepare_s + stroke_s + FLOW_S:
            begin = turned_s - 0.75 * TURN_S
        else:
            steps.append(_recoil(turned_s, swing[:3], rng))
            pose = pose + steps[-1].change
            begin = stop - stroke_s - style.prepare_s * rng.uniform(0.9, 1.2)
        # The preparation flows into the stroke: it is still going on when the stroke sets in.
        prepare_s = stop - 0.55 * stroke_s - begin
        steps.append(Step(begin, prepare_s, ready - pose, _bow(ready - pose, rng)))
        aside = _sideways(stroke, rng)
        over, under = AT_THE_TOP * aside, AT_THE_TURN * aside
        top = stop - 0.8 * stroke_s
        steps.append(Step(top - 0.2, 0.4, over, np.zeros(3)))
        swing = apex - ready - over
        steps.append(Step(stop + 0.25 * TURN_S - stroke_s, stroke_s, swing, _bow(swing, rng)))
        steps.append(Step(stop - 0.2, 0.4, -under, np.zeros(3)))
        pose, turned_s = apex - under, stop
    steps.append(_recoil(turned_s, swing[:3], rng))
    pose = pose + steps[-1].change
    hold_s = style.hold_s * rng.uniform(0.6, 1.4)
    retract_s = style.retract_s * rng.uniform(0.85, 1.2)
    steps.append(Step(turned_s + 0.5 + hold_s, retract_s, rest - pose, _bow(rest - pose, rng)))
    return steps


def _stroke(style: Style, size: float, rng: np.random.Generator) -> np.ndarray:
    """How far a stroke goes (3,), metres."""
    stroke = np.array(style.stroke_m) * size * rng.uniform(0.75, 1.25, 3)
    return stroke + np.linalg.norm(style.stroke_m) * size * rng.normal(0, 0.18, 3)


def _ends(
    form: np.ndarray, stroke: np.ndarray, drift: np.ndarray, size: float, style: Style
) -> tuple[np.ndarray, np.ndarray]:
    """Poses (31,) before and after a stroke, around the unit's form."""
    flick = np.deg2rad(16.0) * min(size, 1.5)
    ready, apex = form.copy(), form.copy()
    ready[:3] = limit_place(form[:3] - 0.45 * stroke + drift)
    apex[:3] = limit_place(form[:3] + 0.55 * stroke + drift)
    ready[4:6] -= 0.8 * flick * _drop(form[3])
    apex[4:6] += flick * _drop(form[3])
    apex[3] -= 0.5 * flick * np.sign(style.stroke_m[0])
    apex[6:] *= 1 - 0.2 * min(size, 1.0)
    return ready, apex


def _recoil(turned_s: float, stroke: np.ndarray, rng: np.random.Generator) -> Step:
    """After a stroke (3,) the hand springs about half-way back."""
    change = np.concatenate([-rng.uniform(0.5, 0.8) * stroke, np.zeros(POSE_SIZE - 3)])
    return Step(turned_s - 0.75 * TURN_S, rng.uniform(0.6, 0.75), change, np.zeros(3))


def _sideways(stroke: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A change of place (31,) across the stroke's direction, by which its turn becomes a loop."""
    length = np.linalg.norm(stroke) + 1e-9
    across = np.cross(stroke / length, rng.normal([0.6, 0.0, 0.6], 1))
    across *= length * rng.uniform(0.7, 1.3) / (np.linalg.norm(across) + 1e-9)
    return np.concatenate([across, np.zeros(POSE_SIZE - 3)])


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
        shape = clamp_angles(pose[:, 6:].reshape(-1, 5, 5))
        quaternions[:, hand] = finger_quaternions(shape, hand)
        quaternions[:, hand, 0] = mirror(wrist) if hand else wrist
        translation_m[:, hand] = place * ([-1, 1, 1] if hand else [1, 1, 1])
    return limit(quaternions, translation_m)
