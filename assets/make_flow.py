"""Draw the README's picture of the flow, `assets/flow.jpg`, with the bundled example and weights.

python assets/make_flow.py
"""

from __future__ import annotations

import sys
from itertools import islice
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

ASSETS = Path(__file__).resolve().parent
sys.path.insert(0, str(ASSETS.parent))

from emo2.media import load_audio, load_image  # noqa: E402
from emo2.pipeline import EMO2Pipeline  # noqa: E402

HEIGHT, MARGIN, GAP, CAPTION, WAVE = 420, 28, 64, 60, 96
PAPER, INK, FAINT, ACCENT = (250, 250, 247), (34, 40, 49), (120, 126, 134), (15, 118, 110)
MOMENTS_S = (1.0, 2.5)


def waveform(samples: np.ndarray, width: int, height: int) -> Image.Image:
    """The recording as bars, one every four pixels."""
    picture = Image.new("RGB", (width, height), PAPER)
    draw = ImageDraw.Draw(picture)
    bars = np.array_split(np.abs(samples), width // 4)
    loudest = max(bar.max() for bar in bars)
    for i, bar in enumerate(bars):
        half = max(1.0, 0.48 * height * bar.max() / loudest)
        draw.rectangle((4 * i, height / 2 - half, 4 * i + 1, height / 2 + half), fill=ACCENT)
    return picture


def main() -> None:
    """Render two moments of the hands and of the film, and lay them out."""
    studio = EMO2Pipeline.from_pretrained()
    speech = load_audio(ASSETS / "welcome.flac")
    portrait = studio.analyse(load_image(ASSETS / "amara.jpg"))
    motion = studio.gesture(speech, style="talk-lively")
    moments = [round(second * studio.fps) for second in MOMENTS_S]
    stop = max(moments) + 1
    hands = list(islice(studio.preview(motion, portrait), stop))
    film = list(islice(studio.render(portrait, speech, motion), stop))

    def scaled(frame: np.ndarray, height: int = HEIGHT) -> Image.Image:
        width = round(frame.shape[1] * height / frame.shape[0])
        return Image.fromarray(frame).resize((width, height), Image.LANCZOS)

    inputs = scaled(portrait.image, HEIGHT - WAVE - 12)
    column = Image.new("RGB", (inputs.width, HEIGHT), PAPER)
    column.paste(inputs, (0, 0))
    column.paste(waveform(speech.samples, inputs.width, WAVE), (0, HEIGHT - WAVE))
    panels = [
        ([column], "A portrait and a recording", "what you bring"),
        ([scaled(hands[t]) for t in moments], "Hands", "Stage 1: look, change, approve"),
        ([scaled(film[t]) for t in moments], "Film", "the draft renderer: the body follows"),
    ]
    widths = [sum(image.width for image in images) + 8 * (len(images) - 1) for images, *_ in panels]
    size = (sum(widths) + GAP * (len(panels) - 1) + 2 * MARGIN, HEIGHT + CAPTION + 2 * MARGIN)
    page = Image.new("RGB", size, PAPER)
    draw = ImageDraw.Draw(page)
    large, small = ImageFont.load_default(22), ImageFont.load_default(17)
    x = MARGIN
    for (images, title, line), width in zip(panels, widths, strict=True):
        if x > MARGIN:
            middle, tip = MARGIN + HEIGHT / 2, x - 14
            draw.line((x - GAP + 14, middle, tip - 8, middle), fill=INK, width=3)
            draw.polygon(((tip, middle), (tip - 12, middle - 7), (tip - 12, middle + 7)), fill=INK)
        at = x
        for image in images:
            page.paste(image, (at, MARGIN))
            at += image.width + 8
        draw.text((x, MARGIN + HEIGHT + 10), title, font=large, fill=INK)
        draw.text((x, MARGIN + HEIGHT + 36), line, font=small, fill=FAINT)
        x += width + GAP
    page.save(ASSETS / "flow.jpg", quality=88)


if __name__ == "__main__":
    main()
