"""Many portraits saying the same thing: contact sheets on which everybody can judge the draft.

One row a portrait, what was uploaded at the left, then the same moments of every film: the ends of
the fastest strokes. A picture that is refused keeps its row, with the reason.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from emo2.errors import InputError
from emo2.hands.preview.contact_sheet import choose_frames
from emo2.hands.preview.lettering import clock, write
from emo2.hands.preview.timeline import GROUND_RGB, TEXT_RGB, Timeline
from emo2.media import load_image
from emo2.pipeline import EMO2Pipeline
from emo2.types import AudioClip, Frame, HandMotion

PICTURES = (".jpg", ".jpeg", ".png", ".webp")
ROWS = 5
"""Portraits a page."""
CELL_PX, _GAP, _CAPTION = 256, 8, 26
_WHITE, _RED = (245, 245, 250), (255, 130, 110)


@dataclass(frozen=True)
class Exhibit:
    """One portrait's row."""

    name: str
    pictures: tuple[Frame, ...]
    """The upload first, then the film's moments; the upload alone where it was refused."""
    notes: tuple[str, ...]
    """What the analysis has to say."""
    refused: bool


@dataclass(frozen=True)
class Gallery:
    """What is said, what the hands do, and which moments are shown."""

    audio: AudioClip
    motion: HandMotion
    frames: tuple[int, ...]

    @classmethod
    def of(cls, audio: AudioClip, motion: HandMotion, moments: int = 5) -> Gallery:
        """The `moments` of a motion at which its fastest strokes end."""
        if not 1 <= moments <= motion.num_frames:
            rule = f"must lie in 1..{motion.num_frames}"
            raise InputError("moments", rule, moments, "5 fill a row.")
        return cls(audio, motion, choose_frames(Timeline(motion, None), moments))

    def show(
        self, studio: EMO2Pipeline, path: Path, *, renderer: str = "draft", seed: int = 0
    ) -> Exhibit:
        """Film one portrait."""
        upload = load_image(path)
        try:
            portrait = studio.analyse(upload)
        except InputError as error:
            return Exhibit(path.name, (upload,), (str(error),), refused=True)
        wanted, shown = set(self.frames), []
        film = studio.render(portrait, self.audio, self.motion, renderer=renderer, seed=seed)
        for t, frame in enumerate(film):
            if t in wanted:
                shown.append(frame)
            if len(shown) == len(wanted):
                break
        return Exhibit(path.name, (upload, *shown), portrait.notes, refused=False)


def portraits(folder: Path) -> list[Path]:
    """All pictures below `folder`. Raises `InputError` where there are none."""
    found = [p for p in sorted(Path(folder).rglob("*")) if p.suffix.lower() in PICTURES]
    if not found:
        rule = f"must hold pictures ({', '.join(PICTURES)})"
        raise InputError("--portraits", rule, folder, "Name a folder with portraits.")
    return found


def pages(
    exhibits: Iterator[Exhibit], frames: Sequence[int], fps: float
) -> Iterator[tuple[Frame, list[Exhibit]]]:
    """Contact sheets of `ROWS` exhibits, each as soon as it is full."""
    waiting: list[Exhibit] = []
    for exhibit in exhibits:
        waiting.append(exhibit)
        if len(waiting) == ROWS:
            yield page(waiting, frames, fps), waiting
            waiting = []
    if waiting:
        yield page(waiting, frames, fps), waiting


def page(exhibits: Sequence[Exhibit], frames: Sequence[int], fps: float) -> Frame:
    """One sheet (H, W, 3) uint8."""
    columns, step = 1 + len(frames), CELL_PX + _GAP
    height = len(exhibits) * (step + _CAPTION) + _GAP
    sheet = np.full((height, columns * step + _GAP, 3), GROUND_RGB, np.uint8)
    for row, exhibit in enumerate(exhibits):
        top = _GAP + row * (step + _CAPTION)
        for column, picture in enumerate(exhibit.pictures):
            left = _GAP + column * step
            _fit(sheet[top : top + CELL_PX, left : left + CELL_PX], picture)
            if column:
                middle = top + CELL_PX + _CAPTION / 2
                words = clock(frames[column - 1] / fps)
                write(sheet, words, left + CELL_PX, middle, 13, TEXT_RGB, "rm")
        middle = top + CELL_PX + _CAPTION / 2
        x = _GAP + write(sheet, exhibit.name, _GAP, middle, 15, _WHITE, "lm") + 14
        if exhibit.refused:
            _paragraph(sheet, exhibit.notes[0], _GAP + step, top + 30, (columns - 1) * step - _GAP)
        elif len(frames):
            room = CELL_PX + step - x
            _clipped(sheet, "; ".join(exhibit.notes), x, middle, room)
    return sheet


def _fit(cell: Frame, picture: Frame) -> None:
    """A whole picture into a square, in place, nothing squashed."""
    scale = CELL_PX / max(picture.shape[:2])
    height, width = (max(1, round(side * scale)) for side in picture.shape[:2])
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    small = cv2.resize(picture, (width, height), interpolation=how)
    top, left = (CELL_PX - height) // 2, (CELL_PX - width) // 2
    cell[top : top + height, left : left + width] = small


def _paragraph(sheet: Frame, words: str, x: int, y: int, width: int) -> None:
    """Words in lines, about 8 pixels a letter."""
    letters, line = max(10, width // 9), ""
    for word in words.split(" "):
        if line and len(line) + len(word) >= letters:
            write(sheet, line, x, y, 17, _RED, "lm")
            line, y = "", y + 24
        line = f"{line} {word}".strip()
    write(sheet, line, x, y, 17, _RED, "lm")


def _clipped(sheet: Frame, words: str, x: float, y: float, room: float) -> None:
    letters = int(room // 7)
    if letters > 8 and words:
        shown = words if len(words) <= letters else words[: letters - 1] + "…"
        write(sheet, shown, x, y, 13, TEXT_RGB, "lm")
