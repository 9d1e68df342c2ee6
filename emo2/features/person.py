"""Find the one person a film is made of: face mesh, shoulders, arms, hands and a coarse mask, in
source pixels.

The largest face decides. Small faces, faces of other people and hands that the detectors miss in
the whole picture are looked for again in magnified crops.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from emo2.errors import InputError
from emo2.features.detectors import POSE_VISIBLE, Detectors, FoundHand, FoundPose, crop_and_zoom

VIEW_PX = 640
"""Long side at which whole pictures and bodies are shown to the detectors."""
FACE_VIEW_PX = 320
HAND_VIEW_PX = 256
SMALL_FACE = 0.12
"""Faces lower than this share of the view are measured again in a magnified crop."""

SHOULDERS, ELBOWS, WRISTS = [11, 12], [13, 14], [15, 16]  # mediapipe pose: the person's left, right
NOSE = 0
FOREHEAD, CHIN, FACE_LEFT, FACE_RIGHT, NOSE_TIP = 10, 152, 454, 234, 1  # mediapipe face mesh


@dataclass(frozen=True)
class Person:
    """One person, in pixels of the picture that was searched. NaN marks what was not seen."""

    face: np.ndarray
    """(478, 3) float32."""
    shoulders: np.ndarray
    """(2, 2) float32, left then right; always there, guessed from the face if need be."""
    elbows: np.ndarray
    """(2, 2) float32."""
    wrists: np.ndarray
    """(2, 2) float32."""
    hands: np.ndarray
    """(2, 21, 2) float32."""
    mask: np.ndarray
    """(H, W) float32 in [0, 1], coarse edges; this person only."""
    arms_guess: np.ndarray | None
    """(2, 2, 2) float32: each side's elbow and wrist as the pose model supposes them, seen or not.
    None without a pose: then the shoulders, too, are a guess from the face."""
    notes: tuple[str, ...]

    @property
    def face_size(self) -> np.ndarray:
        """(width, height) of the face in pixels, as seen from its front: turning does not shrink
        it."""
        width = np.linalg.norm(self.face[FACE_LEFT] - self.face[FACE_RIGHT])
        height = np.linalg.norm(self.face[FOREHEAD] - self.face[CHIN])
        return np.array([width, height])


def find_person(image: np.ndarray, detectors: Detectors) -> Person:
    """The person with the largest face in `image` (H, W, 3) uint8.

    Raises InputError where no face is found.
    """
    faces = _find_faces(image, detectors)
    if not faces:
        raise InputError(
            "portrait",
            "must show a person whose face can be seen",
            f"a picture of {image.shape[1]} x {image.shape[0]} pixels without a face we can find",
            "Use a picture with the face towards the camera, unobstructed and well lit.",
        )
    face, others = faces[0], faces[1:]
    notes = []
    if others:
        notes.append(f"{len(faces)} people: the one with the largest face was taken")
    pose = _find_pose(image, face, bool(others), detectors)
    mask = _find_mask(image, face, pose, others, detectors)
    if pose is None:
        notes.append("no body was found: the shoulders were placed from the face")
        shoulders = _shoulders_below(face)
        elbows = wrists = np.full((2, 2), np.nan, np.float32)
    else:
        shoulders = _spread(
            pose.points[SHOULDERS], np.linalg.norm(face[FACE_LEFT] - face[FACE_RIGHT])
        )
        elbows, wrists = (_seen(pose, joints, image.shape) for joints in (ELBOWS, WRISTS))
    return Person(
        face=face,
        shoulders=shoulders,
        elbows=elbows,
        wrists=wrists,
        hands=_find_hands(image, face, pose, bool(others), detectors),
        mask=mask,
        arms_guess=None if pose is None else pose.points[[ELBOWS, WRISTS]].swapaxes(0, 1),
        notes=tuple(notes),
    )


def _face_box(face: np.ndarray) -> np.ndarray:
    return np.concatenate([face[:, :2].min(axis=0), face[:, :2].max(axis=0)])


def _grown(box: np.ndarray, factor: float) -> np.ndarray:
    """The square around `box` whose side is `factor` times its longer one."""
    centre, half = (box[:2] + box[2:]) / 2, max(box[2:] - box[:2]) * factor / 2
    return np.concatenate([centre - half, centre + half])


def _overlap(a: np.ndarray, b: np.ndarray) -> float:
    """Shared area over the smaller box's area."""
    sides = np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2])
    smaller = min(np.prod(a[2:] - a[:2]), np.prod(b[2:] - b[:2]))
    return float(np.prod(np.maximum(sides, 0)) / max(smaller, 1e-6))


def _find_faces(image: np.ndarray, detectors: Detectors) -> list[np.ndarray]:
    """Face meshes (478, 3), largest first. A mesh counts where the face detector agrees: alone it
    also likes dogs."""
    whole = np.array([0, 0, image.shape[1], image.shape[0]])
    faces = _faces_in(image, whole, detectors)
    if not faces:
        for tile in _tiles(image):
            faces = _faces_in(image, tile, detectors)
            if faces:
                break
    unique: list[np.ndarray] = []
    for face in sorted(faces, key=lambda face: -np.ptp(face[:, 1])):
        if all(_overlap(_face_box(face), _face_box(other)) < 0.5 for other in unique):
            unique.append(face)
    return unique


def _tiles(image: np.ndarray) -> list[np.ndarray]:
    """Overlapping half-size squares over the picture, top rows first, for people who are far
    away."""
    height, width = image.shape[:2]
    side = max(height, width) // 2
    rows = np.linspace(0, max(height - side, 0), 1 + int(height > side) * 2)
    columns = np.linspace(0, max(width - side, 0), 1 + int(width > side) * 2)
    return [np.array([x, y, x + side, y + side]) for y in rows for x in columns]


def _faces_in(image: np.ndarray, region: np.ndarray, detectors: Detectors) -> list[np.ndarray]:
    view, scale, corner = crop_and_zoom(image, region, VIEW_PX)
    boxes = detectors.face_boxes(view)
    meshes = detectors.faces(view) if boxes else []
    faces = []
    for box in boxes:
        own = next((mesh for mesh in meshes if _overlap(_face_box(mesh), box) > 0.5), None)
        if own is None or np.ptp(own[:, 1]) < SMALL_FACE * max(view.shape[:2]):
            # Twice the box holds the whole head, which is what the face mesh wants to see.
            zoomed, factor, offset = crop_and_zoom(view, _grown(box, 2.2), FACE_VIEW_PX)
            source = np.concatenate([offset, offset + np.array(zoomed.shape[1::-1]) / factor])
            zoomed, factor, offset = crop_and_zoom(
                image, source / scale + np.tile(corner, 2), FACE_VIEW_PX
            )
            found = detectors.faces(zoomed)
            if found:
                faces.append(_placed(found[0], factor, offset))
                continue
        if own is not None:
            faces.append(_placed(own, scale, corner))
    return faces


def _placed(face: np.ndarray, scale: float, corner: np.ndarray) -> np.ndarray:
    """A face mesh of a crop in the pixels of the whole picture."""
    return (face / scale + np.append(corner, 0)).astype(np.float32)


def _body_region(image: np.ndarray, face: np.ndarray) -> np.ndarray:
    """The box around a face that holds its head, arms and hands: 3.2 face heights to each side, 5
    down."""
    box = _face_box(face)
    centre, size = (box[:2] + box[2:]) / 2, max(box[2:] - box[:2])
    region = np.concatenate(
        [centre - size * np.array([3.2, 1.6]), centre + size * np.array([3.2, 5.0])]
    )
    return np.clip(region, 0, np.tile(image.shape[1::-1], 2))


def _find_pose(
    image: np.ndarray, face: np.ndarray, crowded: bool, detectors: Detectors
) -> FoundPose | None:
    """The body that belongs to `face`; with several people about, only its surroundings are
    shown."""
    whole = np.array([0, 0, image.shape[1], image.shape[0]], np.float32)
    near = _body_region(image, face)
    regions = [near] if crowded else [whole, near]
    box = _grown(_face_box(face), 1.5)
    for region in regions:
        view, scale, corner = crop_and_zoom(image, region, VIEW_PX)
        found = detectors.pose(view)
        if found is None:
            continue
        points = found.points / scale + corner
        if np.all((points[NOSE] > box[:2]) & (points[NOSE] < box[2:])):
            mask = _pasted(found.mask, scale, corner, image.shape)
            return FoundPose(points.astype(np.float32), found.visibility, mask)
    return None


def _pasted(
    mask: np.ndarray, scale: float, corner: np.ndarray, shape: tuple[int, ...]
) -> np.ndarray:
    """A crop's mask on the whole picture, zero elsewhere."""
    size = (round(mask.shape[1] / scale), round(mask.shape[0] / scale))
    small = cv2.resize(mask, size, interpolation=cv2.INTER_LINEAR)
    whole = np.zeros(shape[:2], np.float32)
    x, y = corner.astype(int)
    target = whole[y : y + small.shape[0], x : x + small.shape[1]]
    target[:] = small[: target.shape[0], : target.shape[1]]
    return whole


def _shoulders_below(face: np.ndarray) -> np.ndarray:
    """(2, 2): where shoulders usually are, 1.2 face widths to each side and 0.45 face heights under
    the chin."""
    across = face[FACE_LEFT, :2] - face[FACE_RIGHT, :2]
    width = np.linalg.norm(face[FACE_LEFT] - face[FACE_RIGHT])
    height = np.linalg.norm(face[FOREHEAD] - face[CHIN])
    base = face[CHIN, :2] + (0, 0.45 * height)
    level = np.array([np.sign(across[0]) or 1.0, 0.0])
    return np.stack([base + 1.2 * width * level, base - 1.2 * width * level]).astype(np.float32)


def _spread(shoulders: np.ndarray, face_width_px: float) -> np.ndarray:
    """(2, 2) shoulders, at least a face width apart and the left one on the right of the picture.

    In profile both fall together, and a body seen from its back has them exchanged: neither could
    carry arms that gesture towards the viewer.
    """
    middle = shoulders.mean(axis=0)
    if shoulders[0, 0] - shoulders[1, 0] < 0.9 * face_width_px:
        half = np.array([0.45 * face_width_px, 0.0])
        shoulders = np.stack([middle + half, middle - half])
    return shoulders.astype(np.float32)


def _seen(pose: FoundPose, joints: list[int], shape: tuple[int, ...]) -> np.ndarray:
    """(2, 2): the joints that are visible and inside the picture, NaN the others."""
    points = pose.points[joints].copy()
    inside = np.all((points >= 0) & (points < shape[1::-1]), axis=1)
    points[~(inside & (pose.visibility[joints] > POSE_VISIBLE))] = np.nan
    return points


def _find_mask(
    image: np.ndarray,
    face: np.ndarray,
    pose: FoundPose | None,
    others: list[np.ndarray],
    detectors: Detectors,
) -> np.ndarray:
    """(H, W): the person's pixels. Other people's are given to whoever's head-to-hip line is
    nearer."""
    height, width = image.shape[:2]
    region = np.array([0, 0, width, height], np.float32)
    if np.ptp(face[:, 1]) < SMALL_FACE * max(height, width):
        region = _body_region(image, face)
    view, scale, corner = crop_and_zoom(image, region, VIEW_PX)
    mask = _pasted(detectors.person_mask(view), scale, corner, image.shape)
    if pose is not None:
        mask = (mask + pose.mask) / 2
    if others:
        distances = [_distance_to_spine(image.shape, one) for one in (face, *others)]
        nearer = distances[0] - np.min(distances[1:], axis=0) < 0
        mask *= cv2.GaussianBlur(nearer.astype(np.float32), (0, 0), max(1.0, width / 300))
    return mask


def _distance_to_spine(shape: tuple[int, ...], face: np.ndarray) -> np.ndarray:
    """(H, W) distance to the line from a face straight down its body, in face heights of that
    person."""
    box = _face_box(face)
    size = box[3] - box[1]
    canvas = np.full(shape[:2], 255, np.uint8)
    x, y = (box[:2] + box[2:]) / 2
    cv2.line(canvas, (int(x), int(y)), (int(x), int(y + 4 * size)), 0, max(1, int(size / 4)))
    return cv2.distanceTransform(canvas, cv2.DIST_L2, 5) / size


def _find_hands(
    image: np.ndarray,
    face: np.ndarray,
    pose: FoundPose | None,
    crowded: bool,
    detectors: Detectors,
) -> np.ndarray:
    """(2, 21, 2): this person's hands, NaN where none is seen."""
    region = np.array([0, 0, image.shape[1], image.shape[0]], np.float32)
    small = np.ptp(face[:, 1]) < SMALL_FACE * max(image.shape[:2])
    if crowded or small:
        region = _body_region(image, face)
    reach = np.ptp(face[:, 1])
    hands = np.full((2, 21, 2), np.nan, np.float32)
    _assign(hands, _hands_in(image, region, VIEW_PX, detectors), pose, reach)
    if pose is None:
        return hands
    for side, wrist in enumerate(WRISTS):
        x, y = pose.points[wrist]
        nearly_inside = -0.3 * reach < y < image.shape[0] + 0.3 * reach
        if np.isnan(hands[side]).all() and pose.visibility[wrist] > 0.3 and nearly_inside:
            # From the elbow through the wrist lies the hand: look a little beyond the wrist.
            away = pose.points[wrist] - pose.points[ELBOWS[side]]
            away *= min(1.0, 0.5 * reach / max(np.linalg.norm(away), 1e-6))
            centre = np.array([x, y]) + away
            box = np.concatenate([centre - reach, centre + reach])
            if np.all(box[2:] > 8) and np.all(box[:2] < np.array(image.shape[1::-1]) - 8):
                _assign(hands, _hands_in(image, box, HAND_VIEW_PX, detectors), pose, reach)
    return hands


def _hands_in(
    image: np.ndarray, region: np.ndarray, side_px: int, detectors: Detectors
) -> list[FoundHand]:
    view, scale, corner = crop_and_zoom(image, region, side_px)
    return [
        FoundHand((hand.points / scale + corner).astype(np.float32), hand.is_left, hand.score)
        for hand in detectors.hands(view)
    ]


def _assign(
    hands: np.ndarray, found: list[FoundHand], pose: FoundPose | None, reach_px: float
) -> None:
    """Write found hands to the free rows of `hands`: to the nearest pose wrist, or by their own
    shape."""
    for hand in found:
        side = 0 if hand.is_left else 1
        if pose is not None:
            distance = np.linalg.norm(pose.points[WRISTS] - hand.points[0], axis=1)
            if distance.min() > 1.5 * reach_px:
                continue  # somebody else's
            # Clasped hands: both wrists are near, so the hand's own shape decides.
            if abs(distance[0] - distance[1]) > 0.25 * reach_px:
                side = int(np.argmin(distance))
        taken = hands[1 - side]
        if not np.isnan(taken).any():
            apart = np.linalg.norm(taken - hand.points, axis=1).mean()
            if apart < 0.2 * reach_px:
                continue  # the same hand seen twice
        if np.isnan(hands[side]).all():
            hands[side] = hand.points
