"""Handshapes from where fingers are to be: tips at points, pads on pads, fingers on the palm.

`reach` drags fingertips to points, for editing; `solve` also takes contacts between places on the
skin, for building handshapes. Both search the 25 angles of a handshape table, inside their limits
and near a given table, so that no finger passes through another. Nonlinear least squares (SciPy's
trust region); contacts pair each vertex with the nearest tangent plane, anew at every step.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import least_squares

from emo2.errors import InputError
from emo2.hands.contact import PALM, HandSurface, Spot
from emo2.hands.limits import LIMITS_DEG, clamp_angles, most_spread
from emo2.hands.model import HandModel
from emo2.hands.skeleton import FINGERS

TIP_PER_MIDDLE = 2.0 / 3.0
"""A finger's last joint follows its middle joint: they share a tendon."""
CONTACT_M = 0.00025
"""How exactly contacts and targets are met, where angles may stray by `PRIOR_DEG`."""
FLESH_M = 0.0004
"""How far skin may give way before it counts as one finger inside another."""
SOLID = 2.0
"""How much more a vertex inside another finger counts than a goal that is missed as far."""
PRIOR_DEG = 12.0
COUPLING_DEG = 25.0
FACING = 0.25
"""How far two touching normals may miss each other, as a length."""
_STEP_DEG = 0.2
_MAX_STEPS, _MAX_STARTS = 40, 5


@dataclass(frozen=True)
class Reach:
    """A finger's tip is at a point (3,) in the wrist's frame, metres."""

    finger: str
    point_m: tuple[float, float, float]


@dataclass(frozen=True)
class Touch:
    """Two spots meet, skin on skin, and face each other unless `facing` is 0."""

    a: Spot
    b: Spot
    facing: float = 1.0
    weight: float = 1.0
    gap_m: float = 0.0


@dataclass(frozen=True)
class Rest:
    """A spot lies somewhere on the skin of a part: "palm" or a finger's name."""

    spot: Spot
    on: str
    weight: float = 1.0


Goal = Reach | Touch | Rest


def reach(
    targets: Mapping[str, np.ndarray],
    start_angles: np.ndarray,
    hand: int,
    hand_model: HandModel,
    betas: np.ndarray | None = None,
    contacts: bool = True,
) -> np.ndarray:
    """The handshape (5, 5) [degrees] near `start_angles` whose fingertips are at `targets`.

    `targets` maps a finger to where its tip (`HandModel.joints`) is to be: a point (3,) in the
    wrist's frame, metres, relative to the wrist joint. The other fingers stay as they are. A target
    out of reach is neared as far as the joints go. `contacts=False` is faster and lets fingers pass
    through each other. Raises InputError for a finger that is none and a target that is no point.
    """
    goals = []
    for finger, point in targets.items():
        point = np.asarray(point, dtype=np.float64)
        if finger not in FINGERS:
            raise InputError(
                "targets", "must name fingers", repr(finger), f"Use {', '.join(FINGERS)}."
            )
        if point.shape != (3,) or not np.isfinite(point).all():
            raise InputError(
                "targets", "must be finite points (3,) [m]", point, "Pass x, y, z in metres."
            )
        goals.append(Reach(finger, tuple(point)))
    surface = HandSurface(hand_model, hand, betas)
    # A dragged tip goes where it is dragged: the angles only choose among the ways to get there.
    return solve(
        goals, start_angles, surface, tuple(targets), prior_deg=8 * PRIOR_DEG, contacts=contacts
    )


def solve(
    goals: Sequence[Goal],
    start_angles: np.ndarray,
    surface: HandSurface,
    free: Sequence[str] = FINGERS,
    *,
    prior_deg: float = PRIOR_DEG,
    contacts: bool = True,
) -> np.ndarray:
    """The handshape (5, 5) [degrees] near `start_angles` that meets `goals` with the `free` fingers
    moving, inside `LIMITS_DEG`; raises InputError for a start that is not (5, 5) and finite."""
    start = np.asarray(start_angles, dtype=np.float64)
    if start.shape != (5, 5) or not np.isfinite(start).all():
        raise InputError(
            "start_angles", "must be finite, (5, 5)", start.shape, "Pass a table of SHAPES."
        )
    moving = np.zeros((5, 5), dtype=bool)
    moving[[FINGERS.index(f) for f in free]] = True
    moving[1:, 0] = False  # fingers do not twist by themselves
    if not moving.any():
        return start.copy()
    problem = _Problem(goals, start, moving, surface, prior_deg, contacts)
    low, high = np.moveaxis(LIMITS_DEG[moving], -1, 0)
    # Middle and last joints bend backwards only where they did so before.
    hinge = np.broadcast_to(np.arange(5) >= 3, (5, 5))[moving]
    low = np.where(hinge, np.maximum(low, np.minimum(start[moving], 0.0) - 0.01), low)
    first = np.clip(clamp_angles(start)[moving], low + 0.01, high - 0.01)
    found, cost = first, np.inf
    for _ in range(_MAX_STARTS):
        # Pairs change on the way, so a search may stop early: another one starts where it did.
        result = least_squares(
            problem.residuals,
            np.clip(found, low + 0.01, high - 0.01),
            problem.jacobian,
            bounds=(low, high),
            x_scale=10.0,
            ftol=1e-5,
            xtol=1e-5,
            max_nfev=_MAX_STEPS,
        )
        if result.cost < cost:
            found = result.x
        if result.cost > 0.99 * cost:
            break
        cost = result.cost
    angles = start.copy()
    angles[moving] = found
    return np.where(moving, clamp_angles(angles), start)


class _Problem:
    """The residuals of one search; everything is divided by what it may stray."""

    def __init__(self, goals, start, moving, surface, prior_deg, contacts) -> None:
        self._start, self._moving, self._surface = start, moving, surface
        self._prior_deg, self._contacts = prior_deg, contacts
        self._reaches = [goal for goal in goals if isinstance(goal, Reach)]
        self._touches = [
            (surface.spot(goal.a), surface.spot(goal.b), goal)
            for goal in goals
            if isinstance(goal, Touch)
        ]
        self._rests = [
            (surface.spot(goal.spot), _members(surface, goal.on), goal)
            for goal in goals
            if isinstance(goal, Rest)
        ]
        self._needs_skin = contacts or self._touches or self._rests
        self._at: np.ndarray | None = None

    def residuals(self, x: np.ndarray) -> np.ndarray:
        self._look(x)
        return self._residuals(x[None])[0]

    def jacobian(self, x: np.ndarray) -> np.ndarray:
        self._look(x)
        # Forward differences, backwards where the limit is near; all poses in one batch.
        high = LIMITS_DEG[self._moving][:, 1]
        step = np.where(x + _STEP_DEG > high, -_STEP_DEG, _STEP_DEG)
        values = self._residuals(np.concatenate([x[None], x + np.diag(step)]))
        return ((values[1:] - values[0]) / step[:, None]).T

    def _look(self, x: np.ndarray) -> None:
        """Pair the skin with what it touches in the pose `x`; the pairs hold while differences are
        taken."""
        if not self._needs_skin or (self._at is not None and np.array_equal(self._at, x)):
            return
        self._at = x.copy()
        points = self._surface.points(self._tables(x[None]))[0]
        self._normals = self._surface.normals(points)
        if self._contacts:
            gaps = self._surface.gaps(points, self._normals)
            self._pressed = gaps.distance < -FLESH_M
            self._partner = np.where(self._pressed, gaps.partner, 0)
        self._under = [
            members[np.linalg.norm(points[members] - points[spot[0]], axis=1).argmin()]
            for spot, members, _ in self._rests
        ]

    def _tables(self, x: np.ndarray) -> np.ndarray:
        tables = np.repeat(self._start[None], len(x), axis=0)
        tables[:, self._moving] = x
        return tables

    def _residuals(self, x: np.ndarray) -> np.ndarray:
        """(N, R) for the moving angles of N poses."""
        tables = self._tables(x)
        rows = [(x - self._start[self._moving]) / self._prior_deg]
        fingers = tables[:, 1:]
        rows.append((fingers[..., 4] - TIP_PER_MIDDLE * fingers[..., 3]) / COUPLING_DEG)
        rows.append(np.maximum(fingers[..., 1] - most_spread(fingers[..., 2]), 0.0))
        if self._reaches:
            tips = self._surface.tips(tables)
            for goal in self._reaches:
                away = tips[:, FINGERS.index(goal.finger)] - np.array(goal.point_m)
                rows.append(away / CONTACT_M)
        if self._needs_skin:
            rows += self._skin_rows(self._surface.points(tables))
        return np.concatenate(rows, axis=1)

    def _skin_rows(self, points: np.ndarray) -> list[np.ndarray]:
        rows = []
        for a, b, goal in self._touches:
            normal_a, normal_b = _normal(points, a), _normal(points, b)
            away = points[:, a[0]] - points[:, b[0]] - goal.gap_m * normal_b
            rows.append(goal.weight * away / CONTACT_M)
            rows.append(goal.facing * (normal_a + normal_b) / FACING)
        for (spot, _, goal), under in zip(self._rests, self._under, strict=True):
            height = (points[:, spot[0]] - points[:, under]) @ self._normals[under]
            rows.append(goal.weight * height[:, None] / CONTACT_M)
        if self._contacts:
            normals = self._normals[self._partner]
            height = ((points - points[:, self._partner]) * normals).sum(-1) + FLESH_M
            inside = np.where(self._pressed, np.minimum(height, 0.0), 0.0)
            rows.append(SOLID * inside / CONTACT_M)
        return rows


def _members(surface: HandSurface, on: str) -> np.ndarray:
    """The vertices of "palm" or of a finger."""
    if on == "palm":
        return np.flatnonzero(surface.part == PALM)
    first = 1 + 3 * FINGERS.index(on)
    return np.flatnonzero((surface.part >= first) & (surface.part < first + 3))


def _normal(points: np.ndarray, triangle: np.ndarray) -> np.ndarray:
    """(N, 3) unit normals of a triangle in N poses (N, V', 3)."""
    a, b, c = (points[:, i] for i in triangle)
    across = np.cross(b - a, c - a)
    return across / np.linalg.norm(across, axis=1, keepdims=True)
