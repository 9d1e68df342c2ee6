"""The values that cross a border between two parts. All are frozen; their arrays are read-only.

Letters: `T` frames, `H W` pixels, `N` audio samples, `D` feature width, `J` = 16 hand joints, `V` =
778 vertices. Hand index 0 = the person's left, 1 = right. Body frame: origin midway between the
shoulders, x to the person's left (the right of an unmirrored picture), y up, z out of the chest
towards the camera, metres. Pixels: x right, y down.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np

NUM_HANDS = 2
NUM_JOINTS = 16
NUM_BETAS = 10
NETWORK_SAMPLE_RATE_HZ = 16_000
REFERENCE_SHOULDER_BREADTH_M = 0.36

Frame = np.ndarray
"""One picture: (H, W, 3) uint8 RGB."""


@dataclass(frozen=True)
class Progress:
    """One report of long work: `done` of `total` units of `stage` are finished."""

    stage: str
    """What is running: "gesture", "preview", "draft", "film", ..."""
    done: int
    total: int


OnStep = Callable[[Progress], None]
"""Called after every step. It may raise `emo2.errors.Cancelled` to stop the work."""


def _freeze(value: object, name: str, shape: tuple[int | None, ...], dtype: type) -> np.ndarray:
    """`value` as a read-only array of `dtype`; `None` in `shape` matches any length."""
    array = np.asarray(value, dtype=dtype)
    fits = array.ndim == len(shape) and all(
        want is None or want == got for want, got in zip(shape, array.shape, strict=True)
    )
    if not fits:
        wanted = tuple("any" if n is None else n for n in shape)
        raise ValueError(f"{name}: shape must be {wanted}, got {array.shape}")
    array = array.view()
    array.flags.writeable = False
    return array


@dataclass(frozen=True)
class AudioClip:
    """Speech, as the networks hear it, and the untouched recording it came from."""

    samples: np.ndarray
    """(N,) float32 in [-1, 1], mono, at `sample_rate_hz`."""
    source: Path | None = None
    """The file that is muxed into films; `None` when the clip was made in memory."""
    sample_rate_hz: int = NETWORK_SAMPLE_RATE_HZ

    def __post_init__(self) -> None:
        object.__setattr__(self, "samples", _freeze(self.samples, "samples", (None,), np.float32))

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return len(self.samples) / self.sample_rate_hz


@dataclass(frozen=True)
class AudioFeatures:
    """wav2vec 2.0 hidden states, interpolated to the film's frame rate."""

    hidden_states: np.ndarray
    """(T, D) float32."""
    fps: float

    def __post_init__(self) -> None:
        hidden = _freeze(self.hidden_states, "hidden_states", (None, None), np.float32)
        object.__setattr__(self, "hidden_states", hidden)

    @property
    def num_frames(self) -> int:
        """T."""
        return len(self.hidden_states)


@dataclass(frozen=True)
class HandMotion:
    """Two hands over time in MANO's terms: 134 numbers a frame = 2 x (16 x 4 + 3) (paper, section
    3.1)."""

    quaternions: np.ndarray
    """(T, 2, 16, 4) float32 unit wxyz; joint 0 = wrist in the body frame, the rest relative to
    their parent. MANO joint order, flat-hand convention (identity = flat hand)."""
    translation_m: np.ndarray
    """(T, 2, 3) float32: the wrist joint in the body frame, metres."""
    visible: np.ndarray
    """(T, 2) bool: is this hand in the picture."""
    betas: np.ndarray
    """(2, 10) float32: hand shape coefficients."""
    fps: float
    """Frames per second."""
    meta: Mapping[str, Any] = field(default_factory=dict)
    """JSON values: seed, style, speed, checkpoint, edits, shoulder_breadth_m of the reference
    body."""

    def __post_init__(self) -> None:
        shapes = {
            "quaternions": ((None, NUM_HANDS, NUM_JOINTS, 4), np.float32),
            "translation_m": ((None, NUM_HANDS, 3), np.float32),
            "visible": ((None, NUM_HANDS), np.bool_),
            "betas": ((NUM_HANDS, NUM_BETAS), np.float32),
        }
        for name, (shape, dtype) in shapes.items():
            object.__setattr__(self, name, _freeze(getattr(self, name), name, shape, dtype))
        lengths = {len(self.quaternions), len(self.translation_m), len(self.visible)}
        if len(lengths) != 1:
            raise ValueError(
                f"quaternions, translation_m, visible: must be equally long, got {sorted(lengths)}"
            )
        object.__setattr__(self, "meta", dict(self.meta))

    @property
    def num_frames(self) -> int:
        """T."""
        return len(self.quaternions)

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return self.num_frames / self.fps


@dataclass(frozen=True)
class Camera:
    """A pinhole camera that looks at the body frame's origin along -z, fitted to one portrait."""

    origin_px: tuple[float, float]
    """Where the body frame's origin (midway between the shoulders) lies in the picture."""
    pixels_per_metre: float
    """Scale in the plane of the shoulders, z = 0."""
    width_px: int
    height_px: int
    distance_m: float = 2.5
    """From the camera to the plane of the shoulders: nearer hands look larger."""

    def project(self, points_m: np.ndarray) -> np.ndarray:
        """Body points (..., 3) [m] to pixels (..., 2)."""
        points_m = np.asarray(points_m)
        scale = self.pixels_per_metre * self.distance_m / (self.distance_m - points_m[..., 2])
        u = self.origin_px[0] + scale * points_m[..., 0]
        v = self.origin_px[1] - scale * points_m[..., 1]
        return np.stack([u, v], axis=-1)

    def unproject(self, pixels: np.ndarray, depth_m: float | np.ndarray = 0.0) -> np.ndarray:
        """Pixels (..., 2) to the body points (..., 3) [m] that lie at z = `depth_m`."""
        pixels = np.asarray(pixels, dtype=np.float64)
        z = np.broadcast_to(np.asarray(depth_m, dtype=np.float64), pixels.shape[:-1])
        scale = self.pixels_per_metre * self.distance_m / (self.distance_m - z)
        x = (pixels[..., 0] - self.origin_px[0]) / scale
        y = (self.origin_px[1] - pixels[..., 1]) / scale
        return np.stack([x, y, z], axis=-1)


@dataclass(frozen=True)
class Portrait:
    """A person's picture, framed for the film, and what was found in it. NaN marks what was not
    seen."""

    image: np.ndarray
    """(H, W, 3) uint8 RGB: the framed picture, H and W multiples of 16."""
    face_landmarks: np.ndarray
    """(478, 3) float32 pixels: mediapipe face mesh with irises; z in pixels too, negative towards
    the camera."""
    shoulders: np.ndarray
    """(2, 2) float32 pixels, left then right."""
    neck: np.ndarray
    """(2,) float32 pixels: the base of the neck."""
    elbows: np.ndarray
    """(2, 2) float32 pixels."""
    wrists: np.ndarray
    """(2, 2) float32 pixels."""
    hands: np.ndarray
    """(2, 21, 2) float32 pixels: mediapipe hand landmarks of the hands that are visible."""
    person_mask: np.ndarray
    """(H, W) float32 in [0, 1]."""
    skin_rgb: np.ndarray
    """(3,) float32 in [0, 1]: this person's skin, as lit in the picture."""
    sleeve_rgb: np.ndarray
    """(3,) float32 in [0, 1]: the cloth of the upper arm or chest."""
    bare_forearms: bool
    """True where the forearms show skin, False where a sleeve covers them."""
    camera: Camera
    source_box: tuple[float, float, float, float]
    """x0, y0, x1, y1 of the frame in pixels of the upright source picture; beyond its edges the
    frame was extended."""
    notes: tuple[str, ...] = ()
    """What a person should know: "two people: the larger one was taken", "the frame was extended
    below", ..."""
    arms_guess: np.ndarray | None = None
    """(2, 2, 2) float32 pixels: each side's elbow and wrist as the body model supposes them, hidden
    or seen, inside the frame or beyond it; None where no body was found."""

    def __post_init__(self) -> None:
        image = _freeze(self.image, "image", (None, None, 3), np.uint8)
        height, width = image.shape[:2]
        shapes = {
            "face_landmarks": (478, 3),
            "shoulders": (2, 2),
            "neck": (2,),
            "elbows": (2, 2),
            "wrists": (2, 2),
            "hands": (2, 21, 2),
            "person_mask": (height, width),
            "skin_rgb": (3,),
            "sleeve_rgb": (3,),
        }
        object.__setattr__(self, "image", image)
        for name, shape in shapes.items():
            object.__setattr__(self, name, _freeze(getattr(self, name), name, shape, np.float32))
        if self.arms_guess is not None:
            guess = _freeze(self.arms_guess, "arms_guess", (NUM_HANDS, 2, 2), np.float32)
            object.__setattr__(self, "arms_guess", guess)
        if (self.camera.height_px, self.camera.width_px) != (height, width):
            raise ValueError(f"camera: must be for {width} x {height} pixels, got {self.camera}")


@dataclass(frozen=True)
class GuidanceMaps:
    """What Stage 2 sees of a stretch of motion (paper, Fig. 3)."""

    mano: np.ndarray
    """(T, 3, H, W) float32 in [0, 1]: the two hand meshes, shaded by their normals."""
    keypoints: np.ndarray
    """(T, 3, H, W) float32 in [0, 1]: hand skeletons, shoulders and neck."""
    confidence: np.ndarray
    """(T, 2) float32 in [0, 1]: how far each hand can be trusted; 0 = not in the picture."""
    draft: np.ndarray | None = None
    """(T, 3, H, W) float32 in [0, 1]: the draft renderer's frames, for film models that lean on
    them."""
    change: np.ndarray | None = None
    """(T, 1, H, W) float32 in [0, 1]: where the film may differ from that draft: the bare skin of
    drawn arms and hands."""

    def __post_init__(self) -> None:
        maps = {"mano": 3, "keypoints": 3, "draft": 3, "change": 1}
        for name, channels in maps.items():
            value = getattr(self, name)
            if value is not None:
                value = _freeze(value, name, (None, channels, None, None), np.float32)
                object.__setattr__(self, name, value)
        object.__setattr__(
            self,
            "confidence",
            _freeze(self.confidence, "confidence", (None, NUM_HANDS), np.float32),
        )
        lengths = {
            len(getattr(self, f.name)) for f in fields(self) if getattr(self, f.name) is not None
        }
        if len(lengths) != 1:
            raise ValueError(f"all maps must be equally long, got {sorted(lengths)} frames")

    @property
    def num_frames(self) -> int:
        """T."""
        return len(self.mano)

    @property
    def size(self) -> tuple[int, int]:
        """(H, W)."""
        return self.mano.shape[2:]
