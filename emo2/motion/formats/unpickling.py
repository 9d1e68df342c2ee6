"""Pickles from strangers, read without running anything in them.

A pickle is a program: it may name any function and call it. Here every name it may use is in a
table, and what the name stands for is never the function itself but a stand-in of ours that checks
its arguments: arrays are made from the bytes that are there, foreign objects become `Node`s, torch
is asked for weights only. Everything else is refused before it happens. Known classes come in
tables that are added up: `ARRAYS`, `ARRAYS | TENSORS`, `ARRAYS | {("chumpy.ch", "Ch"): ...}`.

Python-2 and Python-3 pickles of protocols 0 to 5, joblib's dumps (plain or zlib) and torch's zip
archives are read.
"""

from __future__ import annotations

import io
import math
import pickle
import re
import struct
import zipfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from emo2.errors import InputError
from emo2.motion.formats.tensors import load_weights, rebuild_tensor, storage_from_bytes

MAX_BYTES = 1 << 30
"""Files, and what they unpack to, beyond this are refused."""
BROKEN = (
    pickle.UnpicklingError,
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    ArithmeticError,
    MemoryError,
    RuntimeError,
)
"""What reading a truncated or forged file raises."""
_DTYPE = re.compile(r"[<>=|]?(b1|[iu][1248]|f(2|4|8|16)|c(8|16)|[SU]\d{1,4})")
_KEYS = (str, int, float, bool, type(None))
_REMEDY = (
    "Nothing in it was run. Use the file as its tool wrote it, or save the arrays with numpy.savez."
)

Stand = Callable[..., object]


class Refused(pickle.UnpicklingError):
    """The pickle asks for something that is not in the table, or not in this way."""


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
            raise Refused(f"numpy.dtype({code!r:.40}): only plain numbers and text are read")
        self.code, self.order = code.lstrip("<>=|"), code[0] if code[0] in "<>" else "="

    def numpy(self) -> np.dtype:
        """The dtype itself."""
        return np.dtype(self.code).newbyteorder(self.order)

    def set_state(self, state: object) -> None:
        """`numpy.dtype.__setstate__`, of a dtype without fields."""
        if not (isinstance(state, tuple) and len(state) >= 5 and state[2:5] == (None,) * 3):
            raise Refused("a numpy.dtype with fields")
        if state[1] not in ("<", ">", "=", "|"):
            raise Refused(f"a numpy.dtype of byte order {state[1]!r:.20}")
        self.order = "=" if state[1] == "|" else state[1]


def checked_array(data: object, dtype: object, shape: object) -> tuple[bytes, np.dtype, tuple]:
    """What makes an array, after a look that every number it claims is in `data`."""
    if isinstance(data, str):  # a Python-2 string, read as latin1
        data = data.encode("latin1")
    if not (isinstance(dtype, DType) and isinstance(data, bytes | bytearray)):
        raise Refused("a numpy array of objects")
    shape = (shape,) if type(shape) is int else shape
    sizes_ok = type(shape) is tuple and all(type(n) is int and n >= 0 for n in shape)
    if not sizes_ok or math.prod(shape) * dtype.numpy().itemsize != len(data):
        raise Refused(f"a numpy array of shape {shape!r:.60} in {len(data)} bytes")
    return bytes(data), dtype.numpy(), shape


def make_array(data: object, dtype: object, shape: object, fortran: bool) -> np.ndarray:
    """An array of plain numbers or text."""
    data, dtype, shape = checked_array(data, dtype, shape)
    flat = np.frombuffer(data, dtype)
    return flat.reshape(shape, order="F" if fortran else "C").copy(order="K")


def _empty_array(kind: object, shape: object, code: object) -> np.ndarray:
    """`numpy.core.multiarray._reconstruct`: BUILD fills it."""
    if kind is not _NDARRAY:
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
    return dict(_pair(pair) for pair in pairs)


def _reconstruct_object(kind: object, base: object, state: object) -> Node:
    """`copy_reg._reconstructor`: how protocols 0 and 1 make any object."""
    if not isinstance(kind, NodeClass) or base is not _OBJECT or state is not None:
        raise Refused("copy_reg._reconstructor of an unknown class")
    return kind()


_NDARRAY, _OBJECT = NodeClass("numpy.ndarray"), NodeClass("object")
_NUMPY = ("numpy.core", "numpy._core")
ARRAYS: Mapping[tuple[str, str], Stand] = {
    ("numpy", "ndarray"): _NDARRAY,
    ("numpy", "dtype"): DType,
    **{(f"{core}.multiarray", "_reconstruct"): _empty_array for core in _NUMPY},
    **{(f"{core}.multiarray", "scalar"): _scalar for core in _NUMPY},
    **{(f"{core}.numeric", "_frombuffer"): _from_buffer for core in _NUMPY},
    ("_codecs", "encode"): _encode,
    ("collections", "OrderedDict"): _ordered,
    ("__builtin__", "bytes"): lambda: b"",
    ("__builtin__", "object"): _OBJECT,
    ("copy_reg", "_reconstructor"): _reconstruct_object,
    ("joblib.numpy_pickle", "NumpyArrayWrapper"): NodeClass("joblib array"),
}
"""Dictionaries, lists, numbers, text and NumPy arrays."""
TENSORS: Mapping[tuple[str, str], Stand] = {
    ("torch._utils", "_rebuild_tensor"): rebuild_tensor,
    ("torch._utils", "_rebuild_tensor_v2"): rebuild_tensor,
    ("torch._utils", "_rebuild_parameter"): lambda data, *_: data,
    ("torch.storage", "_load_from_bytes"): storage_from_bytes,
    ("torch", "Size"): tuple,
}
"""torch tensors on any device; they come out as NumPy arrays."""


class _Machine(pickle._Unpickler):  # the Python one: every step of it can be checked
    def __init__(self, data: bytes, allowed: Mapping[tuple[str, str], Stand]) -> None:
        super().__init__(io.BytesIO(data), fix_imports=False, encoding="latin1")
        self._allowed, self._stands = allowed, tuple(allowed.values())

    def find_class(self, module: str, name: str) -> Stand:
        if (module, name) not in self._allowed:
            raise Refused(f"it asks for {module}.{name}"[:160])
        return self._allowed[module, name]

    def call(self) -> None:
        """REDUCE and NEWOBJ: a stand-in, with its arguments."""
        arguments = self.stack.pop()
        stand = self.stack[-1]
        if not any(stand is known for known in self._stands) or type(arguments) is not tuple:
            raise Refused("it calls something that is not a known function")
        self.stack[-1] = stand(*arguments)

    def build(self) -> None:
        """BUILD: the state of an object made before."""
        state = self.stack.pop()
        made = self.stack[-1]
        if isinstance(made, DType):
            made.set_state(state)
        elif type(made) is np.ndarray and type(state) is tuple and len(state) == 5:
            _, shape, dtype, fortran, data = state
            data, dtype, shape = checked_array(data, dtype, shape)
            made.__setstate__((1, shape, dtype, bool(fortran), data))
        elif isinstance(made, Node) and type(state) is dict:
            made.state = state
            if made.name == "joblib array":
                self.stack[-1] = self._joblib_array(state)
        else:
            raise Refused(f"it sets the state of a {type(made).__name__}")

    def _joblib_array(self, state: dict) -> np.ndarray:
        """joblib keeps the numbers outside the pickle, right behind the wrapper."""
        if "numpy_array_alignment_bytes" in state:
            self.read(self.read(1)[0])
        shape, dtype = state["shape"], state["dtype"]
        if state.get("subclass") is not _NDARRAY or not isinstance(dtype, DType):
            raise Refused("a joblib array of objects")
        size = math.prod(shape) * dtype.numpy().itemsize
        data = self.read(size) if 0 <= size <= MAX_BYTES else b""
        return make_array(data, dtype, shape, state["order"] == "F")

    def set_items(self) -> None:
        """SETITEMS: pairs into a plain dictionary."""
        values = self.pop_mark()
        self._put(self.stack[-1], values)

    def set_item(self) -> None:
        """SETITEM: one pair."""
        value, key = self.stack.pop(), self.stack.pop()
        self._put(self.stack[-1], [key, value])

    def new_dict(self) -> None:
        """DICT: a dictionary of the pairs since the mark."""
        values, made = self.pop_mark(), {}
        self._put(made, values)
        self.append(made)

    def _put(self, target: object, values: list) -> None:
        if type(target) is not dict:
            raise Refused(f"it sets items of a {type(target).__name__}")
        target.update(_pair(pair) for pair in zip(values[::2], values[1::2], strict=True))

    def refuse(self) -> None:
        """Any other opcode."""
        raise Refused("it takes a step that files of numbers do not need")

    def byte_array(self) -> None:
        """BYTEARRAY8, without making room for a length that is only claimed."""
        (size,) = struct.unpack("<Q", self.read(8))
        data = self.read(size) if size <= MAX_BYTES else b""
        if len(data) != size:
            raise EOFError("the file ends within an array")
        self.append(bytearray(data))


def _pair(pair: tuple) -> tuple:
    key, value = pair
    if type(key) not in _KEYS:
        raise Refused(f"a dictionary with a {type(key).__name__} as key")
    return key, value


_UNUSED = (
    *("PERSID", "BINPERSID", "NEXT_BUFFER", "READONLY_BUFFER", "EXT1", "EXT2", "EXT4"),
    *("EMPTY_SET", "FROZENSET", "ADDITEMS", "INST", "OBJ", "NEWOBJ_EX"),
)
"""Opcodes that files of numbers do not need."""
_Machine.dispatch = {
    **pickle._Unpickler.dispatch,
    **{getattr(pickle, name)[0]: _Machine.refuse for name in _UNUSED},
    pickle.REDUCE[0]: _Machine.call,
    pickle.NEWOBJ[0]: _Machine.call,
    pickle.BUILD[0]: _Machine.build,
    pickle.SETITEM[0]: _Machine.set_item,
    pickle.SETITEMS[0]: _Machine.set_items,
    pickle.DICT[0]: _Machine.new_dict,
    pickle.BYTEARRAY8[0]: _Machine.byte_array,
}


def load_pickle(
    path: str | Path, allowed: Mapping[tuple[str, str], Stand], *, argument: str = "motion"
) -> object:
    """What the pickle at `path` holds, in plain Python, NumPy arrays and `Node`s.

    `allowed` maps (module, name), as the file writes them, to stand-ins. Raises `InputError`, named
    after `argument`, for a file that is no pickle, is cut off, is too large, or asks for anything
    that is not in the table.
    """
    path = Path(path)
    try:
        if path.stat().st_size > MAX_BYTES:
            raise Refused(f"it is larger than {MAX_BYTES >> 20} MB")
        data = path.read_bytes()
        if data[:4] == b"PK\x03\x04":
            return load_weights(path, MAX_BYTES)
        if data[:1] == b"x" or data[:2] == b"\x1f\x8b":
            data = _inflate(data)
        return _Machine(data, allowed).load()
    except OSError as error:
        raise InputError(argument, "must be a readable file", path, "Check the path.") from error
    except Refused as error:
        rule = "must be a pickle of numbers and arrays only"
        raise InputError(argument, rule, f"{path} ({error})", _REMEDY) from error
    except BROKEN as error:
        cause = f"{type(error).__name__}: {error}"[:160]
        rule = "must be a whole pickle"
        remedy = "It is cut off or of another kind: copy or write it again."
        raise InputError(argument, rule, f"{path} ({cause})", remedy) from error


def _inflate(data: bytes) -> bytes:
    """zlib or gzip, as joblib writes with `compress`."""
    unpacker = zlib.decompressobj(wbits=47)
    out = unpacker.decompress(data, MAX_BYTES)
    if unpacker.unconsumed_tail:
        raise Refused(f"it unpacks to more than {MAX_BYTES >> 20} MB")
    return out
