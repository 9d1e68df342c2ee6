"""MANO's own files: found, read without running anything in them, checked, and converted once.

`MANO_LEFT.pkl` and `MANO_RIGHT.pkl`, as they come from mano.is.tue.mpg.de, are Python-2 pickles
with chumpy nodes and SciPy matrices. They are read through the allow-list and kept beside the
pickle as an .npz of plain arrays (in memory only, where the folder cannot be written). An .npz with
the same arrays is read as it is; so are our free hands, which have the same format.

MANO's left `shapedirs` are those of the right hand, so a hand that grows in one shrinks in the
other (vchoutas/smplx issue 48). That is put right here, when both hands are seen together, and in
memory only: the files stay as they are.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from emo2.errors import InputError, MissingCheckpoint
from emo2.hands.arm import template_command
from emo2.hands.skeleton import PARENTS
from emo2.motion.formats.arrays import plain_array, read_npz
from emo2.motion.formats.stand_ins import ARRAYS, Node, NodeClass
from emo2.motion.formats.unpickling import load_pickle
from emo2.types import NUM_HANDS

NAMES = ("MANO_LEFT", "MANO_RIGHT")
SUBFOLDERS = ("", "models", "mano", "mano_v1_2/models")
"""Where the files may lie in the folder that is given: as the archive unpacks, as smplx wants."""
SHAPES: dict[str, tuple[int, ...]] = {
    "v_template": (778, 3),
    "f": (1538, 3),
    "shapedirs": (778, 3, 10),
    "posedirs": (778, 3, 135),
    "J_regressor": (16, 778),
    "weights": (778, 16),
    "kintree_table": (2, 16),
    "hands_components": (45, 45),
    "hands_mean": (45,),
}
"""What smplx.MANO reads."""
_SOURCE = "source_sha256"
_SPARSE = ("csc_matrix", "csr_matrix")
_REMEDY = "Take the file again from https://mano.is.tue.mpg.de (models of MANO v1.2)."


@dataclass(frozen=True)
class HandPair:
    """The arrays of two hands, left and right, under the names that smplx.MANO wants."""

    hands: tuple[dict[str, np.ndarray], dict[str, np.ndarray]]
    folder: Path

    @property
    def is_mano(self) -> bool:
        """MANO's own hands; the free hands have no principal components."""
        return not all(np.array_equal(h["hands_components"], np.eye(45)) for h in self.hands)

    @property
    def hands_mean(self) -> np.ndarray:
        """(2, 45) MANO's mean hand, axis-angle [rad] of the 15 joints from the flat hand."""
        return np.stack([hand["hands_mean"] for hand in self.hands]).astype(np.float64)

    @property
    def hands_components(self) -> np.ndarray:
        """(2, 45, 45): row k is the k-th principal component of the 45 numbers about the mean."""
        return np.stack([hand["hands_components"] for hand in self.hands]).astype(np.float64)


def find_hands(folder: str | Path) -> Path | None:
    """The folder, at or below `folder`, with both hands; None where there is no hand.

    Raises `MissingCheckpoint` where there is only one of them.
    """
    folder = Path(folder)
    alone = None
    for place in (folder / sub for sub in SUBFOLDERS):
        found = [name for name in NAMES if _file(place, name) is not None]
        if len(found) == NUM_HANDS:
            return place
        if found and alone is None:
            alone = place, found[0]
    if alone is not None:
        place, name = alone
        other = NAMES[1 - NAMES.index(name)]
        raise MissingCheckpoint(
            "hands",
            "must hold both hands, MANO_LEFT and MANO_RIGHT (.pkl or .npz)",
            f"{place} with {name} only",
            f"Put {other}.pkl from the same archive beside it, or take {name} away to use the "
            "free hands.",
        )
    return None


def load_hands(folder: str | Path) -> HandPair:
    """Both hands of a folder, MANO's or free, ready for smplx.MANO.

    Raises `MissingCheckpoint` where a file is not there, `InputError` where one is not a hand.
    """
    place = find_hands(folder)
    if place is None:
        raise MissingCheckpoint(
            "hands",
            "must hold MANO_LEFT and MANO_RIGHT (.npz or .pkl)",
            folder,
            f"Run: {template_command(Path(folder))}",
        )
    left, right = (_read(place, name) for name in NAMES)
    return HandPair((with_own_shapes(left, right), right), place)


def with_own_shapes(
    left: dict[str, np.ndarray], right: dict[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """The left hand with x of `shapedirs` negated where it is the right hand's: once is enough, and
    a left hand that is already its mirror image stays as it is."""
    ours, theirs = left["shapedirs"][:, 0], right["shapedirs"][:, 0]
    if np.abs(ours - theirs).sum() >= 0.5 * np.abs(ours + theirs).sum():
        return left
    return {**left, "shapedirs": left["shapedirs"] * np.array([-1.0, 1.0, 1.0])[:, None]}


def _file(folder: Path, name: str) -> Path | None:
    for suffix in (".npz", ".pkl"):
        if (folder / f"{name}{suffix}").is_file():
            return folder / f"{name}{suffix}"
    return None


def _read(folder: Path, name: str) -> dict[str, np.ndarray]:
    archive, pickled = folder / f"{name}.npz", folder / f"{name}.pkl"
    digest = _digest(pickled) if pickled.is_file() else None
    if archive.is_file():
        arrays = read_npz(archive, (*SHAPES, _SOURCE), argument="hands")
        source = arrays.pop(_SOURCE, None)
        if source is None or digest is None or source.tobytes() == digest:
            return checked(arrays, archive)
    arrays = checked(_read_pickle(pickled), pickled)
    _keep(archive, {**arrays, _SOURCE: np.frombuffer(digest, np.uint8)})
    return arrays


def _read_pickle(path: Path) -> dict[str, object]:
    classes = {
        ("chumpy.ch", "Ch"): NodeClass("Ch"),
        ("chumpy.reordering", "Select"): NodeClass("Select"),
        **{
            (f"scipy.sparse.{old}{name[:3]}", name): NodeClass(name)
            for name in _SPARSE
            for old in ("", "_")  # the module was renamed in SciPy 1.8
        },
    }
    held = load_pickle(path, {**ARRAYS, **classes}, argument="hands")
    if not isinstance(held, dict):
        raise _wrong(path, "a dictionary of arrays", f"a {type(held).__name__}")
    return {
        key: _evaluate(value, path) if isinstance(value, Node) else value
        for key, value in held.items()
        if key in SHAPES
    }


def _evaluate(node: Node, path: Path) -> np.ndarray:
    """The numbers of a chumpy node or a SciPy matrix."""
    state = node.state
    try:
        if node.name in _SPARSE:
            return _dense(state, by_rows=node.name == "csr_matrix")
        if node.name == "Select":
            inner = state["a"]
            values = _evaluate(inner, path) if isinstance(inner, Node) else plain_array(inner)
            return values.ravel()[plain_array(state["idxs"])].reshape(state["preferred_shape"])
        return plain_array(state["x"])
    except (KeyError, IndexError, ValueError, TypeError, AttributeError, RecursionError) as error:
        raise _wrong(path, "chumpy and SciPy nodes as MANO has them", f"{error!r:.120}") from error


def _dense(state: dict, *, by_rows: bool) -> np.ndarray:
    """A compressed matrix: column (or row) j holds data[indptr[j]:indptr[j + 1]], in the rows (or
    columns) `indices`."""
    shape = SHAPES["J_regressor"]
    if state.get("_shape", state.get("shape")) != shape:
        raise ValueError("a sparse matrix of another shape")
    data, indices, indptr = (plain_array(state[name]) for name in ("data", "indices", "indptr"))
    counts = np.diff(indptr)
    if counts.min() < 0 or counts.sum() != len(data):
        raise ValueError("a sparse matrix with numbers that are not there")
    lines = np.repeat(np.arange(len(counts)), counts)
    out = np.zeros(shape)
    np.add.at(out, (lines, indices) if by_rows else (indices, lines), data)
    return out


def checked(arrays: dict[str, object], path: Path) -> dict[str, np.ndarray]:
    """The arrays that smplx.MANO reads, of the right shapes, of a hand of the side that the file's
    name says. Raises `InputError` with what is wrong."""
    missing = [name for name in SHAPES if name not in arrays]
    if missing:
        raise _wrong(path, f"MANO's {', '.join(SHAPES)}", f"none of {', '.join(missing)}")
    out = {}
    for name, shape in SHAPES.items():
        array = plain_array(arrays[name])
        if array is None or array.shape != shape:
            got = "no numbers" if array is None else f"shape {array.shape}"
            raise _wrong(path, f"{name} of shape {shape}", got)
        if not np.isfinite(array).all():
            raise _wrong(path, f"{name} of finite numbers", "NaN or infinity")
        out[name] = np.array(array)
    out["f"] = out["f"].astype(np.uint32)
    _check_hand(out, path)
    return out


def _check_hand(arrays: dict[str, np.ndarray], path: Path) -> None:
    if arrays["f"].max() >= SHAPES["v_template"][0]:
        raise _wrong(path, "faces of the 778 vertices", f"vertex {arrays['f'].max()}")
    parents = arrays["kintree_table"][0].astype(np.int64)[1:]
    if tuple(parents) != PARENTS[1:]:
        raise _wrong(path, f"MANO's joint tree {PARENTS[1:]}", tuple(parents.tolist()))
    for name, axis in (("weights", 1), ("J_regressor", 1)):
        if np.abs(arrays[name].sum(axis=axis) - 1).max() > 0.02:
            raise _wrong(path, f"{name} whose rows sum to 1", "others")
    joints = arrays["J_regressor"] @ arrays["v_template"]
    length = np.linalg.norm(joints[4] - joints[0])
    if not 0.04 < length < 0.2:
        raise _wrong(path, "a hand in metres, flat", f"{length:.3f} from wrist to middle finger")
    side = "LEFT" if joints[4, 0] > joints[0, 0] else "RIGHT"
    if side not in path.name:
        raise InputError(
            "hands",
            "MANO_LEFT must hold a left hand (fingers along +x), MANO_RIGHT a right one (-x)",
            f"{path} with a {side.lower()} hand",
            "Exchange the files, or take them again from https://mano.is.tue.mpg.de.",
        )


def _keep(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """Write the converted hand whole or not at all; a folder that cannot be written is left."""
    try:
        handle, part = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    except OSError:
        return
    try:
        with os.fdopen(handle, "wb") as file:
            np.savez(file, **arrays)
        os.chmod(part, 0o644)
        Path(part).replace(path)
    except OSError:
        return
    finally:
        Path(part).unlink(missing_ok=True)


def _digest(path: Path) -> bytes:
    return hashlib.sha256(path.read_bytes()).digest()


def _wrong(path: Path, rule: str, value: object) -> InputError:
    return InputError("hands", f"{path.name} must hold {rule}", f"{value} in {path}", _REMEDY)
