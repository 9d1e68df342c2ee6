"""Numbers out of foreign files: fetched by name, and checked for shape and finiteness."""

from __future__ import annotations

import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from emo2.errors import InputError
from emo2.motion.formats.unpickling import BROKEN, MAX_BYTES

MAX_FRAMES = 200_000
LARGEST = 1e9
"""No angle, metre or frame number is beyond this."""
MAX_NUMBERS = MAX_BYTES // 8
MAX_NESTING = 8
_ANY = "T"


def names_in(path: Path) -> frozenset[str]:
    """The names of the arrays in an .npz; none where it is no archive."""
    try:
        with zipfile.ZipFile(path) as archive:
            return frozenset(name.removesuffix(".npy") for name in archive.namelist())
    except (*BROKEN, OSError):
        return frozenset()


def read_npz(
    path: Path, names: Iterable[str] | None = None, *, argument: str = "motion"
) -> dict[str, np.ndarray]:
    """Those of the arrays `names` (all by default) that an .npz holds. Raises `InputError` where it
    is broken, holds Python objects (which are pickled, and could be code) or unpacks to too
    much."""
    try:
        with zipfile.ZipFile(path) as archive:
            sizes = {m.filename.removesuffix(".npy"): m.file_size for m in archive.infolist()}
        wanted = [name for name in sizes if names is None or name in names]
        if sum(sizes[name] for name in wanted) > MAX_BYTES:
            raise ValueError(f"it unpacks to more than {MAX_BYTES >> 20} MB")
        with np.load(path, allow_pickle=False) as archive:
            return {name: archive[name] for name in wanted}
    except (*BROKEN, OSError) as error:
        raise _broken(argument, "a whole .npz of plain arrays", path, error) from error


def read_npy(path: Path, *, argument: str = "motion") -> np.ndarray:
    """The array in an .npy; `InputError` as `read_npz`."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ValueError(f"it is larger than {MAX_BYTES >> 20} MB")
        array = np.load(path, allow_pickle=False)
        if not isinstance(array, np.ndarray):
            raise TypeError("an archive")
        return array
    except (*BROKEN, OSError) as error:
        raise _broken(argument, "a whole .npy of plain numbers", path, error) from error


def numbers(
    source: Mapping[str, object],
    name: str,
    shape: tuple[int | str, ...],
    path: Path,
    *,
    argument: str = "motion",
) -> np.ndarray:
    """`source[name]` as a float64 array of `shape`, in which "T" is any length but 0. Axes of
    length 1 may be missing or too many. Raises `InputError` for anything else and for NaN."""
    if name not in source:
        have = ", ".join(sorted(map(str, source)))[:200] or "nothing"
        raise InputError(
            argument,
            f"must hold {name}",
            f"{path} with {have}",
            "Write it again with the tool it comes from.",
        )
    array = plain_array(source[name])
    rule = f"{name} must be finite numbers of shape {_words(shape)}"
    remedy = "Write it again with the tool it comes from, or cut the bad frames out."
    if array is None:
        raise InputError(argument, rule, f"a {type(source[name]).__name__} in {path}", remedy)
    lengths = tuple(n for n in array.shape if n != 1)
    fitted = _fit(array.shape, lengths, shape)
    if fitted is None:
        raise InputError(argument, rule, f"shape {array.shape} in {path}", remedy)
    if max(fitted, default=1) > MAX_FRAMES:
        rule, remedy = f"must have at most {MAX_FRAMES} frames", "Cut it into pieces."
        raise InputError(argument, rule, f"{array.shape} in {path}", remedy)
    array = array.reshape(fitted).astype(np.float64)
    if array.size == 0:
        raise InputError(argument, "must hold at least one frame", f"none in {path}", remedy)
    rows = np.atleast_1d(array)
    usable = np.abs(rows.reshape(len(rows), -1)) < LARGEST  # not so of NaN
    if not usable.all():
        row = int(usable.all(axis=1).argmin())
        value = f"NaN, infinity or more than {LARGEST:g} in row {row} of {path}"
        raise InputError(argument, rule, value, remedy)
    return array


def plain_array(value: object) -> np.ndarray | None:
    """Real numbers as an array, without a copy of arrays; None for anything else."""
    if isinstance(value, list | tuple):
        if _count(value, 0) > MAX_NUMBERS:
            return None
        try:
            value = np.array(value)
        except (ValueError, TypeError, OverflowError):  # ragged
            return None
    if isinstance(value, int | float | np.generic):
        value = np.array(value)
    if isinstance(value, np.ndarray) and value.dtype.kind in "biuf":
        return value
    return None


def _count(value: object, depth: int) -> int:
    """How many numbers nested lists hold, which may hold one list many times over; too many where
    there is anything else in them."""
    if isinstance(value, np.ndarray):
        return value.size
    if isinstance(value, int | float | np.generic):
        return 1
    if not isinstance(value, list | tuple) or depth > MAX_NESTING:
        return MAX_NUMBERS + 1
    total = 0
    for item in value:
        total += _count(item, depth + 1)
        if total > MAX_NUMBERS:
            break
    return total


def _fit(have: tuple, lengths: tuple, want: tuple[int | str, ...]) -> tuple[int, ...] | None:
    """The shape `have`, seen as `want`: equal but for axes of length 1."""
    if len(have) == len(want) and all(w in (_ANY, n) for n, w in zip(have, want, strict=True)):
        return have
    long = [w for w in want if w not in (1, _ANY)]
    if want and want[0] == _ANY:
        if lengths == tuple(long):
            return (1, *want[1:])
        if len(lengths) == len(long) + 1 and lengths[1:] == tuple(long):
            return (lengths[0], *want[1:])
        return None
    return tuple(want) if lengths == tuple(long) else None


def _words(shape: tuple[int | str, ...]) -> str:
    return "(" + ", ".join(map(str, shape)) + ")"


def _broken(argument: str, rule: str, path: Path, error: Exception) -> InputError:
    cause = f"{type(error).__name__}: {error}"[:160]
    remedy = "It is cut off, or holds pickled objects, which could be code: write it again."
    return InputError(argument, f"must be {rule}", f"{path} ({cause})", remedy)
