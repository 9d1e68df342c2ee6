"""How large this person's hands are, and of what build: one set of betas for both hands and all
frames.

In one picture a large hand far away looks like a small one near. The arm's depth and the many
frames together tell them apart as far as they can be; the betas' own prior (unit variance) decides
the rest.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from emo2.motion.lift.bones import Bones, points, shape_moves
from emo2.motion.lift.frames import fit_each, refine
from emo2.motion.lift.terms import Pose, Sight, bounded, quadratic, seen_jacobian
from emo2.types import NUM_BETAS, NUM_HANDS

SAMPLES = 48
"""Frames a hand."""
WORTH = 3.0
"""Neighbouring frames err alike: all samples of a hand count as this many independent ones..."""
DEPTH_WORTH = 1.0
"""...and what the arm says of its depth, wrong by the same amount in all frames, as this many."""
ROUNDS = 4
LARGEST_BETA = 2.0


def fit_betas(
    sights: tuple[Sight, Sight], bones: Bones, noise_px: float, tolerance: float
) -> np.ndarray:
    """The betas (10,) that both hands' best-seen frames agree on."""
    betas = np.zeros(NUM_BETAS)
    if not bones.shape_m.any():
        return betas
    samples = [_best_seen(sight) for sight in sights]
    poses: list[Pose | None] = [None] * NUM_HANDS
    for _ in range(ROUNDS):
        rest = bones.shaped(np.stack([betas, betas]))
        normal, slope = np.eye(NUM_BETAS), -betas
        for hand, sample in enumerate(samples):
            if len(sample.weight) == 0:
                continue
            own = rest[hand : hand + 1]
            if poses[hand] is None:
                poses[hand] = fit_each(sample, own, noise_px, tolerance)
            poses[hand], _ = refine(sample, poses[hand], own, noise_px, tolerance, steps=4)
            curvature, pull = _reduced(
                sample, poses[hand], own, bones.shape_m[hand : hand + 1], noise_px, tolerance
            )
            normal = normal + curvature * (WORTH / len(sample.weight))
            slope = slope - pull * (WORTH / len(sample.weight))
        betas = np.clip(betas + np.linalg.solve(normal, slope), -LARGEST_BETA, LARGEST_BETA)
    return betas


def _best_seen(sight: Sight) -> Sight:
    """The frames with most points, spread over time."""
    total = sight.weight.sum(-1)
    frames = []
    for part in np.array_split(np.arange(len(total)), SAMPLES):
        if len(part) and total[part].max() > 10:
            frames.append(part[total[part].argmax()])
    best = sight[np.array(frames, dtype=int)]
    return replace(best, depth_std_m=best.depth_std_m * np.sqrt(WORTH / DEPTH_WORTH))


def _reduced(
    sight: Sight,
    pose: Pose,
    rest_m: np.ndarray,
    shape_m: np.ndarray,
    noise_px: float,
    tolerance: float,
) -> tuple[np.ndarray, np.ndarray]:
    """The energy's curvature (10, 10) and gradient (10,) by the betas, every frame's pose
    following (its Schur complement)."""
    now = quadratic(sight, pose, rest_m, noise_px, tolerance)
    angles, slope = bounded(pose.free)
    placed, moves = points(rest_m, pose.place_m, pose.turn, angles)
    moves[..., 6:] *= slope[:, None, None]
    grown = shape_moves(shape_m, pose.turn, angles)
    weight = np.sqrt(sight.weight) / (1 + (now.error_px / (noise_px * tolerance)) ** 2) / noise_px
    count = len(sight.weight)
    rows = (seen_jacobian(sight, placed, moves) * weight[..., None, None]).reshape(count, 42, -1)
    new = (seen_jacobian(sight, placed, grown) * weight[..., None, None]).reshape(count, 42, -1)
    off = (now.off_px * weight[..., None]).reshape(count, 42, 1)
    cross = rows.transpose(0, 2, 1) @ new  # (N, 31, 10)
    follows = np.linalg.solve(now.curvature + 1e-9 * np.eye(rows.shape[-1]), cross)
    curvature = new.transpose(0, 2, 1) @ new - cross.transpose(0, 2, 1) @ follows
    pull = (new.transpose(0, 2, 1) @ off)[..., 0]
    pull = pull - (follows.transpose(0, 2, 1) @ now.gradient[..., None])[..., 0]
    return curvature.sum(0), pull.sum(0)
