"""What the names in a pickle stand for: functions and classes of ours that check their arguments.

Arrays are made from the bytes that are there, foreign objects become `Node`s. The tables at the end
say which name stands for what; `emo2.motion.formats.unpickling` reads pickles by them.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping

import numpy as np

from emo2.motion.formats.tensors import Refused

_DTYPE = re.compile(r"[<>=|]?(b1|[iu][1248]|f(2|4|8|16)|c(8|16)|[SU]\d{1,4})")
_KEYS = (str, int, float, bool, type(None))

Stand = Callable[..., object]


class Node:
    """An object of a foreign class, without the class: its name and its state."""

    def __init__(self, name: str) -> None:
        self.name, self.state = name, {}


class NodeClass:
    """Stands for a foreign class: makes empty `Node`s."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __call__(self) -> Node:
        return Node(self.name)


class DType:
    """Stands for a `numpy.dtype` of plain numbers or text; its state is only the byte order."""

    def __init__(self, code: object, align: object = False, copy: object = False) -> None:
        if not isinstance(code, str) or not _DTYPE.fullmatch(code):
            kind = code[:20] if isinstance(code, str) else type(code).__name__
            raise Refused(f"a numpy.dtype of {kind!r}: only plain numbers and text are read")
        self.code, self.order = code.lstrip("<>=|"), code[0] if code[0] in "<>" else "="

    def numpy(self) -> np.dtype:
        """The dtype itself."""
        return np.dtype(self.code).newbyteorder(self.order)

    def set_state(self, state: object) -> None:
        """`numpy.dtype.__setstate__`, of a dtype without fields."""
        if not (isinstance(state, tuple) and len(state) >= 5 and state[2:5] == (None,) * 3):
            raise Refused("a numpy.dtype with fields")
        if state[1] not in ("<", ">", "=", "|"):
            raise Refused("a numpy.dtype of an unknown byte order")
        self.order = "=" if state[1] == "|" else state[1]


class ObjectDType(DType):
    """Stands for a `numpy.dtype` that may be of objects: such an array becomes a plain list."""

    def __init__(self, code: object, align: object = False, copy: object = False) -> None:
        if code in ("O", "O8", "|O"):
            self.code, self.order = "O8", "="
        else:
            super().__init__(code, align, copy)


def checked_array(data: object, dtype: object, shape: object) -> tuple[bytes, np.dtype, tuple]:
    """What makes an array, after a look that every number it claims is in `data`."""
    if isinstance(data, str):  # a Python-2 string, read as latin1
        data = data.encode("latin1")
    if not (isinstance(dtype, DType) and isinstance(data, bytes | bytearray)):
        raise Refused("a numpy array of objects")
    shape = (shape,) if type(shape) is int else shape
    sizes_ok = type(shape) is tuple and all(type(n) is int and n >= 0 for n in shape)
    if not sizes_ok or math.prod(shape) * dtype.numpy().itemsize != len(data):
        claim = f"shape {shape}"[:60] if sizes_ok else "an impossible shape"
        raise Refused(f"a numpy array of {claim} in {len(data)} bytes")
    return bytes(data), dtype.numpy(), shape


def make_array(data: object, dtype: object, shape: object, fortran: bool) -> np.ndarray:
    """An array of plain numbers or text."""
    data, dtype, shape = checked_array(data, dtype, shape)
    flat = np.frombuffer(data, dtype)
    return flat.reshape(shape, order="F" if fortran else "C").copy(order="K")


def checked_pair(pair: tuple) -> tuple:
    """A key and a value; keys are plain, for to hash anything else can take for ever."""
    key, value = pair
    if type(key) not in _KEYS or (type(key) is int and abs(key) >= 1 << 63):
        raise Refused(f"a dictionary with a {type(key).__name__} as key")
    return key, value


def _empty_array(kind: object, shape: object, code: object) -> np.ndarray:
    """`numpy.core.multiarray._reconstruct`: BUILD fills it."""
    if kind is not NDARRAY:
        raise Refused("a subclass of numpy.ndarray")
    return np.empty(0, np.int8)


def _from_buffer(data: object, dtype: object, shape: object, order: object = "C") -> np.ndarray:
    return make_array(data, dtype, shape, order == "F")


def _scalar(dtype: object, data: object) -> np.generic:
    return make_array(data, dtype, (), False)[()]


def _encode(text: object, encoding: object) -> bytes:
    if not isinstance(text, str) or encoding not in ("latin1", "latin-1"):
        raise Refused("_codecs.encode other than of bytes")
    return text.encode("latin1")


def _ordered(pairs: object = ()) -> dict:
    return dict(checked_pair(pair) for pair in pairs)


def _as_list(items: object = ()) -> list:
    """`set`: without the hashing of its members."""
    return list(items)


def joined_path(*parts: object) -> str:
    """`pathlib`: tools note which picture a row is of."""
    return "/".join(part for part in parts if isinstance(part, str))


def _default_dict(factory: object = None, pairs: object = ()) -> dict:
    return _ordered(pairs)


def _reconstruct_object(kind: object, base: object, state: object) -> Node:
    """`copy_reg._reconstructor`: how protocols 0 and 1 make any object."""
    if not isinstance(kind, NodeClass) or base is not _OBJECT or state is not None:
        raise Refused("copy_reg._reconstructor of an unknown class")
    return kind()


NDARRAY, _OBJECT = NodeClass("numpy.ndarray"), NodeClass("object")
_NUMPY, _BUILTINS = ("numpy.core", "numpy._core"), ("__builtin__", "builtins")
ARRAYS: Mapping[tuple[str, str], Stand] = {
    ("numpy", "ndarray"): NDARRAY,
    ("numpy", "dtype"): DType,
    **{(f"{core}.multiarray", "_reconstruct"): _empty_array for core in _NUMPY},
    **{(f"{core}.multiarray", "scalar"): _scalar for core in _NUMPY},
    **{(f"{core}.numeric", "_frombuffer"): _from_buffer for core in _NUMPY},
    ("_codecs", "encode"): _encode,
    ("collections", "OrderedDict"): _ordered,
    ("collections", "defaultdict"): _default_dict,
    **{("pathlib", f"{kind}Path"): joined_path for kind in ("Posix", "Windows", "PurePosix")},
    ("__builtin__", "bytes"): lambda: b"",
    ("__builtin__", "object"): _OBJECT,
    **{(m, "set"): _as_list for m in _BUILTINS},
    **{(m, kind): NodeClass(kind) for m in _BUILTINS for kind in ("list", "dict", "int", "float")},
    ("copy_reg", "_reconstructor"): _reconstruct_object,
    ("joblib.numpy_pickle", "NumpyArrayWrapper"): NodeClass("joblib array"),
}
"""Dictionaries, lists, numbers, text and NumPy arrays."""
OBJECT_ARRAYS: Mapping[tuple[str, str], Stand] = {("numpy", "dtype"): ObjectDType}
"""Added to `ARRAYS`: arrays of dictionaries and lists, as numpy.save writes a dictionary."""
