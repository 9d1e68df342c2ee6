"""A motion document: the fingerprint of an immutable base, and the list of edits over it.

    {"format": "emo2-motion-edits", "version": 1, "base": "6f31948371528be6",
     "operations": [{"op": "height", "metres": 0.03, ...}]}

Evaluating it is deterministic. Undo is a shorter list, redo a longer one. A document without a base
("base": null) is a recipe that fits any motion; a file may also hold the bare list.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from emo2.errors import InputError
from emo2.motion.edit.operations import apply, validated
from emo2.motion.hashing import motion_hash
from emo2.types import HandMotion

FORMAT, VERSION = "emo2-motion-edits", 1
MAX_BYTES = 4 << 20
"""A longer file is no list of edits."""


@dataclass(frozen=True)
class MotionDocument:
    """Edits over a base; equal documents have equal JSON."""

    base_hash: str | None
    """`motion_hash` of the base; None fits any."""
    operations: tuple[Mapping[str, Any], ...] = ()
    """With every default written out: a later change of defaults changes no old document."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "operations", validated(self.operations))

    @classmethod
    def over(cls, base: HandMotion, operations: Sequence[Mapping[str, Any]] = ()) -> MotionDocument:
        """A document over `base`."""
        return cls(motion_hash(base), tuple(operations))

    def to_json(self) -> str:
        """Canonical: the same document is the same text."""
        facts = {
            "format": FORMAT,
            "version": VERSION,
            "base": self.base_hash,
            "operations": list(self.operations),
        }
        return json.dumps(facts, sort_keys=True, separators=(",", ":"), allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> MotionDocument:
        """Read `to_json`'s text, or a bare list of operations. Raises `InputError` on anything
        else."""
        try:
            facts = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise _refusal("must be JSON", str(error)) from error
        if isinstance(facts, list):
            return cls(None, tuple(facts))
        if not isinstance(facts, dict) or facts.get("format") != FORMAT:
            found = facts.get("format") if isinstance(facts, dict) else type(facts).__name__
            raise _refusal(f'must be a list, or an object with "format": "{FORMAT}"', found)
        if facts.get("version") != VERSION:
            raise _refusal(f"must be of version {VERSION}", facts.get("version"))
        if not isinstance(facts.get("base"), str | None):
            raise _refusal('"base" must be a fingerprint or null', facts["base"])
        if not isinstance(facts.get("operations"), list):
            raise _refusal('"operations" must be a list', facts.get("operations"))
        return cls(facts.get("base"), tuple(facts["operations"]))


def evaluate(document: MotionDocument, base: HandMotion) -> HandMotion:
    """The base with the document's edits; its `meta` gains them under "edits".

    Raises `InputError` where `base` is not the motion that the document was made for.
    """
    here = motion_hash(base)
    if document.base_hash not in (None, here):
        raise InputError(
            "base",
            f"must be the motion {document.base_hash} that the edits were made for",
            here,
            "Open that motion, or take the bare list of operations to use them on another one.",
        )
    if not document.operations:
        return base
    edited = apply(base, document.operations)
    record = {"base": here, "operations": [dict(op) for op in document.operations]}
    edits = [*base.meta.get("edits", []), record]
    return replace(edited, meta={**base.meta, "edits": edits})


def save(document: MotionDocument, path: str | Path) -> Path:
    """Write the document whole or not at all; returns the path."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    try:
        part.write_text(document.to_json() + "\n", encoding="utf-8")
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    return path


def load(path: str | Path) -> MotionDocument:
    """Read a document, or a bare list of operations. Raises `InputError` on any other file."""
    path = Path(path)
    if not path.is_file():
        raise _refusal("must be an existing JSON file", path)
    if path.stat().st_size > MAX_BYTES:
        raise _refusal(f"must be smaller than {MAX_BYTES} bytes", path)
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise _refusal("must be JSON", f"{path} ({error})") from error
    return MotionDocument.from_json(text)


def load_operations(path: str | Path) -> tuple[Mapping[str, Any], ...]:
    """The operations of a document or bare list, whatever its base."""
    return load(path).operations


def _refusal(rule: str, value: object) -> InputError:
    return InputError(
        "operations", rule, value, 'Write [{"op": "height", "metres": 0.03}], say, to a .json file.'
    )
