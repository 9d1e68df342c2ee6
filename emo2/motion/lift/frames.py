"""Every frame for itself: the few ways in which a hand can be what is seen, and the path through
them.

Five knuckles seen from afar fix a palm up to its tilt: leaning towards the camera and leaning away
look alike (Necker's cube), and a palm seen edge-on may show its front or its back. So each frame
starts from four wrist turns, every one is fitted with its fingers, and Viterbi's algorithm takes
the way through the frames that explains the points, bends no joint too far and turns no hand over
between two frames.
"""

from __future__ import annotations

import numpy as np

from emo2.hands.shapes import SHAPES
from emo2.motion.lift.bones import NUM_ANGLES, NUM_UNKNOWNS
from emo2.motion.lift.terms import Pose, Sight, bounded, joined, quadratic, unbounded

PALM = np.array([0, 5, 9, 13, 17])
"""The wrist and the four knuckles among the 21 points."""
TURNS, SHAPES_TRIED = 4, ("relaxed", "fist")
"""Every frame starts from four turns, each with an open and with a closed hand."""
FIRST_LOOSENESS, FIRST_STEPS = 8.0, 6
LOOSENESS, STEPS = (3.0, 1.0), (5, 6)
"""A start may be far off: first nothing is taken for a mistake of the detector, then ever more."""
BATCH, BLOCK = 512, 2048
FIRST_DAMPING = 1e-2
TURN_STD_RAD, ANGLE_STD_RAD, DEPTH_STD_M = np.deg2rad(10.0), np.deg2rad(14.0), 0.03
"""How far a hand moves from frame to frame."""


def fit_frames(sight: Sight, rest_m: np.ndarray, noise_px: float, tolerance: float) -> Pose:
    """Each of N frames fitted for itself from several starts, and the likeliest way through them;
    rest_m (1, 21, 3)."""
    parts = [
        _fit_starts(sight[first : first + BLOCK], rest_m, noise_px, tolerance)
        for first in range(0, len(sight.weight), BLOCK)
    ]
    poses, energies = zip(*parts, strict=True)
    pose, energy = joined(poses), np.concatenate(energies)
    return pose[_path(pose, energy) + TURNS * np.arange(len(energy))]


def fit_each(sight: Sight, rest_m: np.ndarray, noise_px: float, tolerance: float) -> Pose:
    """Each of N frames fitted for itself, its best start, whatever the frames beside it say."""
    pose, energy = _fit_starts(sight, rest_m, noise_px, tolerance)
    return pose[energy.argmin(axis=1) + TURNS * np.arange(len(energy))]


def _fit_starts(sight, rest_m, noise_px, tolerance) -> tuple[Pose, np.ndarray]:
    """The better hand of each turn: poses (N * TURNS) and energies (N, TURNS)."""
    frames = np.repeat(np.arange(len(sight.weight)), TURNS)
    shapes = len(SHAPES_TRIED)
    pose, energy = refine(
        sight[np.repeat(frames, shapes)],
        _starts(sight, rest_m),
        rest_m,
        noise_px,
        FIRST_LOOSENESS * tolerance,
        FIRST_STEPS,
    )
    better = energy.reshape(-1, shapes).argmin(axis=1)
    pose = pose[better + shapes * np.arange(len(frames))]
    for looser, steps in zip(LOOSENESS, STEPS, strict=True):
        pose, energy = refine(sight[frames], pose, rest_m, noise_px, looser * tolerance, steps)
    return pose, energy.reshape(-1, TURNS)


def refine(
    sight: Sight,
    pose: Pose,
    rest_m: np.ndarray,
    noise_px: float,
    tolerance: float,
    steps: int,
) -> tuple[Pose, np.ndarray]:
    """Levenberg-Marquardt of every frame for itself, in batches; returns poses and energies."""
    done = []
    for first in range(0, len(sight.weight), BATCH):
        batch = slice(first, first + BATCH)
        done.append(_refine(sight[batch], pose[batch], rest_m, noise_px, tolerance, steps))
    poses, energies = zip(*done, strict=True)
    return joined(poses), np.concatenate(energies)


def _refine(sight, pose, rest_m, noise_px, tolerance, steps) -> tuple[Pose, np.ndarray]:
    damping = np.full(len(sight.weight), FIRST_DAMPING)
    now = quadratic(sight, pose, rest_m, noise_px, tolerance)
    energy, gradient, curvature = now.energy, now.gradient, now.curvature
    for _ in range(steps):
        diagonal = np.einsum("nkk->nk", curvature)
        damped = curvature + (damping[:, None] * (diagonal + 1e-6))[:, :, None] * np.eye(
            NUM_UNKNOWNS
        )
        step = -np.linalg.solve(damped, gradient[..., None])[..., 0]
        tried = pose.moved(_held(step))
        then = quadratic(sight, tried, rest_m, noise_px, tolerance)
        better = then.energy < energy
        damping = np.clip(np.where(better, damping / 5, damping * 6), 1e-7, 1e6)
        pick = better[:, None]
        pose = Pose(
            np.where(pick, tried.place_m, pose.place_m),
            np.where(pick[..., None], tried.turn, pose.turn),
            np.where(pick, tried.free, pose.free),
        )
        energy = np.where(better, then.energy, energy)
        gradient = np.where(pick, then.gradient, gradient)
        curvature = np.where(pick[..., None], then.curvature, curvature)
    return pose, energy


def _held(step: np.ndarray) -> np.ndarray:
    """A step (..., 31) that trusts the quadratic no farther than it holds."""
    limit = np.array([*[0.15] * 3, *[0.6] * 3, *[0.6] * NUM_ANGLES])
    return np.clip(step, -limit, limit)


def _starts(sight: Sight, rest_m: np.ndarray) -> Pose:
    """The starts of every frame, (N * 4 turns * 2 handshapes) hands."""
    turns, scale, centre = _palm_turns(sight, rest_m[0])
    count = len(turns)
    palm = rest_m[0][PALM]
    # The wrist lies where the turned palm's middle, put on its place in the picture, has it.
    metres = scale[:, None]
    middle = centre / metres
    middle = np.concatenate([middle, sight.depth_m[:, None]], axis=-1)[:, None]
    place = middle - turns @ palm.mean(axis=0)
    place[..., 2] = sight.depth_m[:, None]
    shapes = np.stack([SHAPES[name] for name in SHAPES_TRIED])
    free = unbounded(np.deg2rad(shapes).reshape(-1, NUM_ANGLES))
    shape = (count, TURNS, len(SHAPES_TRIED))
    return Pose(
        np.broadcast_to(place[:, :, None], (*shape, 3)).reshape(-1, 3),
        np.broadcast_to(turns[:, :, None], (*shape, 3, 3)).reshape(-1, 3, 3),
        np.broadcast_to(free, (*shape, NUM_ANGLES)).reshape(-1, NUM_ANGLES),
    )


def _palm_turns(sight: Sight, rest_m: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The four wrist turns (N, 4, 3, 3) of a flat palm under weak perspective, the scale
    [px per metre] (N,) and where the palm's middle is seen (N, 2)."""
    palm = rest_m[PALM] - rest_m[PALM].mean(axis=0)
    _, _, basis = np.linalg.svd(palm)  # two axes in the palm, then its normal
    basis *= np.sign(np.linalg.det(basis))
    flat = palm @ basis[:2].T  # (5, 2)
    weight = sight.weight[:, PALM] + 1e-3
    total = weight.sum(-1, keepdims=True)
    centre = (weight[..., None] * sight.points_px[:, PALM]).sum(1) / total
    shift = (weight[..., None] * flat).sum(1) / total
    seen = sight.points_px[:, PALM] - centre[:, None]
    known = flat - shift[:, None]
    weighted = known * weight[..., None]
    normal = weighted.transpose(0, 2, 1) @ known + 1e-9 * np.eye(2)
    affine = np.linalg.solve(normal, weighted.transpose(0, 2, 1) @ seen).transpose(0, 2, 1)
    left, size, right = np.linalg.svd(affine)
    away = sight.distance_m - sight.depth_m
    scale = sight.pixels_per_metre * sight.distance_m / away
    turns = []
    for edge in (1.0, -1.0):  # the palm as it shows itself, and turned about its own edge
        shown = (left * (size * [1.0, edge])[:, None]) @ right
        steep = np.sqrt(np.maximum(size[:, 0] ** 2 - size[:, 1] ** 2, 0.0))
        # Column k of the affine map is axis k of the palm as seen; the rest of it is depth, all of
        # it across the direction that is seen in full.
        depth = right[:, 1] * steep[:, None]
        for tilt in (1.0, -1.0):
            columns = np.concatenate([shown, tilt * depth[:, None]], axis=1)  # (N, 3, 2)
            columns = columns / np.maximum(size[:, :1, None], 1e-9)
            third = np.cross(columns[..., 0], columns[..., 1])
            frame = np.concatenate([columns, third[..., None]], axis=-1)
            turns.append(_nearest_rotation(frame @ basis))
    return np.stack(turns, axis=1), scale, centre - (affine @ shift[..., None])[..., 0]


def _nearest_rotation(matrix: np.ndarray) -> np.ndarray:
    left, _, right = np.linalg.svd(matrix)
    sign = np.linalg.det(left @ right)
    left = left.copy()
    left[..., 2] *= sign[..., None]
    return left @ right


def _path(pose: Pose, energy: np.ndarray) -> np.ndarray:
    """Viterbi's choice (N,) among the fits of each frame; energy (N, TURNS)."""
    count, states = energy.shape
    turn = pose.turn.reshape(count, states, 3, 3)
    angles = bounded(pose.free)[0].reshape(count, states, NUM_ANGLES)
    depth = pose.place_m[:, 2].reshape(count, states)
    total = energy[0]
    back = np.zeros((count, states), dtype=int)
    for t in range(1, count):
        trace = np.einsum("aij,bij->ab", turn[t - 1], turn[t])
        moved = np.arccos(np.clip((trace - 1) / 2, -1, 1)) / TURN_STD_RAD
        bent = ((angles[t - 1, :, None] - angles[t]) ** 2).mean(-1) / ANGLE_STD_RAD**2
        deep = (depth[t - 1, :, None] - depth[t]) ** 2 / DEPTH_STD_M**2
        through = total[:, None] + moved**2 + bent + deep
        back[t] = through.argmin(axis=0)
        total = through.min(axis=0) + energy[t]
    path = np.zeros(count, dtype=int)
    path[-1] = total.argmin()
    for t in range(count - 1, 0, -1):
        path[t - 1] = back[t, path[t]]
    return path
