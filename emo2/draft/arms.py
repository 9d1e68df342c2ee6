"""Both arms of one frame as a picture layer: lit meshes in one z-buffer, soft edges, a shadow on
the body.

In: arm vertices [m] and elbows. Out: an `ArmLayer` that `emo2.draft.renderer` lays over the moved
person. Works inside the box that the arms cover, so a frame costs what the arms cover and not what
the picture measures.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from emo2.draft.head_mesh import smoothstep
from emo2.draft.light import CLOTH_SHADOW_GAMMA, SKIN_SHADOW_GAMMA, Light
from emo2.draft.paint import ArmPaint, place_on_cloth
from emo2.draft.shadow import SHADOW_REACH_M, cast_shadow, creases
from emo2.draft.tube import tube_faces, tube_vertices
from emo2.hands.raster import Raster, rasterise, to_pixels, vertex_normals
from emo2.types import Camera

# The elbow's end fades into the picture's upper arm over this length.
JOIN_M = 0.045
# What the rasteriser interpolates for us, after the lit skin in 0..2.
SHADE, JOIN, FADE, FROM_CUFF, CLOTH_AT = 3, 4, 5, 6, slice(7, 9)
CHANNELS = 9
# Under a cuff skin lies in shade; a hem runs along it.
CUFF_SHADE, CUFF_SHADE_M = 0.35, 0.006
HEM, HEM_AT_M, HEM_WIDTH_M = 0.10, 0.011, 0.0011


@dataclass(frozen=True)
class ArmLayer:
    """What one frame's arms look like, over the box rows `top:bottom`, columns `left:right` of the
    picture."""

    top: int
    left: int
    colour: np.ndarray
    """(h, w, 3) float32 in [0, 1], premultiplied by `alpha`."""
    alpha: np.ndarray
    """(h, w) float32 in [0, 1]."""
    shadow: np.ndarray
    """(h, w) float32 in [0, 1]: how much light the arms take from the body behind them."""
    join: np.ndarray
    """(h, w) float32 in [0, 1]: where the elbow gives way to a like-coloured arm behind it."""
    fade: np.ndarray
    """(h, w) float32 in [0, 1]: where a drawn upper arm gives way to the body behind it."""
    skin: np.ndarray
    """(h, w) float32 in [0, 1]: `alpha` of what is bare."""

    @property
    def box(self) -> tuple[slice, slice]:
        """The rows and columns it covers."""
        height, width = self.alpha.shape
        return slice(self.top, self.top + height), slice(self.left, self.left + width)


class ArmPainter:
    """Draws the arms of one person, frame by frame. Holds nothing that changes between frames."""

    def __init__(
        self,
        faces: np.ndarray,
        blend: np.ndarray,
        paint: ArmPaint,
        light: Light,
        camera: Camera,
        softness_px: float = 0.45,
    ) -> None:
        """`faces` (2, F, 3) and `blend` (V,) are the arm model's; `softness_px` is the photograph's
        blur."""
        self.faces, self.blend, self.paint = faces, blend, paint
        self.light, self.camera, self.softness_px = light, camera, softness_px
        self._cloth, self._tube = np.concatenate(paint.cloth), tube_faces()

    def draw(
        self,
        vertices: np.ndarray,
        elbows_m: np.ndarray,
        shoulders_px: np.ndarray,
        joined: np.ndarray,
        visible: np.ndarray,
    ) -> ArmLayer | None:
        """One frame's layer, or None where no arm lies in the picture.

        Args:
            vertices: (2, V, 3) metres.
            elbows_m: (2, 3) metres.
            shoulders_px: (2, 2) of the moved person.
            joined: (2,) bool: the picture has an upper arm that this elbow must grow out of;
                otherwise the upper arm is drawn too.
            visible: (2,) bool.
        """
        meshes = []
        for hand in np.flatnonzero(visible):
            pixels, lit = self._light_up(hand, vertices[hand])
            meshes.append((pixels, self.faces[hand], lit))
            if joined[hand]:
                elbow_px = self.camera.project(elbows_m[hand])
                fade = self._join(pixels[:, :2], elbow_px, shoulders_px[hand])
                lit[:, JOIN] = fade * smoothstep(0.55, 0.9, self.blend)
            else:
                shoulder = self.camera.unproject(shoulders_px[hand])
                meshes.append(self._upper_arm(hand, shoulder, elbows_m[hand]))
        if not meshes:
            return None
        points, faces, values = zip(*meshes, strict=True)
        offsets = np.cumsum([0] + [len(p) for p in points[:-1]])
        raster = rasterise(
            np.concatenate(points),
            np.concatenate([f + offset for f, offset in zip(faces, offsets, strict=True)]),
            np.concatenate(values),
            self.camera.height_px,
            self.camera.width_px,
        )
        return self._finish(raster) if raster.alpha.size else None

    def _light_up(self, hand: int, vertices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Points (V, 3) [px, px, m from the camera] and what is interpolated, (V, CHANNELS)."""
        paint, faces = self.paint, self.faces[hand]
        lift = paint.lift_m[hand, :, None]
        vertices = vertices + lift * vertex_normals(vertices, faces)
        normals = vertex_normals(vertices, faces)
        shade = np.maximum(self.light.shade(normals), 0.05)
        values = np.zeros((len(vertices), CHANNELS), np.float32)
        values[:, :3] = paint.skin[hand] * shade[:, None] ** SKIN_SHADOW_GAMMA
        values[:, :3] += (paint.gloss[hand] * self.light.highlight(normals, 20.0))[:, None]
        values[:, SHADE] = shade
        values[:, FROM_CUFF] = paint.from_cuff_m[hand]
        values[:, CLOTH_AT] = paint.cloth_at[hand] + [0, hand * paint.cloth.shape[1]]
        return to_pixels(vertices, self.camera), values

    def _upper_arm(self, hand: int, shoulder: np.ndarray, elbow: np.ndarray):
        """Points, faces and values of an upper arm that melts into the torso at the shoulder."""
        vertices, along, around = tube_vertices(shoulder, elbow)
        shade = np.maximum(self.light.shade(vertex_normals(vertices, self._tube)), 0.05)
        values = np.zeros((len(vertices), CHANNELS), np.float32)
        values[:, :3] = self.paint.elbow_skin[hand] * shade[:, None] ** SKIN_SHADOW_GAMMA
        values[:, SHADE] = shade
        values[:, FADE] = 1 - smoothstep(0.1, 0.5, along)
        length = np.linalg.norm(elbow - shoulder)
        values[:, FROM_CUFF] = (self.paint.upper_cuff[hand] - along) * length
        rows, columns = self.paint.cloth.shape[1:3]
        onward = (1 - along) * length * self.camera.pixels_per_metre
        at = place_on_cloth(around, onward, rows, columns)
        values[:, CLOTH_AT] = at + np.array([0, hand * rows])
        return to_pixels(vertices, self.camera), self._tube, values

    def _join(self, pixels: np.ndarray, elbow: np.ndarray, shoulder: np.ndarray) -> np.ndarray:
        """(V,) 0..1: how far a point has gone from the elbow up the picture's own upper arm."""
        up = (shoulder - elbow) / max(np.linalg.norm(shoulder - elbow), 1e-6)
        length = JOIN_M * self.camera.pixels_per_metre
        return smoothstep(-0.3, 0.7, (pixels - elbow) @ up / length)

    def _finish(self, raster: Raster) -> ArmLayer:
        """Room for the shadow around the arms, occlusion in the creases, the photograph's
        softness."""
        ppm = self.camera.pixels_per_metre
        margin = round(SHADOW_REACH_M * ppm)
        rows, columns = raster.window
        top, left = max(0, rows.start - margin), max(0, columns.start - margin)
        bottom = min(self.camera.height_px, rows.stop + margin)
        right = min(self.camera.width_px, columns.stop + margin)
        edges = (rows.start - top, bottom - rows.stop, columns.start - left, right - columns.stop)

        def pad(image: np.ndarray) -> np.ndarray:
            return cv2.copyMakeBorder(image, *edges, cv2.BORDER_CONSTANT, value=0)

        covered = raster.alpha > 0
        nearness = np.where(covered, self.camera.distance_m - raster.depth, 0).astype(np.float32)
        values = raster.attributes
        colour, sleeve = self._dress(values, covered)
        colour = colour * creases(nearness, covered, ppm)
        colour, alpha = pad(colour * raster.alpha[..., None]), pad(raster.alpha)
        skin = pad(raster.alpha * (1 - sleeve))
        fade = pad(values[..., FADE])
        # What melts into the body casts no shadow on it.
        shadow = cast_shadow(alpha * (1 - fade), pad(nearness), self.light, ppm)
        if self.softness_px > 0:
            colour = cv2.GaussianBlur(colour, (0, 0), self.softness_px)
            alpha = cv2.GaussianBlur(alpha, (0, 0), self.softness_px)
            skin = cv2.GaussianBlur(skin, (0, 0), self.softness_px)
        return ArmLayer(top, left, colour, alpha, shadow, pad(values[..., JOIN]), fade, skin)

    def _dress(self, values: np.ndarray, covered: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(h, w, 3) skin and, inside the cuff, the sleeve; and where the sleeve is, (h, w)."""
        colour = np.ascontiguousarray(values[..., :3])
        cover = np.zeros(covered.shape, np.float32)
        clothed = covered & (values[..., FROM_CUFF] > -2.5 * CUFF_SHADE_M)
        if not clothed.any():
            return colour, cover
        there = values[clothed]  # (N, CHANNELS)
        inside_m = there[:, FROM_CUFF]
        cloth = _sample(self._cloth, there[:, CLOTH_AT])
        hem = HEM * np.exp(-np.square((inside_m - HEM_AT_M) / HEM_WIDTH_M))
        cloth = cloth * (there[:, SHADE] * (1 - hem))[:, None] ** CLOTH_SHADOW_GAMMA
        under = CUFF_SHADE * np.exp(-np.square(np.minimum(inside_m, 0) / CUFF_SHADE_M))
        skin = there[:, :3] * (1 - under)[:, None] ** SKIN_SHADOW_GAMMA
        sleeve = np.clip(inside_m * self.camera.pixels_per_metre + 0.5, 0, 1)[:, None]
        colour[clothed] = skin + (cloth - skin) * sleeve
        cover[clothed] = sleeve[:, 0]
        return colour, cover


def _sample(picture: np.ndarray, at: np.ndarray) -> np.ndarray:
    """(N, 3): `picture` (h, w, 3) at columns and rows `at` (N, 2), its edges repeated outwards."""
    # OpenCV's maps are narrower and lower than 32768, so the points go in rows.
    count, columns = len(at), 256
    grid = np.zeros((-(-count // columns), columns, 2), np.float32)
    grid.reshape(-1, 2)[:count] = at
    found = cv2.remap(picture, grid, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return found.reshape(-1, 3)[:count]


def mean_layer(layers: list[ArmLayer | None]) -> ArmLayer | None:
    """The mean of several exposures: motion blur."""
    drawn = [layer for layer in layers if layer is not None]
    if len(drawn) < 2:
        return drawn[0] if drawn else None
    top, left = min(a.top for a in drawn), min(a.left for a in drawn)
    bottom = max(a.top + a.alpha.shape[0] for a in drawn)
    right = max(a.left + a.alpha.shape[1] for a in drawn)
    total = np.zeros((bottom - top, right - left, 8), np.float32)
    for layer in drawn:
        rows, columns = layer.box
        part = total[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left]
        part[..., :3] += layer.colour
        part[..., 3] += layer.alpha
        part[..., 4] += layer.shadow
        part[..., 5] += layer.join
        part[..., 6] += layer.fade
        part[..., 7] += layer.skin
    total /= len(layers)
    return ArmLayer(top, left, total[..., :3], *(total[..., k] for k in range(3, 8)))
