"""Small pictures for the page: the portrait with the findings drawn on it, and thumbnails inside
HTML."""

from __future__ import annotations

import base64
import io

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from emo2.types import Frame, Portrait

MARK_RGB = (94, 234, 212)
LABEL_RGB = (6, 36, 34)
OUTSIDE_GAIN = 0.42
MARGIN_RGB = (120, 124, 130)
_FINE = 2  # shapes are drawn at twice the size and shrunk: smooth edges


def mark_portrait(image: Frame, portrait: Portrait, max_side_px: int = 900) -> Frame:
    """`image`, the upright source, with the film's frame, the face and the shoulders drawn on it.

    What lies outside the frame is dimmed; where the frame reaches beyond the picture the margin is
    grey.
    """
    height, width = image.shape[:2]
    x0, y0, x1, y1 = portrait.source_box
    left, top = min(0.0, x0), min(0.0, y0)
    right, bottom = max(float(width), x1), max(float(height), y1)
    scale = min(1.0, max_side_px / max(right - left, bottom - top)) * _FINE

    size = (round((right - left) * scale), round((bottom - top) * scale))
    canvas = Image.new("RGB", size, MARGIN_RGB)
    shrunk = Image.fromarray(image).resize(
        (max(1, round(width * scale)), max(1, round(height * scale)))
    )
    canvas.paste(shrunk, (round(-left * scale), round(-top * scale)))

    def place(points_px: np.ndarray) -> np.ndarray:
        """Pixels of the frame (..., 2) to pixels of the canvas."""
        frame_size = np.array([portrait.camera.width_px, portrait.camera.height_px])
        source = np.array([x0, y0]) + points_px / frame_size * np.array([x1 - x0, y1 - y0])
        return (source - np.array([left, top])) * scale

    box = tuple(place(np.array([[0, 0], portrait.image.shape[1::-1]], dtype=float)).ravel())
    inside = Image.new("L", size, round(255 * OUTSIDE_GAIN))
    ImageDraw.Draw(inside).rectangle(box, fill=255)
    canvas = Image.composite(canvas, Image.new("RGB", size), inside)

    draw = ImageDraw.Draw(canvas)
    line = max(2, round(max(size) / 300))
    draw.rectangle(box, outline=MARK_RGB, width=line)
    face = cv2.convexHull(place(portrait.face_landmarks[:, :2]).astype(np.float32))[:, 0]
    draw.line([tuple(p) for p in [*face, face[0]]], fill=MARK_RGB, width=line, joint="curve")
    shoulders = place(portrait.shoulders)
    draw.line([tuple(p) for p in shoulders], fill=MARK_RGB, width=line)
    for x, y in shoulders:
        draw.ellipse((x - 3 * line, y - 3 * line, x + 3 * line, y + 3 * line), fill=MARK_RGB)

    font = ImageFont.load_default(size=max(20, round(max(size) / 26)))
    _label(draw, font, "frame of the film", (box[0] + 4 * line, box[3] - 2 * line), "ld")
    _label(draw, font, "face", (face[:, 0].mean(), face[:, 1].min() - 2 * line), "md")
    x, y = shoulders.mean(axis=0)
    _label(draw, font, "shoulders", (x, y + 3 * line), "ma")
    return np.asarray(canvas.resize((size[0] // _FINE, size[1] // _FINE), Image.Resampling.LANCZOS))


def data_uri(frame: Frame, max_side_px: int = 360) -> str:
    """`frame` as a small JPEG for an `<img>`: no file to write, serve and delete."""
    image = Image.fromarray(frame)
    image.thumbnail((max_side_px, max_side_px))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=80)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()


def _label(
    draw: ImageDraw.ImageDraw,
    font: ImageFont.FreeTypeFont,
    text: str,
    at: tuple[float, float],
    anchor: str,
) -> None:
    left, top, right, bottom = draw.textbbox(at, text, font=font, anchor=anchor)
    pad = font.size / 4
    draw.rounded_rectangle((left - pad, top - pad, right + pad, bottom + pad), pad, fill=MARK_RGB)
    draw.text(at, text, fill=LABEL_RGB, font=font, anchor=anchor)
