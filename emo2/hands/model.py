"""The hand layer: a `HandMotion` becomes meshes and joints, through unmodified `smplx.MANO`.

Conventions, which everything that makes or draws a motion shares:

* Body frame: x to the person's left (the right of the picture), y up, z towards the camera, metres.
* Hand index 0 = the person's left hand, 1 = the right. Quaternions are wxyz.
* `motion.translation_m` is where the WRIST JOINT is. MANO itself turns a hand about its wrist joint
  J0, which is not its origin; this module converts, so that `joints(motion)[..., 0, :] ==
  motion.translation_m`.
* `motion.quaternions[..., 0, :]` is the wrist's orientation in the body frame. The identity is the
  T-pose: palms down, thumbs to the camera, the left hand's fingers point along +x (to the person's
  left), the right hand's along -x. `emo2.hands.shapes.wrist_rotation(fingers, palm, hand)` builds
  any other from where the fingers and the palm face.
* The other 15 rotations are relative to the parent joint; the identity is the flat hand.
  `emo2.hands.shapes.handshape(name, hand)` and `finger_quaternions(angles, hand)` build them.
"""

from __future__ import annotations

import contextlib
import io
from pathlib import Path

import numpy as np
import torch

from emo2.hands.mano_files import load_hands
from emo2.hands.skeleton import FINGERS, RIGHT, TIP_VERTICES
from emo2.hands.subdivision import loop_subdivision
from emo2.motion.rotations import to_axis_angle
from emo2.types import NUM_HANDS, HandMotion

CHUNK_FRAMES = 64


class HandModel:
    """Two unmodified `smplx.MANO` layers, left and right, fed with `HandMotion`s."""

    def __init__(
        self, layers: tuple[torch.nn.Module, torch.nn.Module], *, is_mano: bool = False
    ) -> None:
        self._layers = layers
        self.is_mano: bool = is_mano
        """MANO's own hands, whose `betas` are MANO's; False: the free hands."""
        self.faces: np.ndarray = np.stack([np.asarray(layer.faces, np.int32) for layer in layers])
        """(2, F, 3) int32: left, right; counter-clockwise seen from outside."""
        self._operators, smooth_faces = zip(
            *(loop_subdivision(f, layers[0].get_num_verts()) for f in self.faces), strict=True
        )
        self.smooth_faces: np.ndarray = np.stack(smooth_faces)
        """(2, 4 F, 3) int32: the faces of `subdivide`'s vertices."""

    @classmethod
    def from_pretrained(cls, folder: str | Path) -> HandModel:
        """Read MANO_LEFT and MANO_RIGHT, .npz or .pkl, free or MANO's own (see `mano_files`).

        The pose counts from the flat hand in either (`flat_hand_mean=True`). Raises
        `MissingCheckpoint` where a file is not there, `InputError` where one is not a hand.
        """
        pair = load_hands(folder)
        # smplx prints a warning about the number of shape coefficients on every load. The arrays
        # are handed over, for smplx itself would unpickle whatever a file holds.
        with contextlib.redirect_stdout(io.StringIO()):
            from smplx import MANO
            from smplx.utils import Struct

            layers = tuple(
                MANO(
                    model_path="",
                    data_struct=Struct(**arrays),
                    is_rhand=hand == RIGHT,
                    use_pca=False,
                    flat_hand_mean=True,
                ).requires_grad_(False)
                for hand, arrays in enumerate(pair.hands)
            )
        return cls(layers, is_mano=pair.is_mano)

    def vertices(self, motion: HandMotion, start: int = 0, stop: int | None = None) -> np.ndarray:
        """(T, 2, 778, 3) float32 metres in the body frame, for frames start..stop."""
        return self._forward(motion, start, stop)[0]

    def joints(self, motion: HandMotion, start: int = 0, stop: int | None = None) -> np.ndarray:
        """(T, 2, 21, 3) float32 metres: MANO's 16 joints, then the tips from thumb to pinky."""
        vertices, joints = self._forward(motion, start, stop)
        tips = vertices[:, :, [TIP_VERTICES[finger] for finger in FINGERS]]
        return np.concatenate([joints, tips], axis=2)

    def subdivide(self, vertices: np.ndarray) -> np.ndarray:
        """Loop subdivision: (..., 2, 778, 3) to a smooth (..., 2, V', 3), with `smooth_faces`."""
        flat = vertices.reshape(-1, *vertices.shape[-3:])
        out = np.stack(
            [np.stack([self._operators[h] @ frame[h] for h in range(NUM_HANDS)]) for frame in flat]
        )
        return out.reshape(*vertices.shape[:-2], *out.shape[-2:]).astype(np.float32)

    def _forward(
        self, motion: HandMotion, start: int, stop: int | None
    ) -> tuple[np.ndarray, np.ndarray]:
        stop = motion.num_frames if stop is None else stop
        chunks = [
            self._forward_chunk(motion, slice(first, min(first + CHUNK_FRAMES, stop)))
            for first in range(start, stop, CHUNK_FRAMES)
        ]
        if not chunks:
            return np.zeros((0, 2, 778, 3), np.float32), np.zeros((0, 2, 16, 3), np.float32)
        vertices, joints = zip(*chunks, strict=True)
        return np.concatenate(vertices), np.concatenate(joints)

    def _forward_chunk(self, motion: HandMotion, frames: slice) -> tuple[np.ndarray, np.ndarray]:
        rotations = to_axis_angle(motion.quaternions[frames]).astype(np.float32)  # (T, 2, 16, 3)
        count = len(rotations)
        vertices, joints = [], []
        for hand, layer in enumerate(self._layers):
            with torch.inference_mode():
                posed = layer(
                    betas=torch.tensor(motion.betas[hand]).expand(count, -1),
                    global_orient=torch.from_numpy(rotations[:, hand, 0]),
                    hand_pose=torch.from_numpy(rotations[:, hand, 1:].reshape(count, -1)),
                )
            # MANO turns the hand about J0 and leaves J0 where it is; put the wrist where the motion
            # has it.
            moved = motion.translation_m[frames, hand, None] - posed.joints.numpy()[:, :1]
            vertices.append(posed.vertices.numpy() + moved)
            joints.append(posed.joints.numpy()[:, :16] + moved)
        return np.stack(vertices, axis=1), np.stack(joints, axis=1)
