"""A motion as a film of shaded hands, over the dimmed portrait or a plain stage: what people judge
and approve.

In: a `HandMotion`, the hand model and the camera of the portrait (or of a stage). Out: frames, one
by one. Two backends behind one function: pyrender (OpenGL through EGL) and the numba rasteriser,
which needs no system library. Both get the same meshes, lights and camera, so they draw the same
film.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from emo2.errors import InputError
from emo2.hands.cuffs import Cuffs
from emo2.hands.model import HandModel
from emo2.hands.opengl import OpenGLError, OpenGLRenderer
from emo2.hands.raster import rasterise, to_pixels, vertex_normals
from emo2.types import NUM_HANDS, Camera, Frame, HandMotion

BACKENDS = ("auto", "pyrender", "raster")
CHUNK_FRAMES = 24
Window = tuple[slice, slice]


@dataclass(frozen=True)
class Light:
    """A directional light."""

    towards: tuple[float, float, float]
    """From the hands to the light, body frame, any length."""
    rgb: tuple[float, float, float]
    """Linear colour times strength, as pyrender counts it (a white surface facing it returns rgb /
    pi)."""


LIGHTS = (
    Light((-0.45, 0.75, 0.65), (3.05, 2.92, 2.75)),
    Light((0.85, 0.10, 0.45), (0.62, 0.72, 0.92)),
)
AMBIENT_RGB = (0.13, 0.14, 0.17)
SKIN_RGB = np.array([[0.62, 0.46, 0.37], [0.68, 0.45, 0.33]])
"""Linear albedo of the left and the right hand: alike, but told apart at a glance."""
CUFF_RGB = np.array([[0.16, 0.27, 0.42], [0.42, 0.23, 0.17]])
ROUGHNESS = 0.62
_STAGE_TOP, _STAGE_BOTTOM = np.array([236, 238, 243]), np.array([196, 202, 214])


def available_backend() -> tuple[str, str]:
    """The backend that "auto" takes, and why: ("pyrender", "EGL, Mesa ...") or ("raster", the
    reason)."""
    try:
        return "pyrender", OpenGLRenderer.shared().describe()
    except OpenGLError as error:
        return "raster", f"OpenGL is not available ({error})"


def render_motion(
    motion: HandMotion,
    hand_model: HandModel,
    camera: Camera,
    *,
    background: Frame | None = None,
    backend: str = "auto",
    start: int = 0,
    stop: int | None = None,
) -> Iterator[Frame]:
    """Frames start..stop of the motion at the camera's size, each (H, W, 3) uint8.

    `background` (H, W, 3) uint8 is dimmed behind the hands; without it they stand on a soft
    gradient. `backend` is "pyrender", "raster" or "auto" (pyrender where it works). Raises
    InputError at the call.
    """
    if backend not in BACKENDS:
        raise InputError("backend", f"must be one of {', '.join(BACKENDS)}", backend, "Use auto.")
    size = (camera.height_px, camera.width_px)
    if background is not None and background.shape != (*size, 3):
        raise InputError(
            "background",
            f"must be {size[1]} x {size[0]} pixels like the camera",
            background.shape,
            "Pass the portrait whose camera this is.",
        )
    chosen, reason = available_backend() if backend != "raster" else ("raster", "")
    if backend == "pyrender" and chosen != "pyrender":
        raise InputError("backend", "pyrender must work here", reason, "Use backend auto.")
    draw = _draw_with_pyrender if chosen == "pyrender" else _draw_with_raster
    return _frames(motion, hand_model, camera, _stage(size, background), draw, start, stop)


def _frames(motion, hand_model, camera, stage, draw, start, stop) -> Iterator[Frame]:
    stop = motion.num_frames if stop is None else stop
    cuffs = Cuffs(hand_model.smooth_faces)
    for first in range(start, stop, CHUNK_FRAMES):
        last = min(first + CHUNK_FRAMES, stop)
        vertices = hand_model.vertices(motion, first, last)
        for t in range(last - first):
            hands = [h for h in range(NUM_HANDS) if motion.visible[first + t, h]]
            frame = stage.copy()
            smooth = hand_model.subdivide(vertices[t])
            for together in _apart(smooth, hands, camera):
                mesh = _assemble(smooth, hand_model.smooth_faces, cuffs, together)
                if (window := _window(mesh.vertices, camera)) is not None:
                    _composite(frame, *draw(mesh, camera, window), window)
            yield (np.clip(frame, 0.0, 255.0) + 0.5).astype(np.uint8)


@dataclass(frozen=True)
class HandsMesh:
    """Everything of one frame as one mesh."""

    vertices: np.ndarray
    """(N, 3) float32 metres, body frame."""
    normals: np.ndarray
    """(N, 3) float32 unit."""
    faces: np.ndarray
    """(F, 3) int32."""
    colours: np.ndarray
    """(N, 3) float32 linear albedo."""


def _assemble(
    smooth: np.ndarray, smooth_faces: np.ndarray, cuffs: Cuffs, hands: list[int]
) -> HandsMesh:
    """Hands and cuffs of one frame; `smooth` is (2, V', 3)."""
    vertices, faces, colours, base = [], [], [], 0
    for h in hands:
        cuff, cuff_faces = cuffs.build(smooth[h], h)
        for part, part_faces, rgb in (
            (smooth[h], smooth_faces[h], SKIN_RGB[h]),
            (cuff, cuff_faces, CUFF_RGB[h]),
        ):
            vertices.append(part)
            faces.append(part_faces + base)
            colours.append(np.broadcast_to(rgb, part.shape))
            base += len(part)
    points = np.concatenate(vertices).astype(np.float32)
    triangles = np.concatenate(faces).astype(np.int32)
    return HandsMesh(
        points,
        vertex_normals(points, triangles),
        triangles,
        np.concatenate(colours).astype(np.float32),
    )


def _draw_with_pyrender(
    mesh: HandsMesh, camera: Camera, window: Window
) -> tuple[np.ndarray, np.ndarray]:
    """Premultiplied colour 0..255 (h, w, 3) and alpha (h, w) of a window of the picture."""
    rgba = OpenGLRenderer.shared().render(mesh, camera, window, LIGHTS, AMBIENT_RGB, ROUGHNESS)
    return rgba[..., :3].astype(np.float32), rgba[..., 3].astype(np.float32) / 255


def _draw_with_raster(
    mesh: HandsMesh, camera: Camera, window: Window
) -> tuple[np.ndarray, np.ndarray]:
    """The same from the numba rasteriser, shaded per pixel: Lambert and a soft highlight."""
    attributes = np.concatenate([mesh.normals, mesh.colours], axis=1)
    rows, columns = window
    pixels = to_pixels(mesh.vertices, camera) - np.array([columns.start, rows.start, 0], np.float32)
    height, width = rows.stop - rows.start, columns.stop - columns.start
    raster = rasterise(pixels, mesh.faces, attributes, height, width)
    covered = raster.alpha > 0
    attributes, alpha = raster.attributes[covered], raster.alpha[covered]  # (n, 6), (n,)
    normals, albedo = attributes[:, :3], attributes[:, 3:]
    normals = normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-6)
    linear = albedo * np.array(AMBIENT_RGB, np.float32)
    for light in LIGHTS:
        towards = np.array(light.towards, np.float32)
        towards /= np.linalg.norm(towards)
        half = towards + np.array([0, 0, 1], np.float32)
        half /= np.linalg.norm(half)
        lit = np.clip(normals @ towards, 0.0, 1.0)[:, None]
        shine = 0.045 * np.clip(normals @ half, 0.0, 1.0)[:, None] ** 12
        linear += (
            np.array(light.rgb, np.float32) * lit * albedo * (0.96 / np.float32(np.pi) + shine)
        )
    colour, coverage = (
        np.zeros((height, width, 3), np.float32),
        np.zeros((height, width), np.float32),
    )
    colour[raster.window][covered] = (
        255.0 * alpha[:, None] * np.clip(linear, 0.0, 1.0) ** np.float32(1 / 2.2)
    )
    coverage[raster.window] = raster.alpha
    return colour, coverage


def _apart(smooth: np.ndarray, hands: list[int], camera: Camera) -> list[list[int]]:
    """Hands that are far apart in the picture are drawn one by one, the farther first; others in
    one depth buffer.

    OpenGL on a CPU costs by the pixel of the window: two small windows are several times faster
    than one wide one.
    """
    if len(hands) < NUM_HANDS:
        return [[h] for h in hands]
    pixels = camera.project(smooth)
    margin = 0.5 * np.ptp(pixels, axis=1).max()  # room for cuffs
    low, high = pixels.min(axis=1) - margin / 2, pixels.max(axis=1) + margin / 2
    if np.all((low[0] < high[1]) & (low[1] < high[0])):
        return [hands]
    return [[h] for h in sorted(hands, key=lambda h: smooth[h, :, 2].mean())]


def _window(vertices: np.ndarray, camera: Camera) -> Window | None:
    """Rows and columns around the mesh, None where it lies outside the picture.

    Sizes go in steps of 32 pixels, so that OpenGL's frame buffer is not made anew with every frame.
    """
    pixels = to_pixels(vertices, camera)[:, :2]
    window = []
    for axis, limit in ((1, camera.height_px), (0, camera.width_px)):
        low, high = np.floor(pixels[:, axis].min()) - 1, np.ceil(pixels[:, axis].max()) + 1
        low, high = int(np.clip(low, 0, limit)), int(np.clip(high, 0, limit))
        if high <= low:
            return None
        length = min(-(-(high - low) // 32) * 32, limit)
        low = min(low, limit - length)
        window.append(slice(low, low + length))
    return window[0], window[1]


def _composite(frame: np.ndarray, colour: np.ndarray, alpha: np.ndarray, window: Window) -> None:
    """Hands with a soft shadow below them, over the float frame, in place."""
    height, width = frame.shape[:2]
    sigma = max(height, width) / 90
    margin, drop = int(3 * sigma) + 1, round(1.1 * sigma)
    padded = cv2.copyMakeBorder(alpha, margin, margin, margin, margin, cv2.BORDER_CONSTANT, value=0)
    shadow = cv2.GaussianBlur(padded, (0, 0), sigma)
    top, left = window[0].start - margin + drop, window[1].start - margin
    rows = slice(max(top, 0), min(top + shadow.shape[0], height))
    columns = slice(max(left, 0), min(left + shadow.shape[1], width))
    seen = shadow[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left]
    frame[rows, columns] *= 1.0 - 0.28 * seen[..., None]
    beneath = frame[window]
    beneath *= 1.0 - alpha[..., None]
    beneath += colour


def _stage(size: tuple[int, int], background: Frame | None) -> np.ndarray:
    """(H, W, 3) float32, 0..255: the dimmed, slightly greyed portrait, or a gradient."""
    height, width = size
    if background is not None:
        picture = background.astype(np.float32)
        grey = picture.mean(axis=-1, keepdims=True)
        # A dark portrait needs little dimming for the hands to stand out, a bright one much.
        dim = np.clip(55.0 / max(float(grey.mean()), 1.0), 0.40, 0.70)
        return dim * (0.65 * picture + 0.35 * grey) + 12.0
    down = np.linspace(0, 1, height)[:, None, None]
    across = np.linspace(-1, 1, width)[None, :, None]
    stage = _STAGE_TOP + (_STAGE_BOTTOM - _STAGE_TOP) * down**1.3 - 8.0 * across**2
    return np.ascontiguousarray(np.broadcast_to(stage, (height, width, 3)), dtype=np.float32)
