"""The registry of edits: every operation by name, as JSON and as a function.

    apply(motion, [{"op": "amplitude", "start": 24, "stop": 72, "factor": 1.4},
                   {"op": "rest", "start": 130}])

An operation is a JSON object: "op" and parameters. Frames count from 0 in the motion that the
operation receives; `stop` is exclusive. What is left out takes its default.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from emo2.errors import InputError
from emo2.hands.shapes import SHAPES
from emo2.motion.edit.amplitude import SLOW_S, TURN, amplitude
from emo2.motion.edit.bridge import bridge
from emo2.motion.edit.cut import paste, trim
from emo2.motion.edit.fingers import handshape, openness
from emo2.motion.edit.guard import PARTS, WAYS, limit, separate
from emo2.motion.edit.keypose import FALLOFF, key
from emo2.motion.edit.place import height, mirror, offset, swap
from emo2.motion.edit.presets import PRESETS
from emo2.motion.edit.schema import Operation, Parameter, span_parameters
from emo2.motion.edit.smooth import seam, smooth
from emo2.motion.edit.span import MOVING_FADE, WHOLE, Span
from emo2.motion.edit.still import hold, rest
from emo2.motion.edit.time import resample
from emo2.motion.edit.visibility import hide, show
from emo2.motion.edit.warp import nudge, snap, speed
from emo2.types import HandMotion


def style(motion: HandMotion, span: Span = WHOLE, *, style: str, amount: float = 1.0) -> HandMotion:
    """A preset, `amount` times as strong as it is written."""
    if amount == 0:
        return motion
    for entry in PRESETS[style].operations:
        operation = OPERATIONS[entry["op"]]
        values = {name: value for name, value in entry.items() if name != "op"}
        for name, value in values.items():
            neutral = operation.all_parameters[name].neutral
            if neutral == 1:
                values[name] = value**amount
            elif neutral == 0:
                values[name] = value * amount
        motion = operation.function(motion, span, **values)
    return motion


def _number(
    name: str, label: str, help: str, default: float, low: float, high: float, **more: Any
) -> Parameter:
    return Parameter(name, "number", label, help, default, low, high, **more)


def _metres(name: str, label: str, help: str, bound: float = 0.5) -> Parameter:
    return _number(name, label, help, 0.0, -bound, bound, unit="m", neutral=0.0)


_SPAN = span_parameters()
_MOVING = span_parameters(fade=MOVING_FADE)
_PINNED = span_parameters(fade=None)
_FRAME = Parameter("frame", "integer", "Frame", "Where.", required=True, low=0, unit="frames")

_TABLE: tuple[Operation, ...] = (
    Operation(
        "amplitude", "Energy", "Larger or smaller gestures, about where the hands are held.",
        amplitude,
        (
            _number("factor", "Size", "1 leaves the gestures as they are.", 1.0, 0.1, 4.0,
                    neutral=1.0),
            _number("turn", "Wrists", "How much the wrists' turning follows: 0 not, 1 fully.",
                    TURN, 0.0, 1.0),
            _number("slow_s", "Posture", "Movements slower than this are posture and stay.",
                    SLOW_S, 0.5, 20.0, unit="s"),
        ),
        _MOVING,
    ),
    Operation(
        "speed", "Speed", "The middle of the span faster or slower; its ends stay in time.",
        speed,
        (_number("factor", "Rate", "Of the span's middle frame; 1 is as it is.", 1.0, 0.25, 4.0,
                 neutral=1.0),),
        _PINNED,
    ),
    Operation(
        "smooth", "Smooth", "Take out quick, small movements, without delay.",
        smooth,
        (_number("seconds", "Strength", "Movements quicker than this fade out.", 0.3, 0.0, 3.0,
                 unit="s", neutral=0.0),),
        _SPAN,
    ),
    Operation(
        "openness", "Openness", "Fingers towards the open hand, or towards the fist.",
        openness,
        (_number("amount", "Openness", "1 fully open, -1 a fist, 0 as they are.", 0.0, -1.0, 1.0,
                 neutral=0.0),),
        _SPAN,
    ),
    Operation(
        "handshape", "Handshape", "Fingers towards a named shape.",
        handshape,
        (
            Parameter("shape", "choice", "Shape", "Of the library.", "relaxed",
                      choices=tuple(SHAPES)),
            _number("amount", "Strength", "1 is the shape itself.", 1.0, 0.0, 1.0, neutral=0.0),
        ),
        _MOVING,
    ),
    Operation(
        "offset", "Offset", "Move the hands.",
        offset,
        (
            _metres("dx", "Sideways", "To the person's left."),
            _metres("dy", "Up", "Down below 0."),
            _metres("dz", "Forward", "Towards the camera."),
            _metres("apart", "Apart", "Each hand to its own side."),
        ),
        _MOVING,
    ),
    Operation(
        "height", "Height", "Raise or lower the hands.",
        height, (_metres("metres", "Height", "Down below 0."),), _MOVING,
    ),
    Operation(
        "mirror", "Mirror", "As in a looking-glass; one hand chosen copies the other.",
        mirror, (), _MOVING,
    ),
    Operation(
        "swap", "Swap hands", "The hands exchange what they do, and stay on their sides.",
        swap, (), span_parameters(fade=MOVING_FADE, hands=False),
    ),
    Operation("show", "Show", "The hands are in the picture.", show, (), _PINNED),
    Operation("hide", "Hide", "The hands are not in the picture.", hide, (), _PINNED),
    Operation(
        "hold", "Hold", "Stay in the pose of one frame.",
        hold,
        (replace(_FRAME, help="Whose pose; left out, where the fade ends.", required=False),),
        span_parameters(fade=10),
    ),
    Operation(
        "rest", "Rest", "The hands glide to rest and stay there.",
        rest, (), span_parameters(fade=18),
    ),
    Operation(
        "paste", "Paste", "Copy frames to another place.",
        paste,
        (
            replace(_FRAME, name="start", label="At", help="First frame of the copy."),
            replace(_FRAME, name="from_start", label="From", help="First frame that is copied."),
            replace(_FRAME, name="from_stop", label="To", help="First frame that is not.", low=1),
            Parameter("mirrored", "boolean", "Mirrored", "Each hand does what the other did.",
                      False),
        ),
        span_parameters(fade=MOVING_FADE, stretch=False),
    ),
    Operation(
        "nudge", "Nudge", "The span's middle earlier or later; its ends stay in time.",
        nudge,
        (_number("frames", "Later by", "Earlier below 0; at most a quarter of the span.", 0.0,
                 -240.0, 240.0, unit="frames", neutral=0.0),),
        _PINNED,
    ),
    Operation(
        "snap", "Snap to sound", "Nudge the span's stroke so that it arrives on a sound.",
        snap,
        (
            Parameter("onset_s", "number", "Sound at", "Seconds from the motion's first frame.",
                      required=True, low=0.0, unit="s"),
            _number("lead_s", "Lead", "The stroke arrives this long before the sound.", 0.0, -0.5,
                    0.5, unit="s"),
        ),
        _PINNED,
    ),
    Operation(
        "key", "Key pose", "A pose at one frame; its neighbours bend towards it.",
        key,
        (
            _FRAME,
            Parameter("place", "place", "Wrist", "Place in the body frame.", low=-2.0, high=2.0,
                      unit="m"),
            Parameter("wrist", "turn", "Orientation", "Of the wrist, in the body frame."),
            Parameter("shape", "shape", "Fingers", "A handshape.", choices=tuple(SHAPES)),
            Parameter("before", "integer", "Ease in", "Frames over which the pose builds up.",
                      FALLOFF, 0, 480, unit="frames"),
            Parameter("after", "integer", "Ease out", "Frames over which it fades.", FALLOFF, 0,
                      480, unit="frames"),
        ),
        span_parameters(fade=None, stretch=False),
    ),
    Operation(
        "style", "Manner", "A bundle of edits with a name.",
        style,
        (
            Parameter("style", "choice", "Manner", "Of the presets.", required=True,
                      choices=tuple(PRESETS)),
            _number("amount", "Strength", "1 is as written.", 1.0, 0.0, 1.5, neutral=0.0),
        ),
        _MOVING,
    ),
    Operation(
        "limit", "Within limits", "Nothing bends or reaches further than a body can.",
        limit,
        (Parameter("what", "choice", "What", "All, or one part of it.", "all", choices=PARTS),),
        _SPAN,
    ),
    Operation(
        "separate", "Keep apart", "Hands that pass through each other give way.",
        separate,
        (
            _number("gap", "Extra room", "Between the hands.", 0.0, 0.0, 0.2, unit="m"),
            Parameter("way", "choice", "Way", "Both aside, or the nearer one forward.", "sideways",
                      choices=WAYS),
        ),
        _SPAN,
    ),
    Operation(
        "seam", "Mend a jump", "Both sides of a jump bend to meet.",
        seam,
        (
            replace(_FRAME, help="The first frame after the jump.", low=1),
            Parameter("frames", "integer", "Reach", "Frames that bend, on each side.", 8, 1, 240,
                      unit="frames"),
        ),
        span_parameters(fade=None, stretch=False),
    ),
    Operation(
        "bridge", "Bridge", "Lead the hands over wrong frames, from good ones to good ones.",
        bridge, (), _PINNED,
    ),
    Operation(
        "trim", "Trim", "Keep these frames of the whole motion.",
        trim,
        (
            replace(_FRAME, name="start", label="From", help="First frame that stays."),
            replace(_FRAME, name="stop", label="To", help="First frame that goes.", low=1),
        ),
        changes_length=True,
    ),
    Operation(
        "resample", "Frame rate", "The same movement at another frame rate.",
        resample,
        (_number("fps", "Rate", "24 is the film's.", 24.0, 1.0, 1000.0, unit="frames/s"),),
        changes_length=True,
    ),
)  # fmt: skip

OPERATIONS: dict[str, Operation] = {operation.name: operation for operation in _TABLE}
"""By name."""


def validated(operations: Iterable[Mapping[str, Any]]) -> tuple[dict[str, Any], ...]:
    """The operations with all defaults written out, as JSON values.

    Raises `InputError` that names the operation's index and the parameter. Whether a span lies in
    the motion is known only when it is applied.
    """
    if isinstance(operations, Mapping | str) or not isinstance(operations, Iterable):
        raise InputError(
            "operations", "must be a list of objects", operations, 'Write [{"op": "height", ...}].'
        )
    checked = []
    for index, given in enumerate(operations):
        where = f"operations[{index}]"
        if not isinstance(given, Mapping) or not isinstance(given.get("op"), str):
            raise InputError(
                where, 'must be an object with "op", a name', given, f"Known: {_names()}."
            )
        if given["op"] not in OPERATIONS:
            raise InputError(
                f"{where}.op", "must be a known operation", given["op"], f"Known: {_names()}."
            )
        checked.append(OPERATIONS[given["op"]].validated(given, f"{where} ({given['op']})"))
    return tuple(checked)


def apply(motion: HandMotion, operations: Iterable[Mapping[str, Any]]) -> HandMotion:
    """The motion after the operations, one after the other; all are checked before the first is
    run."""
    for index, checked in enumerate(validated(operations)):
        values = dict(checked)
        operation = OPERATIONS[values.pop("op")]
        if "hands" in values:
            values["hands"] = tuple(values["hands"])
        try:
            if any(parameter.name == "stop" for parameter in operation.span):
                span = Span(**{p.name: values.pop(p.name, None) for p in operation.span})
                motion = operation.function(motion, span, **values)
            else:
                motion = operation.function(motion, **values)
        except InputError as error:
            where = f"operations[{index}] ({operation.name}).{error.argument}"
            raise InputError(where, error.rule, error.value, error.remedy) from None
    return motion


def _names() -> str:
    return ", ".join(OPERATIONS)
