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
DETECTED = 0.5
"""mediapipe's own threshold for a palm and for a hand."""
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
    palms: tuple[float, ...] = ()
    """How sure the detector is of each hand's palm, 0..1; 0 where its palm cannot be told."""


def watch(frames: Iterable[Frame], *, faces_only: bool = False) -> Iterator[tuple[Frame, Sighting]]:
    """Each frame with what is seen in it. A frame that is repeated is looked at once."""
    from mediapipe.python.solutions import face_mesh

    with (
        face_mesh.FaceMesh(static_image_mode=True, max_num_faces=1) as find_face,
        _hand_finder() as find_hands,
    ):
        last, sighting = None, Sighting(None, ())
        for frame in frames:
            if frame is not last:
                scale = np.array([frame.shape[1], frame.shape[0]], np.float64)
                faces = find_face.process(frame).multi_face_landmarks or []
                found = None if faces_only else find_hands.process({"image": frame})
                hands = (found and found.multi_hand_landmarks) or []
                points = [
                    np.array([(p.x, p.y) for p in group.landmark]) * scale
                    for group in (*faces, *hands)
                ]
                face = points.pop(0) if faces else None
                palms = _palms(points, (found and found.palm_detections) or [], scale)
                last, sighting = frame, Sighting(face, tuple(points), palms)
            yield frame, sighting


def _hand_finder():
    """mediapipe's `Hands(static_image_mode=True)`, asked for its palm detections as well."""
    from mediapipe.python.solution_base import SolutionBase

    return SolutionBase(
        binary_graph_path="mediapipe/modules/hand_landmark/hand_landmark_tracking_cpu.binarypb",
        side_inputs={
            "model_complexity": 1,
            "num_hands": NUM_HANDS,
            "use_prev_landmarks": False,
        },
        calculator_params={
            "palmdetectioncpu__TensorsToDetectionsCalculator.min_score_thresh": DETECTED,
            "handlandmarkcpu__ThresholdingCalculator.threshold": DETECTED,
        },
        outputs=["multi_hand_landmarks", "palm_detections"],
    )


def _palms(hands: list[np.ndarray], detections: list, scale: np.ndarray) -> tuple[float, ...]:
    """Each hand's palm is the one whose wrist and middle knuckle lie nearest to its own."""
    scores = []
    for points in hands:
        own, size = points[[0, 9]], np.ptp(points, axis=0).max()
        near = [(np.inf, 0.0)]
        for palm in detections:
            keys = palm.location_data.relative_keypoints
            theirs = np.array([(keys[k].x, keys[k].y) for k in (0, 2)]) * scale
            gap = np.linalg.norm(theirs - own, axis=-1).mean() / size
            near.append((gap, palm.score[0]))
        gap, score = min(near)
        scores.append(float(score) if gap < FOUND_WITHIN else 0.0)
    return tuple(scores)


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

    def errors(self, seen: np.ndarray, t: int, hand: int) -> np.ndarray:
        """(21,) how far points that were seen lie from this hand's, in hand sizes."""
        return np.linalg.norm(seen - self.points[t, hand], axis=-1) / self.sizes[t, hand]

    def seen(self, sighting: Sighting, t: int, hand: int) -> int | None:
        """Which of the hands in a sighting is this one; None where it is not among them."""
        means = [self.errors(seen, t, hand).mean() for seen in sighting.hands]
        nearest = int(np.argmin(means)) if means else -1
        return nearest if means and means[nearest] < FOUND_WITHIN else None

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
                at = hands.seen(sighting, t, hand)
                found[t, hand] = at is not None
                if at is not None:
                    near.append(hands.errors(sighting.hands[at], t, hand) < PCK_WITHIN)
            both[t] = found[t].all() and len(sighting.hands) >= NUM_HANDS
        return cls(
            any_found=_share(found.any(axis=1)[hands.in_view.any(axis=1)]),
            both_found=_share(both[hands.apart]),
            each_found=_share(found[hands.in_view]),
            pck=_share(np.concatenate(near)) if near else np.nan,
        )


def _share(values: np.ndarray) -> float:
    return float(np.mean(values)) if len(values) else np.nan
