"""Takes, one performance of one clip each, and everything that is measured on them.

A row of the table is a performer; its figures are means over performances, a performance being all
clips with one style and one seed. Beat alignment is pooled over the clips of a performance first:
its z then stands for the seconds of speech that the report names, however many seeds were run.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from emo2.evaluation.beats import alignment
from emo2.evaluation.lags import Lags, stroke_lags
from emo2.evaluation.peers import bc_emage, bc_talkshow
from emo2.evaluation.plausibility import (
    finger_components,
    limit_rate,
    occupation,
    penetration_rate,
)
from emo2.evaluation.points import TRACKED, seen_points, speeds
from emo2.evaluation.smoothness import Seams, jerk, mean_arc_length, seams
from emo2.evaluation.sounds import DETECTORS, audio_beats
from emo2.evaluation.synchrony import MASKS, Heard, speed_minima, synchrony
from emo2.motion.beats import motion_beats
from emo2.types import AudioClip, HandMotion

MASK = MASKS[0]
"""Of the headline score."""


@dataclass(frozen=True)
class Speech:
    """A clip and what the detectors hear in it."""

    audio: AudioClip
    group: str = ""
    """Its folder: a speaker, a language."""

    @cached_property
    def beats_s(self) -> dict[str, np.ndarray]:
        """Per detector (n,) [s]."""
        return audio_beats(self.audio)

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return self.audio.duration_s


@dataclass(frozen=True)
class Take:
    """One motion, the speech it is judged by, and where its windows were joined."""

    speech: Speech
    style: str
    seed: int
    motion: HandMotion
    joins: np.ndarray = field(default_factory=lambda: np.zeros(0, int))
    """(n,) first frames of windows."""

    @cached_property
    def points(self) -> np.ndarray:
        """(T, P, 3) wrists and fingertips [m]."""
        return seen_points(self.motion)

    @cached_property
    def minima(self) -> dict[float | None, tuple[np.ndarray, ...]]:
        """Motion beats [s] per mask and point."""
        return {mask: speed_minima(self.points, self.motion.fps, mask) for mask in MASKS}

    def heard(self, detector: str, mask: float | None = MASK) -> Heard:
        """Its beats against one detector's."""
        return Heard(self.minima[mask], self.speech.beats_s[detector], self.speech.duration_s)


@dataclass(frozen=True)
class Row:
    """A performer's figures."""

    name: str
    kind: str
    """"model", "teacher", "floor", "baseline" or "real"."""
    facts: dict[str, float]
    """By the keys of `emo2.evaluation.columns`."""
    zs: tuple[float, ...] = ()
    """The headline z of every performance."""
    lags: Lags | None = None
    seams: Seams | None = None


def measure(name: str, kind: str, takes: Sequence[Take]) -> Row:
    """All figures of one performer's takes."""
    performances = list(_performances(takes))
    rows = [_performance(performance) for performance in performances]
    facts = {
        key: _mean(row.get(key, np.nan) for row in rows) for key in {k: 0 for r in rows for k in r}
    }
    lags = stroke_lags(
        [
            (motion_beats(take.motion), take.speech.beats_s["stresses"], take.speech.duration_s)
            for take in takes
        ]
    )
    joined = seams([(take.points, take.joins) for take in takes], takes[0].motion.fps)
    if lags is not None:
        facts |= {"lag": lags.median_s, "lag_iqr": lags.iqr_s, "lag_chance": lags.chance_iqr_s}
    if joined is not None:
        facts |= {
            "seam": joined.velocity,
            "seam_acceleration": joined.acceleration,
            "seam_mean": joined.mean_ratio,
            "seam_literal": joined.literal,
            "seam_placebo": joined.placebo,
        }
    parts = finger_components([take.motion for take in takes])
    facts |= {f"fingers_{n}": float(share) for n, share in enumerate(parts, start=1)}
    return Row(name, kind, facts, tuple(row["z"] for row in rows), lags, joined)


def motion_facts(motions: Sequence[HandMotion]) -> dict[str, float]:
    """What can be said of motions without their speech."""
    rows = []
    for motion in motions:
        points = seen_points(motion)
        wrists = points[:, :: len(TRACKED)]
        speed = speeds(wrists, motion.fps)
        doing = occupation(wrists, motion.fps)
        minima = speed_minima(points, motion.fps, MASK)
        rows.append(
            {
                "beats": np.mean([len(beats) for beats in minima]) / motion.duration_s,
                "strokes": len(motion_beats(motion)) / motion.duration_s,
                "speed": speed.mean(),
                "speed_p90": np.percentile(speed, 90),
                "jerk": jerk(wrists, motion.fps),
                "arc": mean_arc_length(speed, motion.fps),
                "rest": doing.rest,
                "hold": doing.hold,
                "active": doing.active,
                "limits": limit_rate(motion),
                "penetration": penetration_rate(motion),
            }
        )
    return {key: _mean(row[key] for row in rows) for key in rows[0]}


def _performance(takes: Sequence[Take]) -> dict[str, float]:
    facts = motion_facts([take.motion for take in takes])
    for detector in DETECTORS:
        clips = [take.heard(detector) for take in takes]
        found = synchrony(clips)
        tag = "" if detector == DETECTORS[0] else f"_{detector}"
        facts |= {f"z{tag}": found.z, f"score{tag}": found.score, f"chance{tag}": found.chance}
    for mask in MASKS[1:]:
        clips = [take.heard(DETECTORS[0], mask) for take in takes]
        facts["z_all" if mask is None else f"z_mask_{mask:g}"] = synchrony(clips).z
    for name in ("onsets", "stresses"):
        found = [
            alignment(motion_beats(t.motion), t.speech.beats_s[name], t.speech.duration_s)
            for t in takes
        ]
        facts[f"margin_{name}"] = _mean(a.margin for a in found)
    onsets = [(take.motion, take.speech.beats_s["onsets"]) for take in takes]
    facts["bc_talkshow"] = _mean(bc_talkshow(*pair) for pair in onsets)
    facts["bc_emage"] = _mean(bc_emage(*pair) for pair in onsets)
    return facts


def _performances(takes: Sequence[Take]) -> Iterable[list[Take]]:
    for key in dict.fromkeys((take.style, take.seed) for take in takes):
        yield [take for take in takes if (take.style, take.seed) == key]


def _mean(values: Iterable[float]) -> float:
    values = [value for value in values if np.isfinite(value)]
    return float(np.mean(values)) if values else float("nan")
