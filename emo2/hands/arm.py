"""Hand and forearm as one mesh: a `HandMotion` and elbows become two arms for the draft renderer.

The hand is the hand layer's, subdivided: the same skinning and pose correctives. From the wrist on,
every vertex turns about the wrist by its share of the bend between hand and forearm, so the wrist
neither pinches nor shows a seam. A roll of the hand spreads along the forearm, as the radius turns
about the ulna, and is gone at the elbow. The forearm stretches along its axis to end there.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from safetensors.numpy import load_file
from scipy.sparse import csr_matrix

from emo2.errors import MissingCheckpoint
from emo2.hands.free_hand.implicit import FOREARM_LENGTH_M
from emo2.hands.skeleton import LEFT, PARENTS
from emo2.motion.rotations import mirror, to_matrix
from emo2.types import NUM_HANDS, NUM_JOINTS, REFERENCE_SHOULDER_BREADTH_M, HandMotion

_THUMB = np.array([[0.0, 0.0, 1.0]], dtype=np.float32)
"""Where the thumb's side of a right hand at rest faces."""
_SHOULDER_M = np.array([-0.5 * REFERENCE_SHOULDER_BREADTH_M, 0.0, 0.0], dtype=np.float32)
_MIRROR = np.array([-1.0, 1.0, 1.0], dtype=np.float32)


class ArmModel:
    """Both arms are one right arm; the left is its mirror image."""

    def __init__(self, arrays: dict[str, np.ndarray]) -> None:
        self._arrays = arrays
        sparse = tuple(arrays[f"subdivision{part}"] for part in ("", "_columns", "_rows"))
        self._subdivision = csr_matrix(
            sparse, shape=(len(sparse[2]) - 1, len(arrays["posedirs"]))
        )  # from the hand's 778 vertices to the first of the arm's
        self.faces: np.ndarray = np.stack([arrays["faces"][:, ::-1], arrays["faces"]])
        """(2, Fa, 3) int32: left, right; counter-clockwise seen from outside."""
        self.blend: np.ndarray = arrays["blend"]
        """(Va,) float32: 0 on hand and wrist, rising evenly to 1 at the elbow."""
        self.nail: np.ndarray = arrays["nail"]
        """(Va,) float32 in [0, 1]: 1 on the nails."""

    @classmethod
    def from_pretrained(cls, folder: str | Path) -> ArmModel:
        """Read `arm.safetensors` from `folder`; raises MissingCheckpoint."""
        path = Path(folder) / "arm.safetensors"
        if not path.is_file():
            raise MissingCheckpoint(
                "hands", "must hold arm.safetensors", path, f"Run: {template_command(folder)}"
            )
        return cls(load_file(path))

    def vertices(
        self, motion: HandMotion, elbows_m: np.ndarray, start: int = 0, stop: int | None = None
    ) -> np.ndarray:
        """(T, 2, Va, 3) float32 metres in the body frame, for frames start..stop of the motion.

        `elbows_m` (T, 2, 3) are the elbows of those same frames, in the body frame.
        """
        frames = slice(start, motion.num_frames if stop is None else stop)
        quaternions, wrists = motion.quaternions[frames], motion.translation_m[frames]
        elbows_m = np.asarray(elbows_m, dtype=np.float32)
        if elbows_m.shape != wrists.shape:
            raise ValueError(f"elbows_m: must be {wrists.shape}, got {elbows_m.shape}")
        out = np.empty((len(wrists), NUM_HANDS, len(self.blend), 3), dtype=np.float32)
        for hand in range(NUM_HANDS):
            flip = _MIRROR if hand == LEFT else np.ones(3, np.float32)
            turns = mirror(quaternions[:, hand]) if hand == LEFT else quaternions[:, hand]
            matrices = to_matrix(turns).astype(np.float32)
            to_elbow = (elbows_m[:, hand] - wrists[:, hand]) * flip
            rest = self._arrays["vertices"] + self._arrays["shapes"] @ motion.betas[hand]
            joints = self._arrays["joints"] + self._arrays["joint_shapes"] @ motion.betas[hand]
            for t in range(len(wrists)):
                posed = self._pose(rest, joints, matrices[t], to_elbow[t])
                to_shoulder = _SHOULDER_M - wrists[t, hand] * flip
                posed = self._unroll(posed, matrices[t, 0], to_elbow[t], to_shoulder)
                out[t, hand] = posed * flip + wrists[t, hand]
        return out

    def _pose(
        self, rest: np.ndarray, joints: np.ndarray, matrices: np.ndarray, to_elbow: np.ndarray
    ) -> np.ndarray:
        """(Va, 3) of a right arm relative to its wrist, from joint matrices (16, 3, 3)."""
        arrays, wrist = self._arrays, joints[0]
        coarse = arrays["posedirs"] @ (matrices[1:] - np.eye(3, dtype=np.float32)).reshape(-1)
        rest = rest.copy()
        rest[: self._subdivision.shape[0]] += self._subdivision @ coarse
        transforms = np.zeros((NUM_JOINTS, 3, 4), dtype=np.float32)
        transforms[0, :, :3] = np.eye(3)  # the wrist's own turn comes last
        places = joints - wrist
        for j, parent in enumerate(PARENTS[1:], start=1):
            transforms[j, :, :3] = transforms[parent, :, :3] @ matrices[j]
            places[j] = places[parent] + transforms[parent, :, :3] @ (joints[j] - joints[parent])
            transforms[j, :, 3] = places[j] - transforms[j, :, :3] @ (joints[j] - wrist)
        mixed = (arrays["weights"] @ transforms.reshape(NUM_JOINTS, 12)).reshape(-1, 3, 4)
        local = rest - wrist
        length = float(np.linalg.norm(to_elbow))
        behind = local[:, 0] > 0
        stretched = local.copy()
        stretched[behind, 0] *= length / FOREARM_LENGTH_M
        posed = np.einsum("vij,vj->vi", mixed[..., :3], stretched) + mixed[..., 3]
        if length > 1e-6:
            direction = matrices[0].T @ (to_elbow / length)
            posed = _swing(posed, direction, arrays["forearm"])
        return posed @ matrices[0].T

    def _unroll(
        self, posed: np.ndarray, wrist: np.ndarray, to_elbow: np.ndarray, to_shoulder: np.ndarray
    ) -> np.ndarray:
        """Take the hand's roll out of the forearm, more towards the elbow; all relative to the
        wrist."""
        length = float(np.linalg.norm(to_elbow))
        if length < 1e-6:
            return posed
        axis = to_elbow / length
        thumb = wrist @ _swing(_THUMB, wrist.T @ axis, np.ones(1, np.float32))[0]
        # Half way between palm up and palm down the thumb lies on the inside of the elbow.
        inside = to_shoulder - to_elbow
        inside = inside - axis * (inside @ axis)
        roll = np.arctan2(np.cross(inside, thumb) @ axis, inside @ thumb)
        # A straight arm does not tell its roll; one of half a turn has no direction.
        known = _ramp(np.linalg.norm(inside), 0.01, 0.06) * _ramp(np.abs(roll), 3.0, 2.2)
        angle = (-roll * known * self.blend).astype(np.float32)[:, None]
        parallel = (posed @ axis)[:, None] * axis
        across = np.cross(axis, posed)
        return parallel + (posed - parallel) * np.cos(angle) + across * np.sin(angle)


def _ramp(x: float, low: float, high: float) -> float:
    """0 at `low`, 1 at `high`, smooth between."""
    t = float(np.clip((x - low) / (high - low), 0.0, 1.0))
    return t * t * (3.0 - 2.0 * t)


def _swing(points: np.ndarray, direction: np.ndarray, share: np.ndarray) -> np.ndarray:
    """Turn each point by its share of the shortest rotation from +x to the unit `direction`."""
    sideways = np.array([0.0, -direction[2], direction[1]], dtype=np.float32)  # x cross direction
    sine = float(np.linalg.norm(sideways))
    axis = sideways / sine if sine > 1e-6 else np.array([0.0, 0.0, 1.0], dtype=np.float32)
    angle = (np.arctan2(sine, direction[0]) * share).astype(np.float32)[:, None]
    across = np.cross(axis, points)
    parallel = (points @ axis)[:, None] * axis
    return parallel + (points - parallel) * np.cos(angle) + across * np.sin(angle)


def template_command(folder: str | Path) -> str:
    """The command that builds the free hands into `folder`."""
    return f"python -m emo2.hands.template {folder}"
