"""Pose correctives of the free right hand: what linear skinning gets wrong when joints bend, fitted
to an elastic solve (flesh.py).

MANO adds to the rest vertices, before skinning, a linear function of the entries of R - I of all 15
joint rotations. Here every joint is bent alone through its range, the flesh around it is solved
for, and the difference to plain skinning is fitted by ridge regression on that joint's nine
entries. So each corrective is local to its joint, nothing at rest, and combines with the others.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.spatial import cKDTree

from emo2.hands.free_hand.chains import Chain, chain, ramp
from emo2.hands.free_hand.flesh import Flesh
from emo2.hands.free_hand.implicit import FINGER_RADII, distance, finger_distance
from emo2.hands.free_hand.settle import Fold, Skin, smooth
from emo2.hands.shapes import finger_quaternions
from emo2.hands.skeleton import (
    FINGER_POINTS,
    FINGERS,
    FIRST_JOINT,
    PARENTS,
    REST_JOINTS,
    RIGHT,
    WRIST,
    finger_axes,
)
from emo2.motion.rotations import from_axis_angle, from_matrix, to_axis_angle, to_matrix
from emo2.types import NUM_JOINTS

_RIDGE = 0.02
# By whether the joint is a finger's base: how much its back gives and what share of lost volume is
# restored (Skin), and how far skin is pushed out of the other side of a fold [m]. At the base the
# fold is as deep as the palm: all of it would push the knuckles out at the back.
_SKIN = {False: (0.25, 1.0), True: (0.06, 0.35)}
_FOLD_M = {False: 0.02, True: 0.0035}
_FINE_M, _COARSE_M = 0.0028, 0.0038
"""Cells of the lattice: within a finger, and where it meets the palm."""
# Handshape angles in degrees (twist, spread, base, middle, tip) through which each joint of a
# finger and of the thumb is bent, one sequence after the other, each from the flat hand.
_BENDS = {
    False: (
        (
            [(0, 0, 30, 0, 0), (0, 0, 60, 0, 0), (0, 0, 90, 0, 0)],
            [(0, 0, -25, 0, 0)],
            [(0, 15, 0, 0, 0)],
            [(0, -12, 0, 0, 0)],
        ),
        ([(0, 0, 0, a, 0) for a in (30, 60, 85, 108)],),
        ([(0, 0, 0, 0, a) for a in (30, 60, 80)],),
    ),
    True: (
        (
            [(15, 8, 8, 0, 0), (30, 16, 17, 0, 0), (46, 20, 26, 0, 0)],
            [(25, 32, -3, 0, 0)],
            [(0, -5, -20, 0, 0), (-8, -6, -34, 0, 0)],
            [(0, 30, 0, 0, 0)],
        ),
        ([(0, 0, 0, a, 0) for a in (30, 60)], [(0, 0, 0, -10, 0)]),
        ([(0, 0, 0, 0, a) for a in (35, 70)], [(0, 0, 0, 0, -20)]),
    ),
}
# How far from the joint the flesh is solved for, towards the wrist and towards the tip [m].
_REACH = {False: ((0.028, 0.024), (0.022, 0.018), (0.017, 0.014)),
          True: ((0.030, 0.040), (0.028, 0.024), (0.022, 0.016))}  # fmt: skip


def pose_correctives(vertices: np.ndarray, faces: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """(V, 3, 135) metres: MANO's `posedirs` for these rest vertices (V, 3), faces and weights
    (V, 16)."""
    out = np.zeros((len(vertices), 3, 9 * (NUM_JOINTS - 1)))
    at_base = []
    for finger in FINGERS:
        for k in range(3):
            joint = FIRST_JOINT[finger] + k
            features, offsets = _samples(vertices, faces, weights, finger, k)
            out[:, :, _columns([joint])] = _ridge(features, offsets)
            if k == 0 and finger != "thumb":
                wide = np.zeros((len(features), 9 * (NUM_JOINTS - 1)))
                wide[:, _columns([joint])] = features
                at_base.append(wide)
    # Neighbouring fingers share the skin between them: what their correctives together leave is
    # fitted again, on samples that hold what each does alone.
    columns = _columns([FIRST_JOINT[finger] for finger in FINGERS[1:]])
    alone = np.concatenate(at_base)[:, columns]
    together, rest = _samples_together(vertices, faces, weights, out)
    nothing = np.zeros((len(alone), *vertices.shape))
    features = np.concatenate([alone, together[:, columns]])
    out[:, :, columns] += _ridge(features, np.concatenate([nothing, rest]))
    return out


def _columns(joints: list[int]) -> np.ndarray:
    """Which of the 135 features are these joints'."""
    return np.concatenate([np.arange(9 * (joint - 1), 9 * joint) for joint in joints])


def _ridge(features: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """(V, 3, F) that maps features (P, F) to offsets (P, V, 3)."""
    system = features.T @ features + _RIDGE * np.eye(features.shape[1])
    fitted = np.linalg.solve(system, features.T @ offsets.reshape(len(offsets), -1))
    return np.moveaxis(fitted.reshape(-1, *offsets.shape[1:]), 0, -1)


def _samples(
    vertices: np.ndarray, faces: np.ndarray, weights: np.ndarray, finger: str, k: int
) -> tuple[np.ndarray, np.ndarray]:
    """R - I (P, 9) and the offsets of the rest vertices (P, V, 3) that put them on the flesh, for P
    poses of one joint."""
    joint, at = FIRST_JOINT[finger] + k, FINGER_POINTS[finger][k]
    turning = sum(weights[:, j] for j in range(1, NUM_JOINTS) if joint in _ancestry(j))
    flesh = _flesh(finger, k)
    carried, nodes, shares = flesh.carry(vertices)
    where = chain(vertices, finger)
    near, far = _REACH[finger == "thumb"][k]
    position = where.along - where.starts[k]
    fade = ramp(position, -near, 0.005 - near) * ramp(position, far, far - 0.005)
    if k == 0:
        aside = np.linalg.norm(where.offset, axis=1) - FINGER_RADII[finger][0]
        fade *= ramp(aside, 0.014, 0.005)
    fade *= ramp(_others(vertices, finger) - where.surface, -0.004, 0.001)
    skin = Skin(vertices, faces, fade, where.up, *_SKIN[k == 0])

    def skinned(points: np.ndarray, rotation: np.ndarray) -> np.ndarray:
        # The lattice starts from the skinning of the nearest vertices.
        share = turning[cKDTree(vertices).query(points)[1]][:, None, None]
        turn = np.eye(3) + share * (rotation - np.eye(3))
        return np.einsum("vij,vj->vi", turn, points - at) + at

    features, offsets = [], []
    for sequence in _BENDS[finger == "thumb"][k]:
        angles = np.zeros((len(sequence), 5, 5))
        angles[:, FINGERS.index(finger)] = sequence
        rotations = list(to_matrix(finger_quaternions(angles, RIGHT)[:, joint]))
        for rotation, moved in zip(rotations, flesh.bend(at, rotations, skinned), strict=True):
            blend = np.eye(3) + turning[:, None, None] * (rotation - np.eye(3))
            target = np.einsum("vij,vj->vi", blend, vertices - at) + at
            soft = np.zeros_like(target)
            soft[carried] = np.einsum("vk,vkc->vc", shares, moved[nodes]) - target[carried]
            target += smooth(fade[:, None] * soft, faces)
            folds = [_fold(finger, k, rotation, at, where)] if finger != "thumb" or k else []
            target = skin.settle(target, folds)
            offset = np.linalg.solve(blend, (target - at)[..., None])[..., 0] - (vertices - at)
            features.append((rotation - np.eye(3)).reshape(-1))
            offsets.append(offset * (fade > 0)[:, None])
    return np.stack(features), np.stack(offsets)


def _samples_together(
    vertices: np.ndarray, faces: np.ndarray, weights: np.ndarray, posedirs: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Features (P, 135) and what is left to correct (P, V, 3) where fingers bend side by side."""
    wheres = [chain(vertices, finger) for finger in FINGERS]
    surfaces = np.stack([where.surface for where in wheres])
    nearest = surfaces.argmin(axis=0)
    along = np.select([nearest == n for n in range(5)], [where.along for where in wheres])
    near, far = _REACH[False][0]
    fade = ramp(along, -near, 0.006 - near) * ramp(along, far, far - 0.006) * (nearest > 0)
    fade *= ramp(surfaces.min(axis=0), 0.016, 0.006)
    up = np.clip((vertices[:, 1] - 0.006) / 0.012, -1.0, 1.0)
    skin = Skin(vertices, faces, fade, up, *_SKIN[True])
    features, rests = [], []
    for group in ((1, 2, 3, 4), (1, 2), (2, 3), (3, 4)):
        for bend in (45.0, 90.0):
            angles = np.zeros((5, 5))
            angles[list(group), 2] = bend
            matrices = to_matrix(finger_quaternions(angles, RIGHT))
            feature = (matrices[1:] - np.eye(3)).reshape(-1)
            places, blend = _skinned(vertices + posedirs @ feature, weights, matrices)
            folds = []
            for n in group:
                joint = FIRST_JOINT[FINGERS[n]]
                fold = _fold(FINGERS[n], 0, matrices[joint], REST_JOINTS[joint], wheres[n])
                folds.append(replace(fold, side=fold.side * (nearest == n)))
            move = skin.settle(places, folds) - places
            features.append(feature)
            rests.append(np.linalg.solve(blend, move[..., None])[..., 0])
    return np.stack(features), np.stack(rests)


def _skinned(
    vertices: np.ndarray, weights: np.ndarray, matrices: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Linear skinning by joint rotations (16, 3, 3): places (V, 3) and their blends (V, 3, 3)."""
    turns, shifts = [matrices[0]], [REST_JOINTS[0] - matrices[0] @ REST_JOINTS[0]]
    for joint, parent in enumerate(PARENTS[1:], start=1):
        pivot = turns[parent] @ REST_JOINTS[joint] + shifts[parent]
        turns.append(turns[parent] @ matrices[joint])
        shifts.append(pivot - turns[joint] @ REST_JOINTS[joint])
    blend = np.einsum("vj,jab->vab", weights, np.stack(turns))
    return np.einsum("vab,vb->va", blend, vertices) + weights @ np.stack(shifts), blend


def _fold(finger: str, k: int, rotation: np.ndarray, at: np.ndarray, where: Chain) -> Fold:
    """Where a joint folds when it is bent by `rotation`."""
    half = to_matrix(from_axis_angle(0.5 * to_axis_angle(from_matrix(rotation))))
    position = where.along - where.starts[k]
    if k == 0:
        # The skin of the palm folds further out than the joint lies.
        position = position - 0.006 * ramp(-where.up, -0.2, 0.8)
    return Fold(at, half @ finger_axes(finger)[k, 0], position * (where.up < 0.3), _FOLD_M[k == 0])


def _ancestry(joint: int) -> list[int]:
    """A joint and all above it."""
    out = []
    while joint > 0:
        out.append(joint)
        joint = PARENTS[joint]
    return out


def _flesh(finger: str, k: int) -> Flesh:
    """The tissue around joint k of a finger."""
    at, axes = FINGER_POINTS[finger][k], finger_axes(finger)
    near, far = _REACH[finger == "thumb"][k]
    radius = FINGER_RADII[finger][k]
    base = k == 0

    def inside(points: np.ndarray) -> np.ndarray:
        where = chain(points, finger)
        others = _others(points, finger)
        # Other fingers are left out where they are free of the palm.
        ours = (where.surface < others + 0.001) | (base & (where.along < 0.008))
        position = where.along - where.starts[k]
        kept = (position > -near - 0.004) & (position < far + 0.004)
        # The vertices of the coarse mesh lie a little outside the skin.
        return (distance(points) < 0.0012) & ours & kept

    def bone(points: np.ndarray) -> np.ndarray:
        where = chain(points, finger)
        position = where.along - where.starts[k]
        out = np.zeros(len(points), dtype=int)
        start, end = FINGER_POINTS[finger][k : k + 2]
        behind = FINGER_POINTS[finger][k - 1] if k else _carpal(finger)
        lift = 0.2 * radius * axes[k, 1]
        ahead = start + lift + 0.95 * radius * axes[k, 0]
        out[_flat_capsule(points, ahead, end + lift, axes[k, 2]) < 0.52 * radius] = 2
        out[_flat_capsule(points, behind + lift, start + lift, axes[k, 2]) < 0.56 * radius] = 1
        # The head of the near bone is the knuckle, close under the skin.
        head = start + (0.24 if base else 0.26) * radius * axes[k, 1]
        out[np.linalg.norm(points - head, axis=1) < (0.84 if base else 0.64) * radius] = 1
        if base:
            for other in FINGERS:
                if other != finger:
                    joints = FINGER_POINTS[other]
                    thick = 0.6 * FINGER_RADII[other][0]
                    for a, b in ((_carpal(other), joints[0]), (joints[0], joints[1])):
                        out[_flat_capsule(points, a, b, axes[0, 2]) < thick] = 1
        out[position < -near] = 1
        out[position > far] = 2
        return out

    low = np.minimum(at - far, at - near) - 0.006
    high = np.maximum(at + far, at + near) + 0.006
    if not base:
        wide = 1.6 * radius
        ends = np.stack([at - near * axes[k - 1, 0], at + far * axes[k, 0]])
        low, high = ends.min(axis=0) - wide, ends.max(axis=0) + wide
    return Flesh(inside, bone, low, high, _COARSE_M if base else _FINE_M)


def _others(points: np.ndarray, finger: str) -> np.ndarray:
    """Distance of points (N, 3) to the nearest other finger [m]."""
    return np.min([finger_distance(points, f) for f in FINGERS if f != finger], axis=0)


def _carpal(finger: str) -> np.ndarray:
    """Where a finger's metacarpal begins, near the wrist; the thumb's first joint is its own."""
    joint = FINGER_POINTS[finger][0]
    if finger == "thumb":
        return joint + np.array([0.016, 0.002, -0.006])
    return 0.25 * joint + 0.75 * (WRIST + np.array([-0.004, 0.0, -0.002]))


def _flat_capsule(
    points: np.ndarray, start: np.ndarray, end: np.ndarray, across: np.ndarray
) -> np.ndarray:
    """Distance of points to a segment, 1.35 times as wide along `across` as it is high."""
    along = end - start
    t = np.clip((points - start) @ along / (along @ along), 0.0, 1.0)
    out = points - start - t[:, None] * along
    out = out + (out @ across * (1 / 1.35 - 1))[:, None] * across
    return np.linalg.norm(out, axis=1)
