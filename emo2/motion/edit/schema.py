"""What an operation is: a function, its parameters with ranges, and the words a page shows for
them.

One description serves four readers: `validated` refuses what does not fit, the page builds its
controls from `Operation.facts`, presets scale what has a `neutral` value, tests try every operation
at its neutral value.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from numbers import Integral, Real
from typing import Any

from emo2.errors import InputError
from emo2.motion.edit.span import DEFAULT_FADE, HANDS
from emo2.types import HandMotion

KINDS = {
    "number": "a finite number",
    "integer": "a whole number",
    "boolean": "true or false",
    "choice": "one of the choices",
    "hands": 'a list of "left", "right" or both',
    "place": "three finite numbers [x, y, z]",
    "turn": "a quaternion, four finite numbers [w, x, y, z] not all 0",
    "shape": "the name of a handshape, or sixteen quaternions [w, x, y, z]",
}


@dataclass(frozen=True)
class Parameter:
    """One parameter of an operation."""

    name: str
    kind: str
    """A key of `KINDS`."""
    label: str
    help: str
    default: Any = None
    """None with `required` False: may be left out, and then stays out."""
    low: float | None = None
    high: float | None = None
    unit: str = ""
    choices: tuple[str, ...] = ()
    required: bool = False
    neutral: Any = None
    """The value at which the operation does nothing, if there is one."""

    def value(self, given: Any) -> Any:
        """`given` as a JSON value of this parameter's kind. Raises `ValueError` with the rule that
        it breaks."""
        read = _READERS[self.kind]
        try:
            value = read(given)
        except (TypeError, ValueError):
            raise ValueError(f"must be {KINDS[self.kind]}{self._range()}") from None
        if self.choices and self.kind == "choice" and value not in self.choices:
            raise ValueError(f"must be one of {', '.join(self.choices)}")
        if self.choices and isinstance(value, str) and value not in self.choices:
            raise ValueError(f"must be one of {', '.join(self.choices)}, or sixteen quaternions")
        numbers = value if self.kind == "place" else [value]
        if self.kind in ("number", "integer", "place") and not all(map(self._fits, numbers)):
            raise ValueError(f"must be {KINDS[self.kind]}{self._range()}")
        return value

    def _fits(self, number: float) -> bool:
        return not (
            (self.low is not None and number < self.low)
            or (self.high is not None and number > self.high)
        )

    def _range(self) -> str:
        unit = f" {self.unit}" if self.unit else ""
        if self.low is not None and self.high is not None:
            return f" from {self.low:g} to {self.high:g}{unit}"
        return f" of at least {self.low:g}{unit}" if self.low is not None else ""


@dataclass(frozen=True)
class Operation:
    """One line of the registry."""

    name: str
    label: str
    help: str
    function: Callable[..., HandMotion]
    """`function(motion, span, **parameters)` where the operation has a span, else
    `function(motion, **parameters)`."""
    parameters: tuple[Parameter, ...] = ()
    """Its own, without the span's."""
    span: tuple[Parameter, ...] = ()
    """Those of start, stop, fade and hands that it takes."""
    changes_length: bool = False
    """Does later frame numbers' meaning change? Such operations act on the whole motion."""

    @property
    def all_parameters(self) -> dict[str, Parameter]:
        """Every parameter by name, the span's first."""
        return {parameter.name: parameter for parameter in (*self.span, *self.parameters)}

    def facts(self) -> dict[str, Any]:
        """The operation as JSON values, for a page."""
        return {
            "op": self.name,
            "label": self.label,
            "help": self.help,
            "changes_length": self.changes_length,
            "parameters": [asdict(p) for p in self.all_parameters.values()],
        }

    def validated(self, given: Mapping[str, Any], where: str) -> dict[str, Any]:
        """`given` ("op" and parameters) with every default written out, as JSON values.

        Raises `InputError` that names `where` and the parameter.
        """
        known = self.all_parameters
        remedy = f"{self.label} takes {', '.join(known)}."
        for name in given:
            if name != "op" and name not in known:
                raise InputError(f"{where}.{name}", f"is no parameter of {self.name}", name, remedy)
        checked: dict[str, Any] = {"op": self.name}
        for name, parameter in known.items():
            if given.get(name) is None:
                if parameter.required:
                    raise InputError(f"{where}.{name}", f"{self.name} needs it", "nothing", remedy)
                if parameter.default is not None:
                    default = parameter.default
                    checked[name] = list(default) if isinstance(default, tuple) else default
                continue
            try:
                checked[name] = parameter.value(given[name])
            except ValueError as error:
                help_text = f"{parameter.label}: {parameter.help}"
                raise InputError(f"{where}.{name}", str(error), given[name], help_text) from None
        return checked


def span_parameters(
    *, fade: int | None = DEFAULT_FADE, hands: bool = True, stretch: bool = True
) -> tuple[Parameter, ...]:
    """The parameters of a span: `fade` None for edits that need no cross-fade, `stretch` False for
    edits that find their own frames."""
    start = Parameter("start", "integer", "From", "First frame.", 0, low=0, unit="frames")
    stop = Parameter(
        "stop", "integer", "To", "First frame after the span; left out, the motion's end.",
        low=1, unit="frames",
    )  # fmt: skip
    fades = Parameter(
        "fade", "integer", "Cross-fade", "Frames at each end over which the edit sets in.",
        fade, low=0, high=240, unit="frames",
    )  # fmt: skip
    chosen = Parameter("hands", "hands", "Hands", "Which hands are edited.", HANDS)
    return (
        *((start, stop) if stretch else ()),
        *((fades,) if fade is not None else ()),
        *((chosen,) if hands else ()),
    )


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, Real) or not math.isfinite(value):
        raise ValueError
    return float(value)


def _integer(value: Any) -> int:
    if isinstance(value, bool) or not (isinstance(value, Integral) or _number(value).is_integer()):
        raise ValueError
    return int(value)


def _boolean(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError
    return value


def _hands(value: Any) -> list[str]:
    names = [value] if isinstance(value, str) else list(value)
    if not names or len(set(names)) != len(names) or not set(names) <= set(HANDS):
        raise ValueError
    return [name for name in HANDS if name in names]


def _numbers(count: int) -> Callable[[Any], list[float]]:
    def read(value: Any) -> list[float]:
        numbers = [_number(number) for number in value]
        if len(numbers) != count:
            raise ValueError
        return numbers

    return read


def _turn(value: Any) -> list[float]:
    numbers = _numbers(4)(value)
    if not any(numbers):
        raise ValueError
    return numbers


def _shape(value: Any) -> str | list[list[float]]:
    if isinstance(value, str):
        return value
    turns = [_turn(row) for row in value]
    if len(turns) != 16:
        raise ValueError
    return turns


_READERS: dict[str, Callable[[Any], Any]] = {
    "number": _number,
    "integer": _integer,
    "boolean": _boolean,
    "choice": _text,
    "hands": _hands,
    "place": _numbers(3),
    "turn": _turn,
    "shape": _shape,
}
