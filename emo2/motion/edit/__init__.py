"""Edits of a motion: pure functions from one `HandMotion` to another, and the same as JSON.

    edited = amplitude(motion, Span(24, 72), factor=1.4)
    edited = apply(motion, [{"op": "amplitude", "start": 24, "stop": 72, "factor": 1.4}])

Every edit of a span leaves the frames outside it as they are, to the bit. `OPERATIONS` describes
all edits; a `MotionDocument` keeps a list of them with the fingerprint of its base.
"""

from emo2.motion.edit.cut import trim
from emo2.motion.edit.document import (
    MotionDocument,
    evaluate,
    load,
    load_operations,
    save,
)
from emo2.motion.edit.operations import OPERATIONS, apply, validated
from emo2.motion.edit.place import mirror
from emo2.motion.edit.presets import PRESETS, Preset
from emo2.motion.edit.schema import Operation, Parameter
from emo2.motion.edit.span import Span
from emo2.motion.edit.time import resample

__all__ = [
    "OPERATIONS",
    "PRESETS",
    "MotionDocument",
    "Operation",
    "Parameter",
    "Preset",
    "Span",
    "apply",
    "evaluate",
    "load",
    "load_operations",
    "mirror",
    "resample",
    "save",
    "trim",
    "validated",
]
