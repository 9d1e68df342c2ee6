"""Where a new forearm joins the picture's body: the upper arm measured, with its colour."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from emo2.draft.limbs import ArmBones, distance_to_bones
from emo2.features.garment import CAP_M
from emo2.types import Portrait

PATCH_PX = 32
MOST_ROOTED_M = 0.09
"""A drawn arm begins at most this far from the shoulder, to lie inside the body."""


@dataclass(frozen=True)
class ArmJoint:
    """How one arm leaves the picture's body: what a new forearm joins on to."""

    shoulder: np.ndarray
    """(2,) float32 pixels; where the whole arm has to be drawn, inside the body."""
    elbow: np.ndarray
    """(2,) float32 pixels; supposed from the shoulder where it is hidden, may lie outside the
    frame."""
    elbow_seen: bool
    """True: the picture shows this upper arm down to its elbow, keep the new forearm there."""
    removed: bool
    """True: an old forearm or hand of this arm was taken out of the picture."""
    width_px: float
    """Across the sleeve or upper arm, just above the elbow."""
    bare: bool
    """True: the upper arm shows skin where the forearm joins."""
    rgb: np.ndarray
    """(3,) float32 in [0, 1]: the colour there, as lit."""
    upper_arm: np.ndarray
    """(H, W) float32 in [0, 1]: how far a body pixel turns with the upper arm about the shoulder: 1
    near the elbow, 0 on the torso."""


def arm_joint(
    portrait: Portrait,
    body: np.ndarray,
    alpha: np.ndarray,
    side: int,
    arm: ArmBones,
) -> ArmJoint:
    """Measure the upper arm that the plate keeps on one side."""
    metre = portrait.camera.pixels_per_metre
    shoulder, elbow = portrait.shoulders[side], arm.elbow
    along = (elbow - shoulder) / max(np.linalg.norm(elbow - shoulder), 1e-6)
    across = np.array([along[1], -along[0]])
    outward = 1.0 if side == 0 else -1.0
    across *= np.sign(across[0] * outward) or 1.0
    # From the bone outwards to the silhouette: inwards there is no edge between arm and chest.
    station = shoulder + 0.75 * (elbow - shoulder)
    steps = np.arange(0.03 * metre, 0.12 * metre)
    points = np.rint(station + steps[:, None] * across).astype(int)
    fits = np.all((points >= 0) & (points < alpha.shape[::-1]), axis=1)
    covered = alpha[points[fits, 1], points[fits, 0]] > 0.5
    half = steps[fits][int(np.argmin(covered))] if len(covered) and not covered.all() else None
    if half is None or half < 0.035 * metre:
        half = 0.05 * metre
    half = float(min(half, 0.085 * metre))
    # A patch of the upper arm just above the elbow: its middle columns tell the colour there.
    right = across * outward
    size = np.array([2 * half, 2 * half])
    corner = station - right * half - along * half
    matrix = np.column_stack([right * size[0] / PATCH_PX, along * size[1] / PATCH_PX, corner])
    patch = cv2.warpAffine(
        body,
        matrix.astype(np.float64),
        (PATCH_PX, PATCH_PX),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )
    middle = patch[:, PATCH_PX // 4 : -PATCH_PX // 4].reshape(-1, 3)
    rgb = np.median(middle, axis=0).astype(np.float32) / 255
    skin_gap = np.linalg.norm(rgb - portrait.skin_rgb)
    sleeve_gap = np.linalg.norm(rgb - portrait.sleeve_rgb)
    distance = distance_to_bones(alpha.shape, [(shoulder, elbow, half)])
    y, x = np.mgrid[: alpha.shape[0], : alpha.shape[1]]
    down = (x - shoulder[0]) * along[0] + (y - shoulder[1]) * along[1]
    down = np.clip(down / max(np.linalg.norm(elbow - shoulder), 1e-6), 0, 1)
    weight = np.clip(2.0 - distance, 0, 1) * down
    return ArmJoint(
        shoulder=shoulder if arm.elbow_seen else _rooted(alpha, shoulder, metre),
        elbow=elbow,
        elbow_seen=arm.elbow_seen,
        removed=arm.wrist is not None,
        width_px=2 * half,
        bare=bool(skin_gap < sleeve_gap),
        rgb=rgb,
        upper_arm=weight.astype(np.float32),
    )


def _rooted(alpha: np.ndarray, shoulder: np.ndarray, metre: float) -> np.ndarray:
    """(2,) the place nearest to `shoulder` at which a limb's round end lies inside the body."""
    inside = cv2.distanceTransform((alpha > 0.5).astype(np.uint8), cv2.DIST_L2, 5)
    y, x = np.nonzero(inside >= CAP_M * metre)
    away = np.hypot(x + 0.5 - shoulder[0], y + 0.5 - shoulder[1])
    if not len(away) or away.min() > MOST_ROOTED_M * metre:
        return shoulder
    nearest = int(np.argmin(away))
    return shoulder if away[nearest] < 1 else np.float32([x[nearest] + 0.5, y[nearest] + 0.5])
