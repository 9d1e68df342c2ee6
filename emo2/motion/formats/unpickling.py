"""Pickles from strangers, read without running anything in them.

A pickle is a program: it may name any function and call it. Here every name it may use is in a
table, and what the name stands for is never the function itself but a stand-in of ours that checks
its arguments: arrays and tensors are made from the bytes that are there, foreign objects become
`Node`s. Everything else is refused before it happens. The tables are added up: `ARRAYS` of
`stand_ins`, `TENSORS` below, and a reader's own.

Python-2 and Python-3 pickles of protocols 0 to 5, joblib's dumps (plain or zlib) and torch's zip
archives are read.
"""

from __future__ import annotations

import io
import math
import pickle
import struct
import zipfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from emo2.errors import InputError
from emo2.motion.formats.stand_ins import (
    NDARRAY,
    DType,
    Node,
    ObjectDType,
    Stand,
    checked_array,
    checked_pair,
    joined_path,
    make_array,
)
from emo2.motion.formats.tensors import STORAGE_TYPES, Refused, rebuild_tensor, storage_id

MAX_BYTES = 1 << 29
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
    AssertionError,
    AttributeError,
    ArithmeticError,
    MemoryError,
    RuntimeError,
)
"""What reading a truncated or forged file raises."""
_REMEDY = (
    "Nothing in it was run. Use the file as its tool wrote it, or save the arrays with numpy.savez."
)


Table = Mapping[tuple[str, str], Stand]


class _Machine(pickle._Unpickler):  # the Python one: every step of it can be checked
    def __init__(
        self, stream: io.BytesIO, allowed: Table, storage: Callable[[object], object] | None = None
    ) -> None:
        super().__init__(stream, fix_imports=False, encoding="latin1")
        self._allowed, self._stands, self._storage = allowed, tuple(allowed.values()), storage
        self._budget = 16 * stream.getbuffer().nbytes + (1 << 20)  # bytes that stand-ins may make

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
        self.stack[-1] = self._paid(stand(*arguments))

    def _paid(self, made: object) -> object:
        """`made`, where a file does not make the same over and over out of one small part."""
        if isinstance(made, np.ndarray):
            self._budget -= made.nbytes if made.flags.writeable else 0  # else a view of another
        elif isinstance(made, bytes):
            self._budget -= len(made)
        elif isinstance(made, list | tuple | dict):
            self._budget -= 16 * len(made)
        if self._budget < 0:
            raise Refused("it makes far more than it holds")
        return made

    def build(self) -> None:
        """BUILD: the state of an object made before."""
        state = self.stack.pop()
        made = self.stack[-1]
        if isinstance(made, DType):
            made.set_state(state)
        elif type(made) is np.ndarray and type(state) is tuple and len(state) == 5:
            _, shape, dtype, fortran, data = state
            if isinstance(dtype, ObjectDType) and dtype.code == "O8":
                if type(data) is not list or len(data) != math.prod(shape):
                    raise Refused("an array of objects that are not there")
                self.stack[-1] = data
                return
            data, dtype, shape = checked_array(data, dtype, shape)
            self._paid(data)
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
        if state.get("subclass") is not NDARRAY or not isinstance(dtype, DType):
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
        target.update(checked_pair(pair) for pair in zip(values[::2], values[1::2], strict=True))

    def outside(self) -> None:
        """BINPERSID: in torch's files, numbers that lie outside the pickle."""
        if self._storage is None:
            raise Refused("it refers to something outside itself")
        self.append(self._storage(self.stack.pop()))

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


_UNUSED = (
    *("PERSID", "NEXT_BUFFER", "READONLY_BUFFER", "EXT1", "EXT2", "EXT4"),
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
    pickle.BINPERSID[0]: _Machine.outside,
}


def _storage_from_bytes(data: object) -> np.ndarray:
    """`torch.storage._load_from_bytes`: one storage as torch.save wrote it before it had archives:
    five pickles (magic, version, machine, which storage, keys), then a length and the numbers."""
    if not isinstance(data, bytes):
        raise Refused("a torch storage that is not bytes")
    stream = io.BytesIO(data)
    *_, (kind, key, length), keys = (
        _Machine(stream, STORAGE_TYPES, storage_id).load() for _ in range(5)
    )
    numbers = stream.read()[8:]
    if keys != [key] or len(numbers) != length * kind.itemsize:
        raise Refused("a torch storage of another length")
    return kind.numbers(numbers)


def _load_archive(path: Path, allowed: Table) -> object:
    """A `torch.save` archive: a pickle, and a member for each storage."""
    with zipfile.ZipFile(path) as archive:
        sizes = {member.filename: member.file_size for member in archive.infolist()}
        if sum(sizes.values()) > MAX_BYTES:
            raise Refused(f"it unpacks to more than {MAX_BYTES >> 20} MB")
        root = next((n.removesuffix("data.pkl") for n in sizes if n.endswith("/data.pkl")), None)
        if root is None:
            raise Refused("an archive without a torch pickle")
        read: dict[str, np.ndarray] = {}

        def storage(pid: object) -> np.ndarray:
            kind, key, length = storage_id(pid)
            name = f"{root}data/{key}"
            if sizes.get(name) != length * kind.itemsize:
                raise Refused("a torch storage of another length")
            if name not in read:
                read[name] = kind.numbers(archive.read(name))
            return read[name]

        stream = io.BytesIO(archive.read(f"{root}data.pkl"))
        return _Machine(stream, {**allowed, **STORAGE_TYPES}, storage).load()


TENSORS: Table = {
    ("torch._utils", "_rebuild_tensor"): rebuild_tensor,
    ("torch._utils", "_rebuild_tensor_v2"): rebuild_tensor,
    ("torch._utils", "_rebuild_parameter"): lambda data, *_: data,
    ("torch.storage", "_load_from_bytes"): _storage_from_bytes,
    ("torch", "Size"): tuple,
    ("torch", "device"): joined_path,
}
"""torch tensors of any device; they come out as NumPy arrays."""


def load_pickle(
    path: str | Path,
    allowed: Table,
    *,
    argument: str = "motion",
    start: int = 0,
) -> object:
    """What the pickle at `path` holds, in plain Python, NumPy arrays and `Node`s.

    `allowed` maps (module, name), as the file writes them, to stand-ins. The pickle begins at byte
    `start`, behind another format's header. Raises `InputError`, named after `argument`, for a file
    that is no pickle, is cut off, is too large, or asks for anything that is not in the table.
    """
    path = Path(path)
    try:
        if path.stat().st_size > MAX_BYTES:
            raise Refused(f"it is larger than {MAX_BYTES >> 20} MB")
        data = path.read_bytes()[start:]
        if data[:4] == b"PK\x03\x04":
            return _load_archive(path, allowed)
        if data[:1] == b"x" or data[:2] == b"\x1f\x8b":
            data = _inflate(data)
        return _Machine(io.BytesIO(data), allowed).load()
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
