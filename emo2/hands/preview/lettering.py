"""Small words on pictures, in Pillow's own typeface, so that no font file is needed."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw, ImageFont

Rgb = tuple[float, float, float]


def write(
    picture: np.ndarray, words: str, x: float, y: float, size: int, rgb: Rgb, anchor: str = "lm"
) -> int:
    """Write `words` on a picture (H, W, 3), in place; returns their width in pixels.

    `anchor` says what of the words lies at (x, y), as in Pillow: "lm" is left, middle of the line.
    """
    mask, ascent = _mask(words, size)
    height, width = mask.shape
    left = round(x - width * {"l": 0, "m": 0.5, "r": 1}[anchor[0]])
    top = round(y - {"m": height / 2, "s": ascent, "t": 0}[anchor[1]])
    rows = slice(max(top, 0), min(top + height, picture.shape[0]))
    columns = slice(max(left, 0), min(left + width, picture.shape[1]))
    if rows.start < rows.stop and columns.start < columns.stop:
        ink = mask[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left]
        beneath = picture[rows, columns]
        mixed = beneath + ink[..., None] * (np.asarray(rgb, np.float32) - beneath)
        picture[rows, columns] = mixed.astype(picture.dtype)
    return width


@lru_cache(maxsize=512)
def _mask(words: str, size: int) -> tuple[np.ndarray, int]:
    """(h, w) float32 in [0, 1] of a line of words, and the rows above its baseline."""
    font = ImageFont.load_default(size)
    ascent, descent = font.getmetrics()
    image = Image.new("L", (max(1, round(font.getlength(words)) + 1), ascent + descent))
    ImageDraw.Draw(image).text((0, ascent), words, fill=255, font=font, anchor="ls")
    return np.asarray(image, np.float32) / 255, ascent


def clock(seconds: float) -> str:
    """ "1:02.46": minutes, seconds and hundredths."""
    hundredths = round(seconds * 100)
    return f"{hundredths // 6000}:{hundredths // 100 % 60:02d}.{hundredths % 100:02d}"
