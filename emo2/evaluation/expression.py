"""What a face does, in ten numbers of its mesh: the offline relative of E-FID's expression vector.

E-FID compares a 3-D morphable model's expression coefficients; such models come under licences that
let nothing be shipped. These numbers are lengths between mediapipe's points, each over a length of
the same face that expressions leave alone, so size and place in the picture drop out.
"""

from __future__ import annotations

import numpy as np

NAMES = (
    "left_eye", "right_eye", "left_brow", "right_brow", "brows_apart",
    "mouth_open", "mouth_wide", "lips_thick", "corners_up", "jaw",
)  # fmt: skip
EYE_CORNERS = (33, 263)
NOSE_BRIDGE, NOSE_BASE = 6, 2
_UP = {  # over the nose's length, which lies along the face's upright
    "left_eye": (386, 374),
    "right_eye": (159, 145),
    "left_brow": (334, 263),
    "right_brow": (105, 33),
    "mouth_open": (13, 14),
    "lips_thick": (0, 17),
    "jaw": (NOSE_BASE, 152),
}
_ACROSS = {"brows_apart": (107, 336), "mouth_wide": (61, 291)}
LIPS, CORNERS = (0, 17), (61, 291)


def expression(face: np.ndarray | None) -> np.ndarray:
    """(10,) of a mesh (468, 2) px, in the order of `NAMES`; NaN without a face."""
    if face is None:
        return np.full(len(NAMES), np.nan)
    across = face[EYE_CORNERS[1]] - face[EYE_CORNERS[0]]
    breadth = np.linalg.norm(across)
    right = across / breadth
    # What is upright follows the nose, so a head that is turned is no smile.
    down = face[NOSE_BASE] - face[NOSE_BRIDGE]
    length = np.linalg.norm(down)
    down = down / length
    facts = {name: abs((face[b] - face[a]) @ down) / length for name, (a, b) in _UP.items()}
    facts |= {name: abs((face[b] - face[a]) @ right) / breadth for name, (a, b) in _ACROSS.items()}
    lips, corners = (face[list(points)].mean(axis=0) for points in (LIPS, CORNERS))
    facts["corners_up"] = (lips - corners) @ down / length
    return np.array([facts[name] for name in NAMES])


def expression_distance(film: np.ndarray, reference: np.ndarray) -> float:
    """Root mean square difference of two films' expressions (T, 10), frames with both faces."""
    seen = np.isfinite(film).all(axis=1) & np.isfinite(reference).all(axis=1)
    if not seen.any():
        return float("nan")
    return float(np.sqrt(((film - reference)[seen] ** 2).mean()))


def mistimed(film: np.ndarray, reference: np.ndarray) -> float:
    """The floor: the same face doing the same at the wrong time, by half the film."""
    return expression_distance(film, np.roll(reference, len(reference) // 2, axis=0))
