"""The rows of a report: who performs, in which styles, and the takes they make."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from emo2.evaluation.baselines import baselines
from emo2.evaluation.performers import (
    Model,
    OtherSpeech,
    Performer,
    Shuffled,
    SmoothNoise,
    Teacher,
    Trembling,
    frozen,
)
from emo2.evaluation.takes import Speech, Take


@dataclass(frozen=True)
class Part:
    """One row to be."""

    name: str
    kind: str
    """See `emo2.evaluation.takes.Row`."""
    performer: Performer
    style: str
    seeds: int
    joins: Callable[[int], list[int]] = lambda num_frames: []
    """Where windows begin in a motion so long."""

    def takes(self, speech: Sequence[Speech]) -> Iterator[Take]:
        """One take per clip and seed."""
        for seed in range(self.seeds):
            for clip in speech:
                motion = self.performer(clip.audio, self.style, seed)
                joins = np.array(self.joins(motion.num_frames), int)
                yield Take(clip, self.style, seed, motion, joins)


def cast(pipeline, speech: Sequence[Speech], seeds: int, corpus: Path | None) -> list[Part]:
    """All rows that this machine can make: the model in every style, its default style first, then
    what it has to beat or must not resemble."""
    model, teacher = Model(pipeline), Teacher(pipeline.fps)
    clips = [clip.audio for clip in speech]
    default, styles = default_style(pipeline), ordered_styles(pipeline)
    parts = [Part(style, "model", model, style, seeds, model.joins) for style in styles]
    parts += [Part(f"teacher, {style}", "teacher", teacher, style, seeds) for style in styles]
    deaf = {"shuffled audio": Shuffled(model), "other speech": OtherSpeech(model, clips)}
    parts += [Part(name, "deaf", made, default, seeds, model.joins) for name, made in deaf.items()]
    floors = {
        "smooth noise": SmoothNoise(teacher),
        "trembling": Trembling(),
        "frozen": frozen,
    }
    parts += [Part(name, "floor", made, default, 1 if made is frozen else seeds)
              for name, made in floors.items()]  # fmt: skip
    if corpus is not None:
        from emo2.evaluation.retrieval import Retrieval

        parts.append(Part("retrieval", "baseline", Retrieval(corpus), default, seeds))
    for title, small in baselines(default).items():
        parts.append(Part(title, "baseline", small, default, seeds, small.joins))
    return parts


def default_style(pipeline) -> str:
    """The style that is taken when none is asked for."""
    return pipeline.stage1.config.default_style


def ordered_styles(pipeline) -> tuple[str, ...]:
    """All styles, the default first."""
    default = default_style(pipeline)
    return (default, *(style for style in pipeline.stage1.styles if style != default))
