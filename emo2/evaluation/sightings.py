"""What detectors see in a film's frames: its face and its hands. mediapipe looks at every frame on
its own, so nothing the renderer knows can leak into what is measured.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from emo2.types import NUM_HANDS, Camera, Frame, HandMotion

# MediaPipe's 21 hand points out of `HandModel.joints` (MANO's 16, then five tips).
MEDIAPIPE_ORDER = np.array(
    [0, 13, 14, 15, 16, 1, 2, 3, 17, 4, 5, 6, 18, 10, 11, 12, 19, 7, 8, 9, 20]
)
MOSTLY = 0.9
FOUND_WITHIN = 0.5
"""A detection belongs to a hand when its points lie this close on average, in hand sizes."""
PCK_WITHIN = 0.2
APART = 0.75
"""Two hands overlap when their centres are nearer than this, in hand sizes: one may hide the
other."""


@dataclass(frozen=True)
class Sighting:
    """One frame's."""

    face: np.ndarray | None
    """(468, 2) pixels."""
    hands: tuple[np.ndarray, ...]
    """(21, 2) pixels each, in mediapipe's order."""


def watch(frames: Iterable[Frame], *, faces_only: bool = False) -> Iterator[tuple[Frame, Sighting]]:
    """Each frame with what is seen in it. A frame that is repeated is looked at once."""
    from mediapipe.python.solutions import face_mesh, hands

    with (
        face_mesh.FaceMesh(static_image_mode=True, max_num_faces=1) as find_face,
        hands.Hands(static_image_mode=True, max_num_hands=NUM_HANDS) as find_hands,
    ):
        last, sighting = None, Sighting(None, ())
        for frame in frames:
            if frame is not last:
                scale = np.array([frame.shape[1], frame.shape[0]], np.float64)
                faces = find_face.process(frame).multi_face_landmarks or []
                found = [] if faces_only else find_hands.process(frame).multi_hand_landmarks or []
                points = [
                    np.array([(p.x, p.y) for p in group.landmark]) * scale
                    for group in (*faces, *found)
                ]
                face = points.pop(0) if faces else None
                last, sighting = frame, Sighting(face, tuple(points))
            yield frame, sighting


@dataclass(frozen=True)
class Hands:
    """Where a motion's hands should be in a film."""

    points: np.ndarray
    """(T, 2, 21, 2) pixels, in mediapipe's order."""
    sizes: np.ndarray
    """(T, 2) pixels, the longer side of each hand's box."""
    in_view: np.ndarray
    """(T, 2) bool: shown, and nine tenths of it inside the frame."""

    @classmethod
    def of(cls, motion: HandMotion, joints_m: np.ndarray, camera: Camera) -> Hands:
        """`joints_m` (T, 2, 21, 3) is `HandModel.joints(motion)`."""
        points = camera.project(joints_m)[:, :, MEDIAPIPE_ORDER]
        frame = np.array([camera.width_px, camera.height_px])
        inside = ((points >= 0) & (points < frame)).all(axis=-1).mean(axis=-1)
        sizes = np.ptp(points, axis=2).max(axis=-1)
        return cls(points, sizes, motion.visible & (inside > MOSTLY))

    def __getitem__(self, frames: slice) -> Hands:
        """Some of the frames."""
        return Hands(self.points[frames], self.sizes[frames], self.in_view[frames])

    @property
    def apart(self) -> np.ndarray:
        """(T,) bool: both in view, neither over the other."""
        gap = np.linalg.norm(np.subtract(*self.points.mean(axis=2).swapaxes(0, 1)), axis=-1)
        return self.in_view.all(axis=1) & (gap > APART * self.sizes.mean(axis=1))


@dataclass(frozen=True)
class HandScore:
    """Shares 0..1, `nan` where there was nothing to find."""

    any_found: float
    """Frames with a hand in view in which one is found where it should be."""
    both_found: float
    """Frames with both in view and apart in which both are."""
    each_found: float
    """Hands in view that are found."""
    pck: float
    """Found hands' points within 0.2 hand sizes of the projected joint."""

    @classmethod
    def of(cls, sightings: Iterable[Sighting], hands: Hands) -> HandScore:
        """How well the hands that are seen are those that should be, as long as both last."""
        sightings = list(sightings)[: len(hands.points)]
        hands = hands[: len(sightings)]
        found = np.zeros(hands.in_view.shape, bool)
        both = np.zeros(len(found), bool)
        near: list[np.ndarray] = []
        for t, sighting in enumerate(sightings):
            for hand in np.flatnonzero(hands.in_view[t]):
                errors = [
                    np.linalg.norm(seen - hands.points[t, hand], axis=-1) / hands.sizes[t, hand]
                    for seen in sighting.hands
                ]
                nearest = min(errors, key=np.mean, default=np.array([np.inf]))
                found[t, hand] = nearest.mean() < FOUND_WITHIN
                if found[t, hand]:
                    near.append(nearest < PCK_WITHIN)
            both[t] = found[t].all() and len(sighting.hands) >= NUM_HANDS
        return cls(
            any_found=_share(found.any(axis=1)[hands.in_view.any(axis=1)]),
            both_found=_share(both[hands.apart]),
            each_found=_share(found[hands.in_view]),
            pck=_share(np.concatenate(near)) if near else np.nan,
        )


def _share(values: np.ndarray) -> float:
    return float(np.mean(values)) if len(values) else np.nan
