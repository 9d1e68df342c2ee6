"""The hands that an image-based regressor of the HaMeR kind found, whichever way they were saved.

Such tools hand out one dictionary an image (or a batch of crops) and leave the saving to the user.
Read are: one file with stacked arrays; a list or a dictionary over frames; a folder with a file a
frame. The parameters may lie at the top or in `pred_mano_params`, `mano_params` or `wilor_preds`.
Rotations are matrices (HaMeR, WiLoR) or axis-angles (WiLoR-mini): their shapes tell.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from emo2.errors import InputError
from emo2.motion.formats.arrays import numbers, plain_array, read_npz
from emo2.motion.formats.mano_rows import KNOWN, NEED, REMEDY, Rows, params_in, read_rows
from emo2.motion.formats.stand_ins import ARRAYS
from emo2.motion.formats.unpickling import TENSORS, load_pickle

RATES = ("fps", "frame_rate")
SUFFIXES = (".npz", ".pkl", ".pt")
MAX_SPAN = 200_000
MAX_DEPTH = 4
MAX_PARTS = 2_000_000
"""How many lists and dictionaries are looked into: a file may hold one many times over."""
_NAME = re.compile(r"(\d+)(?:_(\d{1,2}|left|right|l|r))?$", re.IGNORECASE)


@dataclass(frozen=True)
class Detections:
    """N hands, in the order found; the arrays are those of `Rows`."""

    right: np.ndarray
    quaternions: np.ndarray
    betas: np.ndarray
    places: np.ndarray | None
    """None where any hand is without."""
    frame: np.ndarray
    """(N,) int, 0 and up."""
    num_frames: int
    """How many frames the file has, with hands or without."""
    fps: float | None
    from_crops: bool
    numbered: bool
    """False: frames were counted, for the file does not number them."""


def read_detections(path: Path) -> Detections:
    """All hands in a file or in a folder with a file a frame. Raises `InputError`."""
    walk = _Walk()
    if path.is_dir():
        for frame, side, file in _frame_files(path):
            walk.collect(_read(file), file, frame, side)
    else:
        walk.collect(_read(path), path, None, None)
    if not walk.rows:
        rule = f"must hold at least one hand ({NEED})"
        raise InputError("motion", rule, f"none in {path}", REMEDY)
    frame = np.concatenate(walk.frames)
    first, last = min(int(frame.min()), walk.empty[0]), max(int(frame.max()), walk.empty[1])
    if last - first >= MAX_SPAN:
        rule = f"frame numbers must span at most {MAX_SPAN}"
        raise InputError("motion", rule, f"{first} to {last} in {path}", "Number frames from 0.")
    placed = all(rows.places is not None for rows in walk.rows)
    return Detections(
        right=np.concatenate([rows.right for rows in walk.rows]),
        quaternions=np.concatenate([rows.quaternions for rows in walk.rows]),
        betas=np.concatenate([rows.betas for rows in walk.rows]),
        places=np.concatenate([rows.places for rows in walk.rows]) if placed else None,
        frame=frame - first,
        num_frames=last - first + 1,
        fps=walk.fps,
        from_crops=any(rows.from_crops for rows in walk.rows),
        numbered=walk.numbered,
    )


class _Walk:
    """Goes through what files hold and keeps the hands."""

    def __init__(self) -> None:
        self.rows: list[Rows] = []
        self.frames: list[np.ndarray] = []
        self.fps: float | None = None
        self.empty: tuple[int, int] = (10**18, -1)
        """First and last frame that has an entry but no hands."""
        self.numbered, self._parts = True, 0

    def collect(
        self, held: object, path: Path, frame: int | None, side: str | None, depth: int = 0
    ) -> None:
        """Hands, frames of hands, or the two sides; `frame` and `side` where they are known."""
        self._parts += 1
        if depth > MAX_DEPTH or self._parts > MAX_PARTS:
            raise InputError("motion", "a MANO track must not be nested so deep", path, REMEDY)
        if held is None or (isinstance(held, list | tuple) and not held):
            if frame is not None:
                self.empty = min(self.empty[0], frame), max(self.empty[1], frame)
            return
        if isinstance(held, Mapping):
            self._note_rate(held, path)
            if params_in(held) is not None:
                self._add(read_rows(held, path, side), frame)
                return
            sides = [name for name in ("left", "right") if _holds_hands(held.get(name))]
            for name in sides:
                self.collect(held[name], path, frame, name, depth + 1)
            if sides:
                return
        items = list(_items(held, frame))
        if not items:
            have = map(str, held) if isinstance(held, Mapping) else [f"a {type(held).__name__}"]
            value = f"{', '.join(have)[:160]} in {path}"
            raise InputError("motion", f"a MANO track must hold {NEED}", value, REMEDY)
        for number, value in items:
            self.collect(value, path, number, side, depth + 1)

    def _add(self, rows: Rows, frame: int | None) -> None:
        numbers_given = rows.frame
        if numbers_given is None and frame is not None:
            numbers_given = np.full(len(rows.right), frame, np.int64)
        if numbers_given is None:  # the n-th left and the n-th right hand are of one frame
            self.numbered = False
            numbers_given = np.where(rows.right, np.cumsum(rows.right), np.cumsum(~rows.right)) - 1
        self.rows.append(rows)
        self.frames.append(numbers_given)

    def _note_rate(self, held: Mapping, path: Path) -> None:
        for name in RATES:
            if self.fps is None and plain_array(held.get(name)) is not None:
                fps = float(numbers(held, name, (), path))
                if not 1 <= fps <= 1000:
                    rule = f"{name} must be 1 to 1000 frames per second"
                    raise InputError("motion", rule, f"{fps:g} in {path}", "Put the right rate in.")
                self.fps = fps


def _read(path: Path) -> object:
    if path.suffix.lower() == ".npz":
        return read_npz(path, (*KNOWN, *RATES))
    return load_pickle(path, {**ARRAYS, **TENSORS})


def _frame_files(folder: Path) -> list[tuple[int, str | None, Path]]:
    """Frame number, side where the name tells it, and path. `000012_0`, `000012_left`, `img_12`."""
    files = [file for file in folder.iterdir() if file.suffix.lower() in SUFFIXES]
    if not files:
        rule = f"a folder of MANO tracks must hold a file a frame ({', '.join(SUFFIXES)})"
        raise InputError("motion", rule, f"none in {folder}", REMEDY)
    named = [_NAME.search(file.stem) for file in files]
    if not all(named):
        files = sorted(files)
        return [(index, None, file) for index, file in enumerate(files)]
    found = []
    for match, file in zip(named, files, strict=True):
        tail = (match[2] or "").lower()
        side = {"l": "left", "r": "right"}.get(tail, tail if tail in ("left", "right") else None)
        found.append((int(match[1]), side, file))
    found.sort(key=lambda row: (row[0], row[2].name))
    numbers_used = sorted({row[0] for row in found})
    if numbers_used[-1] - numbers_used[0] > 20 * len(numbers_used):  # time stamps
        place = {number: index for index, number in enumerate(numbers_used)}
        return [(place[number], side, file) for number, side, file in found]
    return found


def _items(held: object, frame: int | None) -> Iterator[tuple[int, object]]:
    """The frames of a list or of a dictionary over frames; hands where a frame is known already."""
    if isinstance(held, list | tuple):
        for index, value in enumerate(held):
            yield (index if frame is None else frame), value
    elif isinstance(held, Mapping):
        keys = [k for k, value in held.items() if _holds_hands(value) or value is None]
        numbered = {key: re.findall(r"\d{1,12}", str(key)) for key in keys}
        known = all(numbered.values()) and len({d[-1] for d in numbered.values()}) == len(keys)
        keys.sort(key=(lambda k: int(numbered[k][-1])) if known else str)
        for index, key in enumerate(keys):
            number = int(numbered[key][-1]) if known else index
            yield (number if frame is None else frame), held[key]


def _holds_hands(value: object) -> bool:
    return isinstance(value, Mapping | list | tuple)
