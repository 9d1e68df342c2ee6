"""Every fault of a motion, without fixes."""

from __future__ import annotations

from emo2.motion.checks import moving, picture, posing, touching, values
from emo2.motion.checks.clip import Clip
from emo2.motion.checks.finding import SEVERITIES, Finding

DETECTORS = (values, posing, touching, picture, moving)


def detect(clip: Clip) -> tuple[Finding, ...]:
    """Findings, errors first, each kind of severity by time. One fault told by several channels at
    once (a cut turns the wrist and moves the hand) is told once."""
    found = [
        finding
        for detector in DETECTORS
        for signal in detector.signals(clip)
        for finding in signal.findings(clip.fps)
    ]
    kept: list[Finding] = []
    for finding in sorted(found, key=lambda f: (SEVERITIES.index(f.severity), -f.ratio)):
        if not any(_same(finding, other) for other in kept):
            kept.append(finding)
    return tuple(sorted(kept, key=lambda f: (SEVERITIES.index(f.severity), f.start, f.kind)))


def _same(a: Finding, b: Finding) -> bool:
    return a.kind == b.kind and a.hand == b.hand and a.start < b.stop and b.start < a.stop
