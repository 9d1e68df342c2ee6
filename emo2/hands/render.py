"""A motion as a film of shaded hands, over the dimmed portrait or a plain stage: what people judge
and approve.

In: a `HandMotion`, the hand model and the camera of the portrait (or of a stage). Out: frames, one
by one; nothing holds more than `CHUNK_FRAMES` of them. Two backends behind one function: pyrender
(OpenGL through EGL) and the numba rasteriser, which needs no system library. Both get the same
meshes, light and camera, so they draw the same film. Guidance maps use the same camera: a pixel of
the preview is the same pixel of the film.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from emo2.errors import InputError
from emo2.hands.cuffs import Cuffs
from emo2.hands.detail import HandDetail
from emo2.hands.model import HandModel
from emo2.hands.occlusion import darken_crevices
from emo2.hands.opengl import OpenGLError, OpenGLRenderer
from emo2.hands.preview.stage import Window, lay_over, lay_shadow, stage
from emo2.hands.preview.timeline import HAND_RGB
from emo2.hands.preview.trails import Trails, draw_trails, lay_trails
from emo2.hands.raster import rasterise, to_pixels, vertex_normals
from emo2.hands.shading import SKIN_SHEEN, shade
from emo2.types import NUM_HANDS, Camera, Frame, HandMotion

BACKENDS = ("auto", "pyrender", "raster")
CHUNK_FRAMES = 24
SKIN_RGB = np.array([[0.68, 0.465, 0.365], [0.73, 0.455, 0.33]], np.float32)
"""Linear albedo of the left and the right hand: alike, but told apart at a glance."""
CUFF_RGB = np.array([[0.10, 0.22, 0.40], [0.42, 0.17, 0.10]], np.float32)

_CLEAR_M = 0.03
_TRAIL_RGB = np.array(HAND_RGB, np.float32)


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
    detail: HandDetail | None = None,
    background: Frame | None = None,
    backend: str = "auto",
    trails: bool = False,
    ghost: bool = False,
    start: int = 0,
    stop: int | None = None,
) -> Iterator[Frame]:
    """Frames start..stop of the motion at the camera's size, each (H, W, 3) uint8.

    `detail` gives nails, creases and colour to the hands it was made for. `background` (H, W, 3)
    uint8 is dimmed behind the hands; without it they stand on a soft gradient. `trails` draws the
    wrists' paths of the last moments, `ghost` those of the next too. `backend` is "pyrender",
    "raster" or "auto" (pyrender where it works). Raises InputError at the call.
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
    hands = _Hands(hand_model, detail, camera, _pyrender if chosen == "pyrender" else _raster)
    frames = range(motion.num_frames)[start:stop]
    backdrop = stage(size, background)
    return _frames(motion, hands, camera, backdrop, frames, trails or ghost, ghost)


def _frames(motion, hands, camera, backdrop, frames, trails, ghost) -> Iterator[Frame]:
    for first in range(frames.start, frames.stop, CHUNK_FRAMES):
        last = min(first + CHUNK_FRAMES, frames.stop)
        vertices = hands.model.vertices(motion, first, last)
        for t in range(first, last):
            frame = backdrop.copy()
            layers = hands.draw(vertices[t - first], motion.visible[t])
            paths = draw_trails(motion, camera, t, ghost=ghost) if trails else None
            if paths is not None:
                lay_trails(frame, _TRAIL_RGB, paths.alpha, paths.hand)
            for layer in layers:
                lay_shadow(frame, layer.alpha, layer.window)
                lay_over(frame, layer.colour, layer.alpha, layer.window)
                if paths is not None:
                    _lay_trails_over(frame, paths, layer)
            frame += 0.5  # every layer is a mean of colours in 0..255: nothing to clip
            yield frame.astype(np.uint8)


@dataclass(frozen=True)
class HandsMesh:
    """What is drawn at once, as one mesh."""

    vertices: np.ndarray
    """(N, 3) float32 metres, body frame."""
    normals: np.ndarray
    """(N, 3) float32 unit."""
    faces: np.ndarray
    """(F, 3) int32."""
    colours: np.ndarray
    """(N, 3) float32 linear albedo."""
    sheen: np.ndarray
    """(N,) float32, see `emo2.hands.shading`."""


@dataclass(frozen=True)
class Layer:
    """One or two hands, drawn."""

    colour: np.ndarray
    """(h, w, 3) float32, 0..255, premultiplied."""
    alpha: np.ndarray
    """(h, w) float32 in [0, 1]."""
    depth: np.ndarray
    """(h, w) float32 metres from the camera; inf where nothing is."""
    window: Window


class _Hands:
    """Draws the hands and cuffs of one frame after the other."""

    def __init__(
        self, model: HandModel, detail: HandDetail | None, camera: Camera, backend: Callable
    ) -> None:
        self.model, self.camera, self._backend = model, camera, backend
        surface = model if detail is None else detail
        self._subdivide, self._faces = surface.subdivide, surface.smooth_faces
        self._cuffs = Cuffs(self._faces)
        self._paint = [_paint(detail, h, int(self._faces[h].max()) + 1) for h in range(NUM_HANDS)]

    def draw(self, vertices: np.ndarray, visible: np.ndarray) -> list[Layer]:
        """The layers of posed hands (2, 778, 3), farthest first."""
        smooth = self._subdivide(vertices)
        layers = []
        for together in _apart(vertices, np.flatnonzero(visible).tolist(), self.camera):
            mesh = self._assemble(smooth, together)
            if (window := _window(mesh.vertices, self.camera)) is not None:
                colour, alpha, depth = self._backend(mesh, self.camera, window)
                darken_crevices(colour, depth, self.camera.pixels_per_metre)
                depth = np.where(alpha > 0, depth, np.float32(np.inf))
                layers.append(Layer(colour, alpha, depth, window))
        return layers

    def _assemble(self, smooth: np.ndarray, hands: list[int]) -> HandsMesh:
        """Hands and cuffs of one frame; `smooth` is (2, V', 3)."""
        vertices, faces, colours, sheens, base = [], [], [], [], 0
        for h in hands:
            cuff, cuff_faces = self._cuffs.build(smooth[h], h)
            skin, sheen = self._paint[h]
            cloth = np.broadcast_to(CUFF_RGB[h], cuff.shape), np.zeros(len(cuff), np.float32)
            for part, part_faces, colour, gloss in (
                (smooth[h], self._faces[h], skin, sheen),
                (cuff, cuff_faces, *cloth),
            ):
                vertices.append(part)
                faces.append(part_faces + base)
                colours.append(colour)
                sheens.append(gloss)
                base += len(part)
        points = np.concatenate(vertices).astype(np.float32)
        triangles = np.concatenate(faces).astype(np.int32)
        normals = vertex_normals(points, triangles)
        return HandsMesh(
            points, normals, triangles, np.concatenate(colours), np.concatenate(sheens)
        )


def _paint(detail: HandDetail | None, hand: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Albedo (count, 3) and sheen (count,) of one hand's vertices."""
    skin = np.tile(SKIN_RGB[hand], (count, 1))
    sheen = np.full(count, SKIN_SHEEN, np.float32)
    if detail is None:
        return skin, sheen
    return skin * detail.albedo, sheen + (1 - SKIN_SHEEN) * detail.nail


def _pyrender(mesh: HandsMesh, camera: Camera, window: Window):
    """Premultiplied colour 0..255 (h, w, 3), alpha (h, w) and depth (h, w) of a window."""
    rgba, depth = OpenGLRenderer.shared().render(mesh, camera, window)
    return rgba[..., :3].astype(np.float32), rgba[..., 3].astype(np.float32) / 255, depth


def _raster(mesh: HandsMesh, camera: Camera, window: Window):
    """The same from the numba rasteriser, shaded per pixel."""
    attributes = np.concatenate([mesh.normals, mesh.colours, mesh.sheen[:, None]], axis=1)
    rows, columns = window
    pixels = to_pixels(mesh.vertices, camera) - np.array([columns.start, rows.start, 0], np.float32)
    height, width = rows.stop - rows.start, columns.stop - columns.start
    raster = rasterise(pixels, mesh.faces, attributes, height, width)
    covered = raster.alpha > 0
    seen, alpha = raster.attributes[covered], raster.alpha[covered]  # (n, 7), (n,)
    colour = np.zeros((height, width, 3), np.float32)
    coverage, depth = np.zeros((2, height, width), np.float32)
    colour[raster.window][covered] = (255 * alpha)[:, None] * shade(
        seen[:, :3], seen[:, 3:6], seen[:, 6]
    )
    coverage[raster.window] = raster.alpha
    depth[raster.window][covered] = raster.depth[covered]
    return colour, coverage, depth


def _lay_trails_over(frame: np.ndarray, paths: Trails, layer: Layer) -> None:
    """The parts of the ribbons that pass before these hands, drawn once more over them.

    They fade in over `_CLEAR_M`: the wrist itself lies inside its hand and would shimmer through.
    """
    before_m = np.where(layer.alpha > 0, layer.depth, 0) - paths.depth[layer.window]
    alpha = paths.alpha[layer.window] * layer.alpha * np.clip(before_m / _CLEAR_M - 0.5, 0, 1)
    lay_trails(frame[layer.window], _TRAIL_RGB, alpha, paths.hand[layer.window])


def _apart(vertices: np.ndarray, hands: list[int], camera: Camera) -> list[list[int]]:
    """Hands that are far apart in the picture are drawn one by one, the farther first; others in
    one depth buffer.

    OpenGL on a CPU costs by the pixel of the window: two small windows are several times faster
    than one wide one.
    """
    if len(hands) < NUM_HANDS:
        return [[h] for h in hands]
    pixels = camera.project(vertices)
    margin = 0.5 * np.ptp(pixels, axis=1).max()  # room for cuffs
    low, high = pixels.min(axis=1) - margin / 2, pixels.max(axis=1) + margin / 2
    if np.all((low[0] < high[1]) & (low[1] < high[0])):
        return [hands]
    return [[h] for h in sorted(hands, key=lambda h: vertices[h, :, 2].mean())]


def _window(vertices: np.ndarray, camera: Camera) -> Window | None:
    """Rows and columns around the mesh, None where it lies outside the picture.

    Sizes go in steps of 32 pixels, so that OpenGL's frame buffer is not made anew with every frame.
    """
    across, down = np.ascontiguousarray(to_pixels(vertices, camera)[:, :2].T)
    window = []
    for pixels, limit in ((down, camera.height_px), (across, camera.width_px)):
        low, high = np.floor(pixels.min()) - 1, np.ceil(pixels.max()) + 1
        low, high = int(np.clip(low, 0, limit)), int(np.clip(high, 0, limit))
        if high <= low:
            return None
        length = min(-(-(high - low) // 32) * 32, limit)
        low = min(low, limit - length)
        window.append(slice(low, low + length))
    return window[0], window[1]
