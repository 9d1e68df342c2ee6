"""Which part of the picture becomes the film, at what size, and how body metres map to its pixels.

Nothing is ever squashed: a frame is one scale and one offset. Well-framed pictures lose at most the
few pixels that make both sides multiples of 16; a person far away is moved in upon; a frame that
ends above the place where hands gesture is let out beyond the picture's edges (`extend.py` paints
what lies there).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np

from emo2.features.garment import CAP_M
from emo2.features.person import Person
from emo2.types import REFERENCE_SHOULDER_BREADTH_M, Camera

SIDE_MULTIPLE = 16
FACE_WIDTH_M, FACE_HEIGHT_M = 0.148, 0.175
"""Between the face mesh's sides, and from its forehead edge to the chin, of an adult's face."""
CARICATURE = 0.5
"""Shoulders below this share of what the face asks for belong to a body drawn small under a large
head."""
ROOM_BELOW_M, ROOM_BESIDE_M = 0.36, 0.28
"""Hands gesture down to here below the shoulder line, and out to here from the middle. Frames with
less are let out..."""
LEAST_BESIDE_M = 0.20
"""A picture that needs nothing below is left narrow rather than painted on at its sides."""
EXTENDED_BELOW_M, EXTENDED_BESIDE_M = 0.52, 0.40
"""...to this."""
HIDDEN_SHOULDERS_M = 0.12
"""Shoulders this close to the picture's lower edge may really lie under it."""
FAR_AWAY_M = 1.9
"""A frame that is higher than this much of a body shows the person too small..."""
CLOSE_ABOVE_M, CLOSE_BELOW_M, CLOSE_BESIDE_M = 0.50, 0.75, 0.55
"""...and is cut to this around the middle of the shoulders."""
LARGEST_EXTENSION = 2.4
"""A frame grows at most this much in height; beyond it too little of the picture would be left."""
SMALLEST_LONG_SIDE_PX = 384


@dataclass(frozen=True)
class Framing:
    """A window on the source picture: `frame = (source - corner) * scale`."""

    corner: tuple[float, float]
    """x, y of the frame's top left corner in source pixels."""
    scale: float
    """Frame pixels per source pixel."""
    height: int
    width: int

    @property
    def source_box(self) -> tuple[float, float, float, float]:
        """x0, y0, x1, y1 of the frame in source pixels."""
        x, y = self.corner
        return (x, y, x + self.width / self.scale, y + self.height / self.scale)

    def known(self, shape: tuple[int, ...]) -> tuple[int, int, int, int]:
        """x0, y0, x1, y1 in whole frame pixels: where a source picture of `shape` fills the
        frame."""
        x0, y0 = np.ceil(self.place(np.zeros(2)) - 0.01)
        x1, y1 = np.floor(self.place(np.array(shape[1::-1], float)) + 0.01)
        return max(int(x0), 0), max(int(y0), 0), min(int(x1), self.width), min(int(y1), self.height)

    def place(self, points: np.ndarray) -> np.ndarray:
        """Source pixels (..., 2 or 3) to frame pixels; a third coordinate (depth) is only
        scaled."""
        corner = np.array([*self.corner, 0.0])[: points.shape[-1]]
        return ((points - corner) * self.scale).astype(np.float32)

    def cut(self, picture: np.ndarray) -> np.ndarray:
        """The frame's pixels of a source picture (H, W) or (H, W, 3); its edge pixels repeat beyond
        its edges."""
        # Pixel centres lie at half coordinates, in the source as in the frame.
        shift = (np.array(self.corner) - 0.5 + 0.5 / self.scale) * -self.scale
        if self.scale < 1:
            # Averaging what one frame pixel covers keeps fine patterns from turning into moire.
            size = (round(picture.shape[1] * self.scale), round(picture.shape[0] * self.scale))
            factors = np.array(size) / picture.shape[1::-1]
            picture = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
            remaining = self.scale / factors
            shift = (np.array(self.corner) * factors - 0.5 + 0.5 / remaining) * -remaining
            matrix = np.array([[remaining[0], 0, shift[0]], [0, remaining[1], shift[1]]])
        else:
            matrix = np.array([[self.scale, 0, shift[0]], [0, self.scale, shift[1]]])
        method = cv2.INTER_CUBIC if self.scale > 1 else cv2.INTER_LINEAR
        return cv2.warpAffine(
            picture,
            matrix,
            (self.width, self.height),
            flags=method,
            borderMode=cv2.BORDER_REPLICATE,
        )


def pixels_per_metre(person: Person) -> float:
    """The person's scale, from the shoulders and the face together.

    Turned or slumped shoulders look too narrow and puffed sleeves too wide; a face seen from the
    side is too narrow, a bowed one too low. So the face's larger measure corrects a shoulder
    breadth it disagrees with.
    """
    width, height = person.face_size
    by_face = max(width / FACE_WIDTH_M, height / FACE_HEIGHT_M)
    breadth = np.linalg.norm(person.shoulders[0] - person.shoulders[1])
    by_shoulders = breadth / REFERENCE_SHOULDER_BREADTH_M
    if person.arms_guess is None:
        return float(by_face)
    if by_shoulders < CARICATURE * by_face:
        return float(np.sqrt(by_face * by_shoulders))
    return float(np.clip(by_shoulders, 0.85 * by_face, 1.2 * by_face))


def lowered_shoulders(person: Person) -> Person:
    """`person` with shoulders under the picture's lower edge where it shows background in their
    place: pose models suppose them too high when only a neck is seen."""
    height, width = person.mask.shape
    metre = pixels_per_metre(person)
    drop = 0.0
    for x, y in person.shoulders:
        row, column = int(np.clip(y, 0, height - 1)), int(np.clip(x, 0, width - 1))
        near_edge = height - y < HIDDEN_SHOULDERS_M * metre
        if near_edge and person.mask[row:, column].max() < 0.5:
            drop = max(drop, height + CAP_M * metre - y)
    lowered = person.shoulders + np.array([0.0, drop], np.float32)
    return replace(person, shoulders=lowered) if drop else person


def fit_camera(person: Person, framing: Framing) -> Camera:
    """The camera of the frame: its origin is the middle of the shoulders."""
    origin = framing.place(person.shoulders.mean(axis=0))
    return Camera(
        origin_px=(float(origin[0]), float(origin[1])),
        pixels_per_metre=pixels_per_metre(person) * framing.scale,
        width_px=framing.width,
        height_px=framing.height,
    )


def choose_framing(person: Person, shape: tuple[int, ...], max_side_px: int) -> Framing:
    """The frame for `person` in a picture of `shape`; its long side is at most `max_side_px`."""
    height, width = shape[:2]
    metre = pixels_per_metre(person)
    x, y = person.shoulders.mean(axis=0)
    box = np.array([0.0, 0.0, width, height])
    if height > FAR_AWAY_M * metre:
        box = _moved_in(box, np.array([x, y]), metre)
    if box[3] - y < ROOM_BELOW_M * metre:
        lowest = box[1] + LARGEST_EXTENSION * (box[3] - box[1])
        box[3] = min(y + EXTENDED_BELOW_M * metre, lowest)
    room = ROOM_BESIDE_M if box[3] > height else LEAST_BESIDE_M
    if min(x - box[0], box[2] - x) < room * metre:
        widest = LARGEST_EXTENSION * (box[2] - box[0]) / 2
        beside = min(EXTENDED_BESIDE_M * metre, widest)
        box[0], box[2] = min(box[0], x - beside), max(box[2], x + beside)
    return _fit_multiples(box, max_side_px)


def _moved_in(box: np.ndarray, shoulders: np.ndarray, metre: float) -> np.ndarray:
    """Head, gestures and some room; as wide in proportion as the picture, as far as its edges
    allow."""
    aspect = (box[2] - box[0]) / (box[3] - box[1])
    high = (CLOSE_ABOVE_M + CLOSE_BELOW_M) * metre
    wide = max(2 * CLOSE_BESIDE_M * metre, high * aspect)
    x, y = shoulders
    target = np.array([x - wide / 2, y - CLOSE_ABOVE_M * metre, x + wide / 2, 0.0])
    target[3] = target[1] + high
    # A window that leaves the picture on one side slides back; one that is too large is cut.
    for low, far in ((0, 2), (1, 3)):
        slide = max(box[low] - target[low], 0) - max(target[far] - box[far], 0)
        target[[low, far]] += slide
        target[[low, far]] = np.clip(target[[low, far]], box[low], box[far])
    return target


def _fit_multiples(box: np.ndarray, max_side_px: int) -> Framing:
    """The largest frame inside `box` whose sides are multiples of 16, preferring small losses to
    large frames."""
    wide, high = box[2:] - box[:2]
    longest = min(max_side_px, max(int(max(wide, high)), SMALLEST_LONG_SIDE_PX))
    best, best_cost = None, np.inf
    for long_side in range(longest // SIDE_MULTIPLE, longest // SIDE_MULTIPLE * 7 // 8, -1):
        scale = long_side * SIDE_MULTIPLE / max(wide, high)
        size = np.maximum(np.array([wide, high]) * scale // SIDE_MULTIPLE, 1) * SIDE_MULTIPLE
        lost = 1 - np.prod(size) / (wide * high * scale**2)
        cost = lost + 0.2 * (1 - long_side * SIDE_MULTIPLE / longest)
        if cost < best_cost:
            best, best_cost = (scale, size), cost
    scale, (frame_width, frame_height) = best
    # What has to go is lost on both sides, but above rather than below: hands need the room.
    spare = (box[2:] - box[:2]) - np.array([frame_width, frame_height]) / scale
    corner = box[:2] + np.maximum(spare, 0) * (0.5, 0.7)
    return Framing(
        corner=(float(corner[0]), float(corner[1])),
        scale=float(scale),
        height=int(frame_height),
        width=int(frame_width),
    )
