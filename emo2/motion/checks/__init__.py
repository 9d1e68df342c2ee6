"""Checks of a motion: what no person would do, what the camera would not see, and one edit against
each.

    findings = check(motion, camera=portrait.camera)
    for line in summary(findings):
        print(line)
    better = fix_all(motion, findings, camera=portrait.camera)

Ten minutes are checked in seconds and in bounded memory.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from emo2.motion.checks.clip import Clip, Scene
from emo2.motion.checks.detect import detect
from emo2.motion.checks.finding import KINDS, SEVERITIES, Finding
from emo2.motion.checks.fixes import in_order, with_fixes
from emo2.motion.edit.operations import apply
from emo2.types import Camera, HandMotion, Portrait

if TYPE_CHECKING:
    from emo2.hands.model import HandModel

__all__ = ["KINDS", "Finding", "check", "facts", "fix_all", "fix_operations", "summary"]


def check(
    motion: HandMotion,
    hand_model: HandModel | None = None,
    camera: Camera | None = None,
    *,
    portrait: Portrait | None = None,
    fixes: bool = True,
) -> tuple[Finding, ...]:
    """What is wrong with `motion`, errors first, then by time.

    `hand_model` gives the hands' true proportions, else they are the free hand's. With a `camera`
    (a `portrait` brings its own, and its mouth) hands are also checked against the picture's edges
    and the face. Without `fixes` no edits are looked for, which is quicker.
    """
    scene = _scene(hand_model, camera, portrait)
    clip = Clip.of(motion, scene)
    findings = detect(clip)
    return with_fixes(findings, motion, clip) if fixes else findings


def fix_operations(findings: Sequence[Finding]) -> list[dict[str, Any]]:
    """The findings' fixes as a list of edits, in the order in which they work best."""
    return in_order(findings)


def fix_all(
    motion: HandMotion,
    findings: Sequence[Finding],
    hand_model: HandModel | None = None,
    camera: Camera | None = None,
    *,
    portrait: Portrait | None = None,
) -> HandMotion:
    """The motion with all fixes applied, checked once more, and what then remains fixed too.

    Pass what was passed to `check`.
    """
    fixed = apply(motion, in_order(findings))
    left = check(fixed, hand_model, camera, portrait=portrait)
    return apply(fixed, in_order(left))


def summary(findings: Sequence[Finding]) -> list[str]:
    """The findings for people, one a line, after a line that counts them."""
    if not findings:
        return ["Nothing wrong was found."]
    counts = Counter(finding.severity for finding in findings)
    counted = " and ".join(
        f"{counts[severity]} {severity}{'s' * (counts[severity] != 1)}"
        for severity in SEVERITIES
        if counts[severity]
    )
    mended = sum(finding.fix is not None for finding in findings)
    lines = [f"{counted}; {mended} can be fixed with one edit each."]
    for finding in findings:
        remedy = (
            f" Fix: {finding.fix['op']}, {finding.remedy}."
            if finding.fix
            else (f" No fix: {finding.remedy}." if finding.remedy else "")
        )
        lines.append(f"{finding.severity}: {finding.message}{remedy}")
    return lines


def facts(findings: Sequence[Finding]) -> dict[str, Any]:
    """The findings as JSON values, with their number per severity and kind."""
    return {
        "errors": sum(f.severity == "error" for f in findings),
        "warnings": sum(f.severity == "warning" for f in findings),
        "kinds": dict(Counter(f.kind for f in findings)),
        "findings": [f.facts() for f in findings],
    }


def _scene(hand_model: HandModel | None, camera: Camera | None, portrait: Portrait | None) -> Scene:
    return Scene(hand_model, camera or (portrait.camera if portrait else None), portrait)
