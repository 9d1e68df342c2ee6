"""Fixes that were tried: an operation is offered only after it was seen to help and to do no harm.

For each finding the attempts are applied, one by one, to the stretch around it, and the stretch is
checked again. The first that removes the finding and makes nothing else worse is its fix; failing
that, the one that leaves least of it, if that is clearly less.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from emo2.errors import InputError
from emo2.motion.checks.attempts import attempts
from emo2.motion.checks.clip import Clip, Scene
from emo2.motion.checks.detect import detect
from emo2.motion.checks.finding import KINDS, Finding
from emo2.motion.edit.cut import trim
from emo2.motion.edit.operations import apply
from emo2.types import HandMotion

AROUND_FRAMES, AROUND_S = 40, 1.6
"""Motion on both sides of an edit that is checked with it, the longer of the two: more than any
check looks around."""
MOST_TRIED = 100
"""Of more findings than this only the first get fixes: errors come first, and fixes of those often
mend others."""
WORSE = 1.1
BETTER = 0.75
_ROUGH = {"pop", "seam", "stutter", "tremor", "speed"}
_FRAMES = ("start", "stop", "frame")


def with_fixes(findings: Iterable[Finding], motion: HandMotion, clip: Clip) -> tuple[Finding, ...]:
    """The findings, each with the fix that was seen to work."""
    findings = tuple(findings)
    tried = tuple(_with_fix(finding, motion, clip) for finding in findings[:MOST_TRIED])
    later = (replace(finding, remedy=_LATER) for finding in findings[MOST_TRIED:])
    return (*tried, *later)


def in_order(findings: Iterable[Finding]) -> list[dict[str, Any]]:
    """The fixes in the order in which they are to be applied, each once: broken frames first, for
    the rest is measured on whole ones, the picture last."""
    order = list(KINDS)
    operations: list[dict[str, Any]] = []
    for finding in sorted(findings, key=lambda f: (order.index(f.kind), f.start)):
        if finding.fix is not None and finding.fix not in operations:
            operations.append(finding.fix)
    return operations


def _with_fix(finding: Finding, motion: HandMotion, clip: Clip) -> Finding:
    best, lowest = None, (BETTER, 0.0)
    before: dict[tuple[int, int], tuple[Finding, ...]] = {}
    for operation, says in attempts(finding, clip):
        first, last = _stretch(operation, motion)
        part = trim(motion, first, last)
        if (first, last) not in before:
            before[first, last] = _check(part, clip.scene)
        try:
            edited = apply(part, [_shifted(operation, -first)])
        except InputError:  # further than the operation goes, or no whole frame beside it
            continue
        after = _check(edited, clip.scene)
        left = _left(finding, after, first) / finding.ratio
        harms = _harms(before[first, last], after, finding, first)
        if any(harm.severity == "error" or finding.severity == "warning" for harm in harms):
            continue
        # What is left counts before new warnings: those can be looked at next.
        if (left, len(harms)) < lowest:
            best, lowest = (operation, says, harms), (left, len(harms))
        if lowest == (0.0, 0):
            break
    if best is None:
        return replace(finding, remedy=_REASONS.get(finding.kind, _NO_SINGLE_EDIT))
    operation, says, harms = best
    notes = [" in part"] * (lowest[0] > 0)
    kinds = dict.fromkeys(KINDS[harm.kind].lower() for harm in harms)
    notes += [f" then look at: {', '.join(kinds)}"] * bool(kinds)
    return replace(finding, fix=operation, remedy=",".join([says, *notes]))


_NO_SINGLE_EDIT = "no single edit mends it without harm: generate these seconds anew"
_LATER = "mend the first ones, then check again"
_REASONS = {
    "still": "it may be meant: generate these seconds anew, or paste a livelier rest",
    "out_of_frame": "no small move brings the hand into the picture: lower Energy or Height there, "
    "or use a wider portrait",
}


def _stretch(operation: dict[str, Any], motion: HandMotion) -> tuple[int, int]:
    """The frames around an operation that are tried with it."""
    start, stop = operation.get("start"), operation.get("stop")
    if start is None:
        start = stop = operation["frame"]
    around = max(AROUND_FRAMES, round(AROUND_S * motion.fps))
    reach = around + operation.get("frames", 0)
    return max(start - reach, 0), min(stop + reach, motion.num_frames)


def _shifted(operation: dict[str, Any], frames: int) -> dict[str, Any]:
    return {k: v + frames if k in _FRAMES else v for k, v in operation.items()}


def _check(part: HandMotion, scene: Scene) -> tuple[Finding, ...]:
    return detect(Clip.of(part, scene))


def _left(finding: Finding, after: tuple[Finding, ...], first: int) -> float:
    """How bad the finding still is: the worst of its kind where it was, 0 where there is none."""
    return max(
        (f.ratio for f in after if _meets(f, finding, first) and f.kind == finding.kind),
        default=0.0,
    )


def _harms(
    before: tuple[Finding, ...], after: tuple[Finding, ...], finding: Finding, first: int
) -> list[Finding]:
    """What else was not there before, or was clearly less bad. A hand that is out of the picture
    anyway may go further, and a rough movement may become another that is less rough."""
    harms = []
    for new in after:
        if new.kind == finding.kind and _meets(new, finding, first):
            continue
        known = [
            old.ratio
            for old in before
            if (old.kind == new.kind or {old.kind, new.kind} <= _ROUGH)
            and old.hand == new.hand
            and old.start < new.stop
            and new.start < old.stop
        ]
        worse = not known or new.ratio > WORSE * max(known)
        if worse and not (known and new.kind == "out_of_frame"):
            harms.append(new)
    return harms


def _meets(found: Finding, finding: Finding, first: int) -> bool:
    return (
        found.hand == finding.hand
        and found.start + first < finding.stop
        and finding.start < found.stop + first
    )
