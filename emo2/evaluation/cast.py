"""The rows of a report: who performs, in which styles, and the takes they make."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

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

CHAINS = Path("checkpoints/baselines/chains")
"""The forward-kinematics variant, a folder like `checkpoints/demo/gesture`."""


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
    if (CHAINS / "model_index.json").is_file():
        chains = Model(_Swapped(pipeline, CHAINS))
        parts.append(Part("arm chains (FK)", "baseline", chains, default, seeds, chains.joins))
    return parts


def default_style(pipeline) -> str:
    """The style that is taken when none is asked for."""
    return pipeline.stage1.config.default_style


def ordered_styles(pipeline) -> tuple[str, ...]:
    """All styles, the default first."""
    default = default_style(pipeline)
    return (default, *(style for style in pipeline.stage1.styles if style != default))


class _Swapped:
    """A pipeline with another Stage 1 and the same ears."""

    def __init__(self, pipeline, folder: Path) -> None:
        from emo2.stage1.pipeline import Stage1Pipeline

        self.hear, self.fps = pipeline.hear, pipeline.fps
        self.stage1 = Stage1Pipeline.from_pretrained(folder)
