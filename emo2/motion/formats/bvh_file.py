"""The BVH container: a hierarchy of joints with channels, and one line of numbers a frame."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TextIO

import numpy as np

from emo2.errors import InputError
from emo2.motion.rotations import from_axis_angle, multiply, rotate

MAX_JOINTS = 1000
MAX_FRAMES = 250_000
"""Half an hour at 120 frames per second; a file that claims more is broken."""
MAX_LINE = 2**16
_AXES = {"X": 0, "Y": 1, "Z": 2}


@dataclass(frozen=True)
class Joint:
    """One joint of the hierarchy."""

    name: str
    parent: int
    """Index; -1 for the root."""
    offset: np.ndarray
    """(3,) from the parent, in the file's units."""
    channels: tuple[str, ...]
    """As in `Zrotation`, in the file's order."""
    first: int
    """Column of its first channel."""


@dataclass(frozen=True)
class BvhFile:
    """A BVH file as it was read."""

    joints: tuple[Joint, ...]
    """Parents before children."""
    frame_time_s: float
    declared_frames: int
    values: np.ndarray
    """(T, channels) float32: degrees and lengths."""

    def world(self, wanted: list[int]) -> tuple[np.ndarray, np.ndarray]:
        """Rotations (T, len(wanted), 4) unit wxyz and places (T, len(wanted), 3) of joints."""
        known: dict[int, tuple[np.ndarray, np.ndarray]] = {}
        for joint in wanted:
            chain = [joint]
            while (up := self.joints[chain[-1]].parent) >= 0 and up not in known:
                chain.append(up)
            for k in reversed(chain):
                turn, place = self._local(self.joints[k])
                if self.joints[k].parent >= 0:
                    above, there = known[self.joints[k].parent]
                    turn, place = multiply(above, turn), there + rotate(above, place)
                known[k] = (turn, place)
        turns = np.stack([known[k][0] for k in wanted], axis=1)
        return turns, np.stack([known[k][1] for k in wanted], axis=1)

    def rest_places(self) -> np.ndarray:
        """(J, 3): all joints where no rotation is applied, the root at the origin."""
        places = np.zeros((len(self.joints), 3))
        for k, joint in enumerate(self.joints):
            if joint.parent >= 0:
                places[k] = places[joint.parent] + joint.offset
        return places

    def _local(self, joint: Joint) -> tuple[np.ndarray, np.ndarray]:
        count = len(self.values)
        turn = np.broadcast_to([1.0, 0.0, 0.0, 0.0], (count, 4))
        place = np.tile(joint.offset, (count, 1))
        moved = np.zeros((count, 3))
        for k, channel in enumerate(joint.channels):
            column = self.values[:, joint.first + k].astype(np.float64)
            axis = _AXES[channel[0]]
            if channel.endswith("rotation"):
                about = np.zeros((count, 3))
                about[:, axis] = np.deg2rad(column)
                turn = multiply(turn, from_axis_angle(about))
            else:
                moved[:, axis] = column
        # Positions stand in for the offset. Some writers give every joint position channels and
        # leave them empty: then the offset holds.
        return turn, moved if moved.any() else place


def read_bvh(path: Path) -> BvhFile:
    """Raises `InputError` where this is not a BVH file with whole frames of finite numbers."""
    try:
        with path.open(encoding="ascii", errors="strict") as file:
            lines = _lines(file, path)
            joints = _hierarchy(lines, path)
            declared, frame_time_s = _timing(lines, path)
            width = sum(len(joint.channels) for joint in joints)
            values = _frames(lines, width, path)
    except UnicodeDecodeError as error:
        raise refuse(path, "must be text", "bytes that are not") from error
    return BvhFile(joints, frame_time_s, declared, values)


def refuse(path: Path, rule: str, value: object) -> InputError:
    """The error that says what is wrong with this file."""
    remedy = "Export it again where it was made, as BVH with all frames."
    return InputError("motion", f"{path.name} {rule}", value, remedy)


def _lines(file: TextIO, path: Path) -> Iterator[str]:
    """Lines without blanks around them, none of them empty or endless."""
    while line := file.readline(MAX_LINE):
        if len(line) == MAX_LINE:
            raise refuse(path, f"must have lines of under {MAX_LINE} characters", "a longer one")
        if line := line.strip():
            yield line


def _hierarchy(lines: Iterator[str], path: Path) -> tuple[Joint, ...]:
    """The joints; `lines` goes on after the line MOTION."""
    if next(lines, "").upper() != "HIERARCHY":
        raise refuse(path, "must begin with HIERARCHY", "another kind of file")
    words = _words(lines, path)
    joints: list[Joint] = []
    within: list[int | None] = []  # None: an end site
    column = 0
    for word in words:
        key = word.upper()
        if key in ("ROOT", "JOINT", "END"):
            name = " ".join(iter(lambda: next(words, "{"), "{"))
            parent = within[-1] if within else -1
            if parent is None or (parent < 0) != (key == "ROOT") or (joints and parent < 0):
                raise refuse(path, "must have one root, and joints inside it", f"{word} {name}")
            if len(joints) >= MAX_JOINTS:
                raise refuse(path, f"must have at most {MAX_JOINTS} joints", "more")
            within.append(None if key == "END" else len(joints))
            if key != "END":
                joints.append(Joint(name, parent, np.full(3, np.nan), (), column))
        elif key == "}" and within:
            within.pop()
        elif key == "OFFSET" and within:
            offset = _floats([next(words, "") for _ in range(3)], 3, path, "an OFFSET")
            if within[-1] is not None:
                joints[within[-1]] = replace(joints[within[-1]], offset=offset)
        elif key == "CHANNELS" and within and within[-1] == len(joints) - 1:
            channels = _channels(words, path)
            joints[-1] = replace(joints[-1], channels=channels)
            column += len(channels)
        else:
            raise refuse(path, "must hold only joints, offsets and channels", word[:40])
    if within or not joints or not all(np.isfinite(joint.offset).all() for joint in joints):
        raise refuse(path, "must close its hierarchy, with an OFFSET for every joint", "less")
    return tuple(joints)


def _words(lines: Iterator[str], path: Path) -> Iterator[str]:
    for line in lines:
        if line.upper() == "MOTION":
            return
        yield from line.replace("{", " { ").replace("}", " } ").split()
    raise refuse(path, "must have a MOTION section", "the end of the file")


def _channels(words: Iterator[str], path: Path) -> tuple[str, ...]:
    known = {f"{axis}{kind}" for axis in "XYZ" for kind in ("rotation", "position")}
    count = next(words, "")
    names = [next(words, "").capitalize() for _ in range(int(count) if count in "0123456" else 0)]
    if len(names) != len(set(names)) or set(names) - known or count not in "0123456":
        raise refuse(path, "must count and name its channels", f"{count} {' '.join(names)}")
    return tuple(names)


def _timing(lines: Iterator[str], path: Path) -> tuple[int, float]:
    found = {}
    for key in ("frames:", "frame time:"):
        line = next(lines, "")
        value = line[len(key) :] if line.lower().startswith(key) else None
        try:
            found[key] = float(value)
        except (TypeError, ValueError) as error:
            raise refuse(path, f"must say '{key}' and a number", line[:80]) from error
    frames, frame_time_s = found["frames:"], found["frame time:"]
    if not (frames >= 1 and frames == round(frames) and frames < 1e9):
        raise refuse(path, "must have frames", frames)
    if not 1e-4 <= frame_time_s <= 10:
        raise refuse(path, "must have a frame time between 0.0001 and 10 s", frame_time_s)
    return int(frames), frame_time_s


def _frames(lines: Iterator[str], width: int, path: Path) -> np.ndarray:
    rows = []
    for line in lines:
        words = line.split()
        row = _floats(words, width, path, f"{len(words)} in frame {len(rows)}")
        rows.append(row.astype(np.float32))
        if len(rows) > MAX_FRAMES:
            raise refuse(path, f"must have at most {MAX_FRAMES} frames", "more")
    if not rows:
        raise refuse(path, "must have frames", "none")
    return np.stack(rows)


def _floats(words: list[str], count: int, path: Path, shown: str) -> np.ndarray:
    try:
        values = np.array(words, dtype=np.float64)
    except ValueError:
        values = np.zeros(0)
    if values.shape != (count,) or not np.isfinite(values).all():
        raise refuse(path, f"must have {count} finite numbers here", shown[:80])
    return values
