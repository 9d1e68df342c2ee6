"""Corrective shapes: what an engine adds to the resting mesh to show what the hand layer shows.

`HandModel` adds MANO's pose correctives (linear in the entries of R - I of every joint), skins with
all weights and subdivides last. An engine has the fine surface at rest, four weights a vertex and
shapes with one number each. Every joint is turned alone through its range; what plain skinning then
misses, seen from the resting pose, is linear in R - I again to a good approximation, and a few
shapes of that hold nearly all of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_matrix

from emo2.hands.limits import LIMITS_DEG
from emo2.hands.shapes import finger_quaternions
from emo2.hands.skeleton import FINGERS, FIRST_JOINT, PARENTS
from emo2.motion.rotations import to_matrix
from emo2.types import NUM_JOINTS, HandMotion

SMALLEST_MOVE_M = 3e-5
"""Vertices that a corrective shape moves less stay out of it."""
SMALLEST_SHAPE_M = 5e-4
"""A joint's further shapes, of which none moves a vertex more, are left out."""


@dataclass(frozen=True)
class Corrective:
    """A shape that is added before skinning as a joint turns, so that flesh keeps its volume."""

    joint: int
    """MANO's number."""
    turn: np.ndarray
    """(9,): its weight is this times the rows of the joint's matrix less the identity."""
    moves_m: np.ndarray
    """(N, 3) float32: how every vertex moves at weight 1."""

    def weights(self, motion: HandMotion, hand: int) -> np.ndarray:
        """(T,) float32 in [0, 1], as Blender's shape keys must be: what would swing to both sides
        is two shapes."""
        turns = to_matrix(motion.quaternions[:, hand, self.joint].astype(np.float64)) - np.eye(3)
        return np.clip(turns.reshape(-1, 9) @ self.turn, 0.0, 1.0).astype(np.float32)


def fit_correctives(
    hand: int,
    arrays: Mapping[str, np.ndarray],
    rest: np.ndarray,
    operator: csr_matrix,
    joints: np.ndarray,
    weights: np.ndarray,
) -> Iterator[Corrective]:
    """The shapes of one hand, for each joint as few as it takes.

    `arrays` are MANO's, `rest` (778, 3) the flat hand's vertices. `operator` (N, 778) makes the
    fine surface, whose vertices follow `joints` (N, 4) by `weights` (N, 4).
    """
    places = arrays["J_regressor"] @ rest
    fine = operator @ rest
    for joint in range(1, NUM_JOINTS):
        below = np.array([_hangs_on(k, joint) for k in range(NUM_JOINTS)])
        share = arrays["weights"] @ below  # of the turn that a vertex takes
        fine_share = (weights * below[joints]).sum(axis=1)
        flesh = arrays["posedirs"][..., 9 * (joint - 1) : 9 * joint]  # (778, 3, 9)
        moved = operator @ np.abs(flesh).sum(axis=(1, 2)) > 0
        rows = np.flatnonzero(_mixed(operator @ share) | _mixed(fine_share) | moved)
        smooth, plain, mix = operator[rows], fine[rows], fine_share[rows, None]
        turns = to_matrix(_turns(joint, hand)) - np.eye(3)
        missed = []
        for turn in turns:
            shaped = rest + flesh @ turn.ravel()
            posed = smooth @ (shaped + share[:, None] * ((shaped - places[joint]) @ turn.T))
            skinned = plain + mix * ((plain - places[joint]) @ turn.T)
            blends = np.eye(3) + mix[..., None] * turn
            missed.append(np.linalg.solve(blends, (posed - skinned)[..., None]).ravel())
        # The flesh as the hand layer has it, and what is left, both linear in the matrix.
        features = turns.reshape(-1, 9)
        known = (smooth @ flesh.reshape(len(flesh), -1)).reshape(-1, 9).T
        left = np.stack(missed) - features @ known
        linear = known + np.linalg.lstsq(features, left, rcond=1e-3)[0]  # (9, 3 rows)
        seen, sizes, shapes = np.linalg.svd(features @ linear, full_matrices=False)
        for size, course, shape in zip(sizes, seen.T, shapes, strict=True):
            for sign in (1.0, -1.0):
                strongest = size * max((sign * course).max(), 0.0)
                moves = (sign * strongest * shape).reshape(-1, 3).astype(np.float32)
                lengths = np.linalg.norm(moves, axis=1)
                if lengths.max() < SMALLEST_SHAPE_M:
                    continue
                everywhere = np.zeros((len(fine), 3), np.float32)
                everywhere[rows] = np.where(lengths[:, None] < SMALLEST_MOVE_M, 0.0, moves)
                yield Corrective(joint, sign * (linear @ shape) / strongest, everywhere)


def _mixed(share: np.ndarray) -> np.ndarray:
    """Neither none nor all of a turn."""
    return (share > 1e-6) & (share < 1 - 1e-6)


def _turns(joint: int, hand: int) -> np.ndarray:
    """(S, 4): rotations that span what a finger joint can do."""
    finger, first = max(
        ((f, k) for f, k in FIRST_JOINT.items() if k <= joint), key=lambda item: item[1]
    )
    low, high = np.moveaxis(LIMITS_DEG[FINGERS.index(finger)], -1, 0)
    if joint > first:
        grid = np.zeros((6, 5))
        which = 2 + joint - first
        grid[:, which] = np.linspace(low[which], high[which], 6)
    else:
        twist = np.linspace(low[0], high[0], 3) if finger == "thumb" else np.zeros(1)
        spread, base = np.linspace(low[1], high[1], 3), np.linspace(low[2], high[2], 5)
        grid = np.stack(np.meshgrid(twist, spread, base), axis=-1).reshape(-1, 3)
        grid = np.pad(grid, ((0, 0), (0, 2)))
    angles = np.zeros((len(grid), len(FINGERS), 5))
    angles[:, FINGERS.index(finger)] = grid
    return finger_quaternions(angles, hand)[:, joint]


def _hangs_on(joint: int, other: int) -> bool:
    """Does `joint` move when `other` turns?"""
    while joint > other:
        joint = PARENTS[joint]
    return joint == other
