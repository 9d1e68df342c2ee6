"""Small pictures for the page: the portrait with the findings drawn on it, and thumbnails inside
HTML."""

from __future__ import annotations

import base64
import io

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageEnhance, ImageFont

from emo2.types import Frame, Portrait

MARK_RGB = (94, 234, 212)
LABEL_RGB = (6, 36, 34)
OUTSIDE_GAIN = 0.42
_FINE = 2  # shapes are drawn at twice the size and shrunk: smooth edges


def mark_portrait(image: Frame, portrait: Portrait, max_side_px: int = 900) -> Frame:
    """`image`, the upright source, with the film's frame, the face and the shoulders drawn on it.

    Inside the frame it shows what the film will show, what was added around a close picture
    included; what lies outside is dimmed.
    """
    height, width = image.shape[:2]
    x0, y0, x1, y1 = portrait.source_box
    left, top = min(0.0, x0), min(0.0, y0)
    right, bottom = max(float(width), x1), max(float(height), y1)
    scale = max_side_px / max(right - left, bottom - top) * _FINE

    def place(points_px: np.ndarray) -> np.ndarray:
        """Pixels of the frame (..., 2) to pixels of the canvas."""
        frame_size = np.array([portrait.camera.width_px, portrait.camera.height_px])
        source = np.array([x0, y0]) + points_px / frame_size * np.array([x1 - x0, y1 - y0])
        return (source - np.array([left, top])) * scale

    size = (round((right - left) * scale), round((bottom - top) * scale))
    canvas = Image.new("RGB", size)
    _paste(canvas, image, (-left * scale, -top * scale), (width * scale, height * scale))
    canvas = ImageEnhance.Brightness(canvas).enhance(OUTSIDE_GAIN)
    box = tuple(place(np.array([[0, 0], portrait.image.shape[1::-1]], dtype=float)).ravel())
    _paste(canvas, portrait.image, box[:2], (box[2] - box[0], box[3] - box[1]))

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


def _paste(
    canvas: Image.Image, frame: Frame, at: tuple[float, float], size: tuple[float, float]
) -> None:
    fitted = Image.fromarray(frame).resize((max(1, round(size[0])), max(1, round(size[1]))))
    canvas.paste(fitted, (round(at[0]), round(at[1])))


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
