"""Posed skin that folds instead of crossing itself, and keeps the volume under it.

Skin vertices are moved as little and as smoothly as will do: away from the plane that bisects a
bent joint, where the two sides of a fold meet, and outwards until the hand has its volume at rest
again. Pads give way, the bony back hardly does.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from emo2.hands.free_hand.chains import ramp
from emo2.hands.free_hand.remesh import border_loops

SKIN_STIFFNESS = 2.0
"""How much more neighbouring skin minds moving apart than moving."""
_FOLD_GAP_M = 0.0005
_FOLD_FORCE = 12.0
_ROUNDS = 8


@dataclass(frozen=True)
class Fold:
    """The plane in which a bent joint folds."""

    centre: np.ndarray
    """(3,) metres."""
    normal: np.ndarray
    """(3,) unit, from the near side to the far side."""
    side: np.ndarray
    """(V,) metres from the fold at rest: negative on the near side, 0 for who does not matter."""
    reach_m: float
    """How far skin is pushed out of the other side."""


class Skin:
    """The skin of the hand, free to move where `fade` (V,) is above 0."""

    def __init__(
        self,
        vertices: np.ndarray,
        faces: np.ndarray,
        fade: np.ndarray,
        up: np.ndarray,
        bony: float,
        kept: float,
    ) -> None:
        """`up` (V,) tells back (1) from pads (-1), `bony` how much the back gives where pads give
        1; `kept` is the share of lost volume that is restored."""
        self._faces, self._rim = faces, border_loops(faces)[0]
        self._free = np.flatnonzero(fade > 0.02)
        give = fade[self._free] * (bony + (1 - bony) * ramp(-up[self._free], -0.6, 0.6))
        index = np.full(len(vertices), -1)
        index[self._free] = np.arange(len(self._free))
        i, j = (index[end] for end in edge_ends(faces))
        inner = (i >= 0) & (j >= 0)
        stiffness = np.diag(1.0 / give)
        np.add.at(stiffness, (i[inner], j[inner]), -SKIN_STIFFNESS)
        np.add.at(stiffness, (i[i >= 0], i[i >= 0]), SKIN_STIFFNESS)
        self._stiffness, self._compliance = stiffness, np.linalg.inv(stiffness)
        self._kept, self._volume = kept, self.volume(vertices)[0]

    def settle(self, places: np.ndarray, folds: list[Fold]) -> np.ndarray:
        """Where skin at `places` (V, 3) comes to rest."""
        places, free = places.copy(), self._free
        wanted = self._volume + (1 - self._kept) * (self.volume(places)[0] - self._volume)
        for _ in range(_ROUNDS):
            for fold in folds:
                side = fold.side[free]
                gap = _FOLD_GAP_M * np.minimum(np.abs(side) / 4e-3, 1.0)
                across = (places[free] - fold.centre) @ fold.normal
                behind = np.where(
                    side == 0, 0.0, np.clip(gap - across * np.sign(side), 0.0, fold.reach_m)
                )
                if behind.max() > 1e-5:
                    push = _FOLD_FORCE * (behind > 0)
                    move = np.linalg.solve(
                        self._stiffness + np.diag(push), push * behind * np.sign(side)
                    )
                    places[free] += move[:, None] * fold.normal
            volume, slope = self.volume(places)
            answer = self._compliance @ slope[free]
            places[free] += answer * ((wanted - volume) / np.sum(slope[free] * answer))
        return places

    def volume(self, places: np.ndarray) -> tuple[float, np.ndarray]:
        """The volume of the hand [m^3], its open wrist closed by a fan, and the gradient (V, 3)."""
        slope = np.zeros_like(places)
        a, b, c = (places[self._faces[:, n]] for n in range(3))
        for n, (u, v) in enumerate(((b, c), (c, a), (a, b))):
            np.add.at(slope, self._faces[:, n], np.cross(u, v) / 6)
        ring = places[self._rim]
        fan = np.sum(ring.mean(axis=0) * np.cross(np.roll(ring, -1, axis=0), ring)) / 6
        return float(np.einsum("fi,fi->", a, np.cross(b, c)) / 6 + fan), slope


def smooth(offset: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Offsets (V, 3) a third of the way to their neighbours' mean."""
    i, j = edge_ends(faces)
    total = np.zeros_like(offset)
    np.add.at(total, i, offset[j])
    return (2 * offset + total / np.bincount(i, minlength=len(offset))[:, None]) / 3


def edge_ends(faces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both ends of all edges, each both ways."""
    edges = np.unique(np.sort(faces[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2), axis=1), axis=0)
    ends = np.concatenate([edges, edges[:, ::-1]])
    return ends[:, 0], ends[:, 1]
