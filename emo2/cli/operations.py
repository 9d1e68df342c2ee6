"""What `edit` reads and lists: documents of operations, snaps that look for their own onset."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from emo2.errors import InputError
from emo2.motion.edit import OPERATIONS, MotionDocument, Parameter, Span, apply
from emo2.motion.edit.document import FORMAT, MAX_BYTES
from emo2.motion.edit.warp import apexes
from emo2.types import AudioClip, HandMotion


def list_operations() -> dict[str, Any]:
    """Every operation with its parameters, their ranges and defaults."""
    lines = []
    for operation in OPERATIONS.values():
        lines += [f"{operation.name}: {operation.help}"]
        lines += [f"    {_described(p)}" for p in operation.all_parameters.values()]
    return {"operations": [op.facts() for op in OPERATIONS.values()], "lines": lines}


def read_document(path: Path, motion: HandMotion, audio: AudioClip | None) -> MotionDocument:
    """The document of a .json file, over `motion` where the file names no base; snaps without
    "onset_s" are given the onset of `audio` that is nearest to a stroke of their span."""
    facts = _read(path)
    given = facts.get("operations") if isinstance(facts, Mapping) else facts
    if isinstance(given, list) and any(map(_needs_onset, given)):
        given[:] = _with_onsets(given, motion, audio)
    document = MotionDocument.from_json(json.dumps(facts))
    if document.base_hash is not None:
        return document
    return MotionDocument.over(motion, document.operations)


def _read(path: Path) -> Any:
    if path.stat().st_size > MAX_BYTES:
        raise InputError("--ops", f"must be smaller than {MAX_BYTES} bytes", path, "Check it.")
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        rule = f'must be JSON: a list of operations, or an object with "format": "{FORMAT}"'
        raise InputError("--ops", rule, f"{path} ({error})", "See `edit --list`.") from error


def _needs_onset(operation: Any) -> bool:
    named = isinstance(operation, Mapping) and operation.get("op") == "snap"
    return named and operation.get("onset_s") is None


def _with_onsets(
    operations: list[Any], motion: HandMotion, audio: AudioClip | None
) -> list[Mapping[str, Any]]:
    """The operations, each snap with its onset. Each is seen as the motion is when it is reached;
    a trim moves the recording's time with it."""
    from emo2.features.onsets import speech_onsets

    if audio is None:
        raise InputError(
            "--audio",
            'is needed for a "snap" without "onset_s"',
            "nothing",
            "Pass the recording, or write the onset's time into the operation.",
        )
    onsets_s, begin_s, resolved = speech_onsets(audio)[0], 0.0, []
    for index, operation in enumerate(operations):
        if _needs_onset(operation):
            where = f"operations[{index}] (snap)"
            operation = {**operation, "onset_s": 0.0}
            hands = operation.get("hands") or ("left", "right")
            span = Span(
                operation.get("start") or 0,
                operation.get("stop"),
                hands=(hands,) if isinstance(hands, str) else tuple(hands),
            )
            lead_s = operation.get("lead_s") or 0.0
            arrivals_s = apexes(motion, span) / motion.fps + lead_s
            heard_s = onsets_s - begin_s
            heard_s = heard_s[heard_s >= 0]
            if not len(arrivals_s) or not len(heard_s):
                missing = "stroke in its span" if len(heard_s) else "onset in the recording"
                raise InputError(where, f"found no {missing}", "none", "Choose another span.")
            away = np.abs(heard_s[:, None] - arrivals_s[None])
            nearest = np.unravel_index(away.argmin(), away.shape)[0]
            operation["onset_s"] = round(float(heard_s[nearest]), 4)
        resolved.append(operation)
        before = motion
        motion = apply(motion, [operation])
        if operation.get("op") == "trim":
            begin_s += operation["start"] / before.fps
    return resolved


def _described(parameter: Parameter) -> str:
    """One line: name, what it takes, its default, what it does."""
    if parameter.choices:
        takes = " | ".join(parameter.choices)
    elif parameter.low is not None and parameter.high is not None:
        takes = f"{parameter.kind} {parameter.low:g}..{parameter.high:g}"
    elif parameter.low is not None:
        takes = f"{parameter.kind} from {parameter.low:g}"
    else:
        takes = parameter.kind
    unit = f" {parameter.unit}" if parameter.unit else ""
    if parameter.required:
        default = ", needed"
    elif parameter.default is None:
        default = ", may be left out"
    else:
        default = f", default {json.dumps(parameter.default)}"
    return f"{parameter.name} ({takes}{unit}{default}): {parameter.help}"
