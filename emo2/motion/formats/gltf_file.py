"""The glTF 2.0 container (Khronos, sections 3.6 and 4.4): JSON and one block of numbers, as .glb.

Writing is a list of arrays with their descriptions; reading trusts nothing that a file says about
itself. Own code, since the library at hand (pygltflib) neither lays out nor checks accessors, which
is all there is to it.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from emo2.errors import InputError

MAGIC, VERSION = 0x46546C67, 2
JSON_CHUNK, BIN_CHUNK = 0x4E4F534A, 0x004E4942
ARRAY_BUFFER, ELEMENT_ARRAY_BUFFER = 34962, 34963
MAX_JSON_BYTES = 64 * 2**20
_CODES = {
    np.dtype("<i1"): 5120,
    np.dtype("<u1"): 5121,
    np.dtype("<i2"): 5122,
    np.dtype("<u2"): 5123,
    np.dtype("<u4"): 5125,
    np.dtype("<f4"): 5126,
}
_COMPONENTS = {str(code): dtype for dtype, code in _CODES.items()}
_TYPES = {1: "SCALAR", 2: "VEC2", 3: "VEC3", 4: "VEC4", 16: "MAT4"}
_REMEDY = "Export it again where it was made, as binary glTF 2.0."


class GltfWriter:
    """Collects arrays; `document` is the JSON to fill in."""

    def __init__(self, generator: str) -> None:
        self.document: dict[str, Any] = {
            "asset": {"version": "2.0", "generator": generator},
            "bufferViews": [],
            "accessors": [],
        }
        self._blocks: list[bytes] = []
        self._length = 0

    def add(self, name: str, item: Mapping[str, Any]) -> int:
        """Append `item` to the document's list `name`; returns its index."""
        items = self.document.setdefault(name, [])
        items.append(dict(item))
        return len(items) - 1

    def array(
        self,
        values: np.ndarray,
        *,
        target: int | None = None,
        normalized: bool = False,
        bounds: bool = False,
    ) -> int:
        """Store (N,) or (N, width); returns the accessor's index. `bounds` states min and max."""
        values, accessor = self._described(values, normalized, bounds)
        accessor["bufferView"] = self._view(values, target)
        return self.add("accessors", accessor)

    def sparse(self, values: np.ndarray) -> int:
        """Store (N, width) float32 that is zero in most rows, as the other rows; returns the
        accessor's index."""
        rows = np.flatnonzero(values.any(axis=1)).astype("<u2" if len(values) < 2**16 else "<u4")
        values, accessor = self._described(values, False, True)
        accessor["sparse"] = {
            "count": len(rows),
            "indices": {"bufferView": self._view(rows), "componentType": _CODES[rows.dtype]},
            "values": {"bufferView": self._view(values[rows])},
        }
        return self.add("accessors", accessor)

    def save(self, path: Path) -> None:
        """Write `path` whole or not at all."""
        self.document["buffers"] = [{"byteLength": self._length}]
        text = json.dumps(self.document, separators=(",", ":"), allow_nan=False).encode()
        text += b" " * (-len(text) % 4)
        total = 12 + 8 + len(text) + 8 + self._length
        part = path.with_name(f".{path.name}.part")
        try:
            with part.open("wb") as file:
                file.write(struct.pack("<III", MAGIC, VERSION, total))
                file.write(struct.pack("<II", len(text), JSON_CHUNK) + text)
                file.write(struct.pack("<II", self._length, BIN_CHUNK))
                file.writelines(self._blocks)
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)

    def _described(self, values, normalized, bounds) -> tuple[np.ndarray, dict[str, Any]]:
        values = np.ascontiguousarray(values)
        values = values.astype(values.dtype.newbyteorder("<"), copy=False)
        accessor: dict[str, Any] = {
            "componentType": _CODES[values.dtype],
            "count": len(values),
            "type": _TYPES[int(np.prod(values.shape[1:], dtype=int))],
        }
        if normalized:
            accessor["normalized"] = True
        if bounds:
            rows = values.reshape(len(values), -1)
            accessor["min"], accessor["max"] = rows.min(axis=0).tolist(), rows.max(axis=0).tolist()
        return values, accessor

    def _view(self, values: np.ndarray, target: int | None = None) -> int:
        block = values.tobytes()
        view = {"buffer": 0, "byteOffset": self._length, "byteLength": len(block)}
        if target is not None:
            view["target"] = target
        block += b"\0" * (-len(block) % 4)
        self._blocks.append(block)
        self._length += len(block)
        return self.add("bufferViews", view)


class GltfFile:
    """A binary glTF file that was opened: its JSON, and its numbers on demand."""

    def __init__(self, path: Path) -> None:
        """Raises `InputError` where this is not a whole .glb file."""
        self.path = path
        size = path.stat().st_size if path.is_file() else 0
        if size < 20:
            raise self.refuse("must be a binary glTF file", f"{size} bytes")
        block = np.memmap(path, dtype=np.uint8, mode="r")
        magic, version, total, length, kind = struct.unpack("<IIIII", block[:20].tobytes())
        if magic != MAGIC:
            raise self.refuse("must be a binary glTF file", "another kind of file")
        if version != VERSION:
            raise self.refuse("must be glTF version 2", f"version {version}")
        if kind != JSON_CHUNK or length > MAX_JSON_BYTES:
            raise self.refuse("must begin with its JSON", f"a chunk of {length} bytes")
        if total > size or 20 + length > size:
            raise self.refuse("must be whole", f"{size} of {max(total, 20 + length)} bytes")
        try:
            self.document = json.loads(block[20 : 20 + length].tobytes())
        except (ValueError, RecursionError) as error:
            raise self.refuse("must hold valid JSON", str(error)) from error
        if not isinstance(self.document, dict):
            raise self.refuse("its JSON must be an object", type(self.document).__name__)
        self._numbers = block[:0]
        start = 20 + length
        if start + 8 <= size:
            length, kind = struct.unpack("<II", block[start : start + 8].tobytes())
            if start + 8 + length > size:
                raise self.refuse("must be whole", f"{size} of {start + 8 + length} bytes")
            if kind == BIN_CHUNK:
                self._numbers = block[start + 8 : start + 8 + length]

    def refuse(self, rule: str, value: object) -> InputError:
        """The error that says what is wrong with this file."""
        return InputError("motion", f"{self.path.name} {rule}", value, _REMEDY)

    def objects(self, within: Mapping[str, Any], key: str) -> list[dict[str, Any]]:
        """The list of objects that `within` has as `key`, or an empty one."""
        found = within.get(key, [])
        if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
            raise self.refuse(f"{key} must be a list of objects", str(found)[:40])
        return found

    def object(self, within: Mapping[str, Any], key: str) -> dict[str, Any]:
        """The object that `within` has as `key`, or an empty one."""
        found = within.get(key, {})
        if not isinstance(found, dict):
            raise self.refuse(f"{key} must be an object", str(found)[:40])
        return found

    def numbered(self, within: Mapping[str, Any], key: str, name: str) -> list[int]:
        """The list of positions in the document's list `name` that `within` has as `key`."""
        found = within.get(key, [])
        if not isinstance(found, list):
            raise self.refuse(f"{key} must be a list", str(found)[:40])
        for index in found:
            self.item(name, index)
        return found

    def items(self, name: str) -> list[dict[str, Any]]:
        """The document's list `name`, or an empty one."""
        return self.objects(self.document, name)

    def item(self, name: str, index: object) -> dict[str, Any]:
        """Element `index` of the list `name`."""
        found = self.items(name)
        if type(index) is not int or not 0 <= index < len(found):
            raise self.refuse(f"must refer to one of its {len(found)} {name}", index)
        return found[index]

    def numbers(self, index: object, width: int) -> np.ndarray:
        """Accessor `index` as (N, width) float64; normalised integers become fractions."""
        accessor = self.item("accessors", index)
        dtype = _COMPONENTS.get(str(accessor.get("componentType")))
        if dtype is None or accessor.get("type") != _TYPES[width]:
            raise self.refuse(
                f"must have {_TYPES[width]} in accessor {index}",
                f"{accessor.get('type')} of component type {accessor.get('componentType')}",
            )
        if "sparse" in accessor or "bufferView" not in accessor:
            raise self.refuse(f"must store accessor {index} plainly", "a sparse or empty one")
        view = self.item("bufferViews", accessor["bufferView"])
        buffer = self.item("buffers", view.get("buffer"))
        if view["buffer"] != 0 or "uri" in buffer:
            raise self.refuse("must carry its numbers inside", "a buffer elsewhere")
        count = self._whole(accessor, "count", 1)
        start = self._whole(accessor, "byteOffset", 0)
        offset = self._whole(view, "byteOffset", 0)
        length = self._whole(view, "byteLength", 1)
        row = width * dtype.itemsize
        stride = self._whole(view, "byteStride", 0) or row
        needed = start + stride * (count - 1) + row
        if stride < row or needed > length or offset + length > len(self._numbers):
            raise self.refuse(
                f"accessor {index} must lie within the file's {len(self._numbers)} bytes",
                f"{count} rows to byte {offset + needed}",
            )
        block = self._numbers[offset + start : offset + needed]
        rows = np.lib.stride_tricks.as_strided(block, (count, row), (stride, 1))
        values = np.ascontiguousarray(rows).view(dtype)
        if accessor.get("normalized") and dtype.kind in "iu":
            values = np.maximum(values / np.iinfo(dtype).max, -1.0)
        values = values.astype(np.float64)
        if not np.isfinite(values).all():
            raise self.refuse(f"accessor {index} must hold finite numbers", "NaN or infinity")
        return values

    def _whole(self, item: Mapping[str, Any], key: str, least: int) -> int:
        value = item.get(key, 0)
        if type(value) is not int or not least <= value < 2**40:
            raise self.refuse(f"{key} must be a whole number from {least}", value)
        return value
