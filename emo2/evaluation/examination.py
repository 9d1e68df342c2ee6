"""One run over everything that is measured: all takes are made, and all findings returned."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from emo2.evaluation import criteria
from emo2.evaluation.cast import Part, cast, ordered_styles
from emo2.evaluation.comparison import correct_keypoints
from emo2.evaluation.control import SpeedOrder, speed_order
from emo2.evaluation.criteria import Criterion
from emo2.evaluation.crowds import Crowds
from emo2.evaluation.performers import Model, Teacher
from emo2.evaluation.plausibility import flexion_percentiles
from emo2.evaluation.points import Bones
from emo2.evaluation.reference import Reference
from emo2.evaluation.situations import shout, silence
from emo2.evaluation.smoothness import jumps_around
from emo2.evaluation.sounds import DETECTORS
from emo2.evaluation.spans import pinned, regenerated
from emo2.evaluation.styles import Recognition, recognise
from emo2.evaluation.synchrony import synchrony
from emo2.evaluation.takes import Row, Speech, Take, measure, motion_facts
from emo2.evaluation.variety import NUM_VARIANTS, Variety
from emo2.types import AudioClip

SHORT_S = 12.0
NUM_SHORT = 4
"""How long and how many the clips are that are gestured to many times."""
REACH_FRAMES = 24
OTHER_SEED = 1000
"""Of the teacher's takes that PCK is told against where no real motion is given."""


@dataclass(frozen=True)
class Examination:
    """All findings."""

    criteria: tuple[Criterion, ...]
    rows: tuple[Row, ...]
    seconds: dict[str, float]
    """Speech per group."""
    orders: dict[str, SpeedOrder]
    """Per style, the default first."""
    recognition: Recognition | None
    taught: Recognition | None
    """The same classifier on the teacher's takes."""
    around_joins: np.ndarray | None
    """(49,) mean velocity jump 24 frames around window joins over the mean of all frames."""
    flexion: dict[str, np.ndarray]
    """(4, 3, 3) degrees per performer: see `flexion_percentiles`."""
    seeds: int


class Examiner:
    """Measures a pipeline on speech.

    Args:
        pipeline: an `emo2.pipeline.EMO2Pipeline`.
        groups: clips per folder of speech.
        corpus: a corpus folder, for the retrieval baseline.
        references: real motion; PCK is against those whose speech is known.
        seeds: performances per row.
        quick: the default style alone, for a first look.
    """

    def __init__(
        self,
        pipeline,
        groups: dict[str, list[AudioClip]],
        *,
        corpus: Path | None = None,
        references: Sequence[Reference] = (),
        seeds: int = 2,
        quick: bool = False,
    ) -> None:
        self._pipeline, self._references, self._seeds = pipeline, references, seeds
        self._speech = [Speech(clip, group) for group, clips in groups.items() for clip in clips]
        self._styles = ordered_styles(pipeline)[: 1 if quick else None]
        self._model, self._teacher = Model(pipeline), Teacher(pipeline.fps)
        parts = cast(pipeline, self._speech, seeds, corpus)
        self._parts = [part for part in parts if part.style in self._styles]
        self._short = short_clips(self._speech)

    def __call__(self) -> Examination:
        """Make and measure everything; minutes."""
        takes = self._perform()
        ours = [take for part, made in takes for take in made if part.kind == "model"]
        theirs = [take for part, made in takes for take in made if part.kind == "teacher"]
        clip, bar = self._short[0], tqdm(self._styles, desc="variants", leave=False)
        variants = {
            style: (
                Variety.of(self._model, clip, style),
                Variety.of(self._teacher, clip, style),
            )
            for style in bar
        }
        rows = self._rows(takes, variants)
        orders = self._orders()
        recognition = recognise(ours)
        return Examination(
            criteria=tuple(self._criteria(rows, ours, orders, recognition, variants)),
            rows=tuple(rows),
            seconds=_seconds(self._speech),
            orders=orders,
            recognition=recognition,
            taught=recognise(theirs),
            around_joins=jumps_around(
                [(take.points, take.joins) for take in ours], self._pipeline.fps, REACH_FRAMES
            ),
            flexion={
                name: flexion_percentiles([take.motion for take in made])
                for name, made in (("model", ours), ("teacher", theirs))
            },
            seeds=self._seeds,
        )

    # 1. Takes and rows

    def _perform(self) -> list[tuple[Part, list[Take]]]:
        made = []
        total = sum(part.seeds for part in self._parts) * len(self._speech)
        with tqdm(total=total, unit="take") as bar:
            for part in self._parts:
                bar.set_description(part.name)
                takes = []
                for take in part.takes(self._speech):
                    takes.append(take)
                    bar.update()
                made.append((part, takes))
        return made

    def _rows(self, takes, variants) -> list[Row]:
        real = [reference.motion for reference in self._references]
        taught = {
            part.style: [take.motion for take in made]
            for part, made in takes
            if part.kind == "teacher"
        }
        crowds = {style: Crowds(Bones(), motions, real) for style, motions in taught.items()}
        rows = []
        for part, made in tqdm(takes, desc="measures", unit="row", leave=False):
            row = measure(part.name, part.kind, made)
            facts = crowds[part.style].facts([take.motion for take in made])
            facts["pck"] = self._pck(part, made)
            ours, theirs = variants[part.style]
            if part.kind in ("model", "teacher"):
                facts |= (ours if part.kind == "model" else theirs).facts(theirs)
            rows.append(replace(row, facts=row.facts | facts))
        return rows + self._real_rows()

    def _real_rows(self) -> list[Row]:
        """Real speakers: their motion, and their timing where they are heard."""
        if not self._references:
            return []
        facts = motion_facts([reference.motion for reference in self._references])
        heard = [
            Take(Speech(reference.audio), "real", 0, reference.motion)
            for reference in self._references
            if reference.audio is not None
        ]
        if not heard:
            return [Row("real speakers", "real", facts)]
        row = measure("real speakers", "real", heard)
        return [replace(row, facts=row.facts | facts)]

    def _pck(self, part: Part, made: Sequence[Take]) -> float:
        """Against real motion to the same speech where there is some, else against a take of the
        teacher's that it does not know."""
        pairs = [(r.audio, r.motion) for r in self._references if r.audio is not None]
        if pairs:
            scores = [
                correct_keypoints(part.performer(audio, part.style, 0), motion)
                for audio, motion in pairs
            ]
        else:
            scores = [
                correct_keypoints(
                    take.motion,
                    self._teacher(take.speech.audio, take.style, OTHER_SEED + take.seed),
                )
                for take in made
            ]
        return float(np.mean(scores))

    # 2. Controls and criteria

    def _orders(self) -> dict[str, SpeedOrder]:
        """The default style over all short clips, which is judged; the others over one."""
        bar = tqdm(self._styles, desc="speed control", unit="style", leave=False)
        clips = [self._short, *[self._short[:1]] * (len(self._styles) - 1)]
        return {
            style: speed_order(self._model, heard, style)
            for style, heard in zip(bar, clips, strict=True)
        }

    def _trials(self) -> dict[str, Any]:
        """What is tried once, with the default style."""
        model, short, style = self._model, self._short, self._styles[0]
        trials = {
            "spans": partial(regenerated, model, short, style),
            "pins": partial(pinned, model, short, style),
            "silence": partial(silence, model, style),
            "shout": partial(shout, model, short, style),
            "taught shout": partial(shout, self._teacher, short, style),
        }
        bar = tqdm(trials.items(), desc="trials", leave=False)
        return {name: trial() for name, trial in bar}

    def _criteria(self, rows, ours, orders, recognition, variants) -> list[Criterion]:
        kinds = {row.kind: [r for r in rows if r.kind == row.kind] for row in rows}
        model, teacher = kinds["model"], kinds["teacher"]
        real = kinds["real"][0].facts["beats"] if self._references else None
        speech_s = sum(_seconds(self._speech).values())
        lines = criteria.timing(model[0], kinds["deaf"], speech_s, real)
        lines += criteria.control(orders, recognition)
        lines += criteria.quality(model[0], model, teacher)
        found = self._trials()
        lines += criteria.editing(found["spans"], found["pins"])
        pairs = {s: (a.diversity, b.diversity) for s, (a, b) in variants.items()}
        lines.append(criteria.variety(pairs, NUM_VARIANTS))
        lines += criteria.situations(found["silence"], found["shout"], found["taught shout"])
        return lines + criteria.groups(_per_group(ours))


def short_clips(speech: Sequence[Speech]) -> list[AudioClip]:
    """Four clips of 12 s, out of different recordings as far as they go."""
    starts = [
        (clip, round(start * SHORT_S * clip.audio.sample_rate_hz))
        for start in range(NUM_SHORT)
        for clip in speech
        if (start + 1) * SHORT_S <= clip.duration_s
    ]
    if not starts:  # short recordings are taken whole
        return [clip.audio for clip in speech[:NUM_SHORT]]
    size = round(SHORT_S * speech[0].audio.sample_rate_hz)
    return [
        AudioClip(clip.audio.samples[start : start + size]) for clip, start in starts[:NUM_SHORT]
    ]


def _seconds(speech: Sequence[Speech]) -> dict[str, float]:
    return {
        group: sum(clip.duration_s for clip in speech if clip.group == group)
        for group in dict.fromkeys(clip.group for clip in speech)
    }


def _per_group(takes: Sequence[Take]) -> dict[str, tuple[float, float]]:
    """z and seconds of motion per folder of speech, where there is more than one."""
    groups = {take.speech.group for take in takes}
    if len(groups) < 2:
        return {}
    found = {}
    for group in sorted(groups):
        chosen = [take for take in takes if take.speech.group == group]
        z = synchrony([take.heard(DETECTORS[0]) for take in chosen]).z
        found[group or "the folder itself"] = z, sum(take.speech.duration_s for take in chosen)
    return found
