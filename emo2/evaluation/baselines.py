"""Two small networks that differ in one thing: one learnt end effectors, the other whole arms.

EMO2 claims that hands, the end effectors, are what speech can drive, and shows it by the same model
"on SMPL" (paper, Table 1). `checkpoints/baselines` holds our pair, trained alike from the same
data: `hands` and `arms`, and the ears that both were trained with.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from emo2.evaluation.performers import Model
from emo2.features.audio import AudioEncoder
from emo2.stage1.pipeline import Stage1Pipeline
from emo2.types import AudioClip, AudioFeatures

FOLDER = Path("checkpoints/baselines")
TITLES = {"hands": "small: end effectors", "arms": "small: arm chains (FK)"}
"""The pair in reports, by representation."""


@dataclass(frozen=True)
class Speaker:
    """Ears and hands without a body: what `performers.Model` asks of a pipeline."""

    encoder: AudioEncoder
    stage1: Stage1Pipeline

    @classmethod
    def load(cls, name: str, folder: Path = FOLDER) -> Speaker:
        """`name` is a representation, "hands" or "arms". Raises `MissingCheckpoint`."""
        return cls(
            AudioEncoder.from_pretrained(folder / "audio"),
            Stage1Pipeline.from_pretrained(folder / name / "gesture"),
        )

    @property
    def fps(self) -> float:
        """Frames per second."""
        return self.stage1.fps

    def hear(self, audio: AudioClip) -> AudioFeatures:
        """wav2vec 2.0 features at the motion's frame rate."""
        return self.encoder(audio, self.fps)


def baselines(style: str, folder: Path = FOLDER) -> dict[str, Model]:
    """The pair as `Performer`s, by title; none where the folder is not there, or where they have
    not learnt this style."""
    names = [name for name in TITLES if (folder / name).is_dir()]
    speakers = {TITLES[name]: Speaker.load(name, folder) for name in names}
    return {
        title: Model(speaker)
        for title, speaker in speakers.items()
        if style in speaker.stage1.styles
    }
