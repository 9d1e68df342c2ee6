"""Where the skin of one hand meets itself: named spots, gaps between parts, fingers in fingers.

In: handshape tables. Out: points of the smooth surface that people see, in the wrist's frame, and
signed distances between its parts. Works with any hand model, the free one or MANO's own: parts are
told by the nearest bone of the flat hand.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import permutations

import numpy as np
from scipy.spatial import cKDTree

from emo2.errors import InputError
from emo2.hands.model import HandModel
from emo2.hands.shapes import finger_quaternions
from emo2.hands.skeleton import CHAINS, FINGERS, LEFT, RIGHT
from emo2.types import NUM_BETAS, NUM_HANDS, HandMotion

PALM = 0
_WEB = 0.52
"""Share of a finger's first bone, from the knuckle, that lies in the palm's skin."""
_NEAR_M = 0.012
_SIDES = ("pad", "back", "thumbward", "outward")


@dataclass(frozen=True)
class Spot:
    """A place on the skin of a finger."""

    finger: str
    bone: int
    """1, 2, 3 from the knuckle (the thumb's 1 is its metacarpal)."""
    along: float
    """0 at the bone's near end, 1 at its far end."""
    side: str = "pad"
    """"pad", "back", "thumbward" (to the thumb's side of the hand) or "outward"."""


PAD = {f: Spot(f, 3, 0.60) for f in FINGERS}
"""The middle of each fingertip's pad."""


class HandSurface:
    """The smooth surface of one hand for any handshapes."""

    def __init__(
        self, hand_model: HandModel, hand: int = RIGHT, betas: np.ndarray | None = None
    ) -> None:
        self._model, self._hand = hand_model, hand
        self._betas = np.zeros(NUM_BETAS) if betas is None else np.asarray(betas)
        self._faces = hand_model.smooth_faces[hand]
        flat = self._motion(np.zeros((1, 5, 5)))
        self._rest_joints = hand_model.joints(flat)[0, hand]
        self._rest = self.points(np.zeros((1, 5, 5)))[0]
        self._rest_normals = self.normals(self._rest)
        self.part: np.ndarray = self._parts()
        """(V',) int: 0 for the palm, 1 + 3 finger + bone - 1 on the fingers."""
        self._members = [np.flatnonzero(self.part == part) for part in range(16)]
        self._edge = self._edges()
        self._others = [
            [other for other in range(16) if _may_touch(part, other)] for part in range(16)
        ]

    def points(self, angles_deg: np.ndarray) -> np.ndarray:
        """(N, V', 3) metres in the wrist's frame for handshape tables (N, 5, 5)."""
        vertices = self._model.vertices(self._motion(angles_deg))
        return self._model.subdivide(vertices)[:, self._hand].astype(np.float64)

    def tips(self, angles_deg: np.ndarray) -> np.ndarray:
        """(N, 5, 3) metres in the wrist's frame: the finger tips of `HandModel.joints`."""
        joints = self._model.joints(self._motion(angles_deg))[:, self._hand]
        return joints[:, 16:].astype(np.float64)

    def normals(self, points: np.ndarray) -> np.ndarray:
        """(V', 3) unit, outward, of one posed surface (V', 3)."""
        corners = points[self._faces]
        across = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        total = np.zeros_like(points)
        for k in range(3):
            np.add.at(total, self._faces[:, k], across)
        return total / np.maximum(np.linalg.norm(total, axis=1, keepdims=True), 1e-12)

    def spot(self, spot: Spot) -> np.ndarray:
        """(3,) ids of three vertices around a spot, the nearest first, counter-clockwise from
        outside; InputError for a place that no finger has."""
        if spot.finger not in FINGERS or spot.bone not in (1, 2, 3) or spot.side not in _SIDES:
            raise InputError(
                "spot", "must be on a finger's bone 1 to 3", spot, f"Sides are {_SIDES}."
            )
        start, end = self._bone(FINGERS.index(spot.finger), spot.bone)
        along = (end - start) / np.linalg.norm(end - start)
        centre = start + spot.along * (end - start)
        towards = self._side(spot, along)
        member = self.part == 1 + 3 * FINGERS.index(spot.finger) + spot.bone - 1
        offset = self._rest - centre
        height = offset @ towards
        beside = np.linalg.norm(offset - height[:, None] * towards, axis=1)
        score = np.where(member & (height > 0), beside, np.inf)
        nearest = int(score.argmin())
        away = np.linalg.norm(self._rest - self._rest[nearest], axis=1)
        ring = np.argsort(away, kind="stable")[1:7]
        return self._wide_triangle(nearest, ring)

    def gaps(self, points: np.ndarray, normals: np.ndarray) -> Gaps:
        """How far each finger vertex of one posed surface stands off the skin it could touch."""
        trees = [cKDTree(points[m]) for m in self._members]
        low = np.stack([points[m].min(axis=0) for m in self._members]) - _NEAR_M / 2
        high = np.stack([points[m].max(axis=0) for m in self._members]) + _NEAR_M / 2
        partner, distance = np.full(len(points), -1), np.full(len(points), _NEAR_M)
        for part, members in enumerate(self._members):
            for other in self._others[part]:
                if np.any(low[part] > high[other]) or np.any(low[other] > high[part]):
                    continue
                away, index = trees[other].query(points[members], distance_upper_bound=_NEAR_M)
                near = away < distance[members]
                partner[members[near]] = self._members[other][index[near]]
                distance[members[near]] = away[near]
        height = ((points - points[partner]) * normals[partner]).sum(axis=1)
        # Beyond the edge of what a part may touch its own skin goes on: below it is not inside.
        inside = (partner >= 0) & (height < 0) & ~self._edge[self.part, partner]
        distance = np.where(inside, height, distance)
        return Gaps(partner, distance)

    def depth_m(self, angles_deg: np.ndarray) -> float:
        """How deep the worst vertex of a finger lies in another finger, in the palm or in its own
        first bone, metres; 0 for a hand that only touches itself."""
        points = self.points(np.asarray(angles_deg)[None])[0]
        return max(0.0, -float(self.gaps(points, self.normals(points)).distance.min()))

    def _motion(self, angles_deg: np.ndarray) -> HandMotion:
        one = finger_quaternions(angles_deg, self._hand)
        quaternions = np.zeros((len(one), NUM_HANDS, 16, 4))
        quaternions[..., 0] = 1.0
        quaternions[:, self._hand] = one
        betas = np.zeros((NUM_HANDS, NUM_BETAS))
        betas[self._hand] = self._betas
        still = np.zeros((len(one), NUM_HANDS, 3))
        return HandMotion(quaternions, still, np.ones(still.shape[:2], bool), betas, 24.0)

    def _bone(self, finger: int, bone: int) -> tuple[np.ndarray, np.ndarray]:
        chain = self._rest_joints[list(CHAINS[finger])]
        return chain[bone], chain[bone + 1]

    def _parts(self) -> np.ndarray:
        nearest, part = np.full(len(self._rest), np.inf), np.zeros(len(self._rest), int)
        wrist = self._rest_joints[0]
        for finger in range(5):
            bones = [(wrist, self._bone(finger, 1)[0])]
            bones += [self._bone(finger, k) for k in (1, 2, 3)]
            for k, (start, end) in enumerate(bones):
                t = (self._rest - start) @ (end - start) / ((end - start) @ (end - start))
                on = start + np.clip(t, 0.0, 1.0)[:, None] * (end - start)
                away = np.linalg.norm(self._rest - on, axis=1)
                # The web between thumb and palm reaches a joint further than those of the fingers.
                web = k == (2 if FINGERS[finger] == "thumb" else 1)
                root = 3 * finger + k - 1 if k > 1 else PALM
                label = np.where(web & (t < _WEB), root, 3 * finger + k if k else PALM)
                part = np.where(away < nearest, label, part)
                nearest = np.minimum(away, nearest)
        return part

    def _edges(self) -> np.ndarray:
        """(16, V') bool: vertices with a neighbour that a vertex of this part may not touch."""
        allowed = np.array([[_may_touch(part, other) for other in range(16)] for part in range(16)])
        edge = np.zeros((16, len(self.part)), dtype=bool)
        for i, j in permutations(range(3), 2):
            beside = ~allowed[:, self.part[self._faces[:, j]]]
            np.logical_or.at(edge, (slice(None), self._faces[:, i]), beside)
        return edge

    def _side(self, spot: Spot, along: np.ndarray) -> np.ndarray:
        """The outward direction of a spot's side, square to the bone, in the flat hand."""
        to_thumb = np.array([0.0, 0.0, 1.0])
        if spot.finger == "thumb":
            # The thumb's nail faces half to its side: seen along it, the pad faces the index.
            pad = np.array([0.0, -0.62, -0.78])
            to_thumb = np.cross(along, pad) * (-1.0 if self._hand == LEFT else 1.0)
        else:
            pad = np.array([0.0, -1.0, 0.0])
        towards = {"pad": pad, "back": -pad, "thumbward": to_thumb, "outward": -to_thumb}[spot.side]
        towards = towards - along * (along @ towards)
        return towards / np.linalg.norm(towards)

    def _wide_triangle(self, centre: int, ring: np.ndarray) -> np.ndarray:
        """`centre` and the two of its neighbours that make the best corner with it."""
        normal, origin = self._rest_normals[centre], self._rest[centre]
        best, chosen = -1.0, ring[:2]
        for i in ring:
            for j in ring:
                area = np.cross(self._rest[i] - origin, self._rest[j] - origin) @ normal
                if area > best:
                    best, chosen = area, np.array([i, j])
        return np.array([centre, *chosen])


@dataclass(frozen=True)
class Gaps:
    """Each vertex and the skin next to it."""

    partner: np.ndarray
    """(V',) int: the vertex of another part that is nearest to this one, -1 where none is near."""
    distance: np.ndarray
    """(V',) metres to it; negative inside it."""


def _may_touch(part: int, other: int) -> bool:
    """Whether two parts can meet: not neighbours along a finger, not a finger's root and the
    palm."""
    if part in (PALM, other):
        return False
    finger, bone = divmod(part - 1, 3)
    if other == PALM:
        return bone > 0
    other_finger, other_bone = divmod(other - 1, 3)
    return finger != other_finger or abs(bone - other_bone) > 1
