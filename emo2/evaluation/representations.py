"""Can speech drive hands better than whole arms? EMO2's claim, tested on the pair of `baselines`.

    python -m emo2.evaluation.representations --speech DIR [--corpus DIR] [--seeds N]
                                             [--styles NAME ...]

Two small networks, equal but for what their channels mean, perform the same speech in the same
styles with the same seeds. Beside each stands the same network made deaf, by shuffled audio, and
around them the teacher of both and the floors. With a corpus follows what is known before anything
is drawn: the first guess out of pure noise, on held-out clips, with the right speech, with another
clip's, and with none.
"""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from emo2.evaluation.baselines import FOLDER, TITLES, Speaker
from emo2.evaluation.cast import Part
from emo2.evaluation.columns import TABLE
from emo2.evaluation.crowds import Crowds
from emo2.evaluation.motion import table_lines
from emo2.evaluation.performers import Model, Shuffled, SmoothNoise, Teacher, Trembling
from emo2.evaluation.sounds import find_speech
from emo2.evaluation.takes import Row, Speech, measure
from emo2.evaluation.variety import Variety
from emo2.hands.model import HandModel
from emo2.motion.rotations import angle_between
from emo2.stage1.representation import REPRESENTATIONS
from emo2.training.batches import draw
from emo2.training.config import GestureConfig, MotionSize
from emo2.training.losses import hear, predict
from emo2.training.mixture import Mixture

STYLES = ("talk-calm", "talk-lively")
CLIP_S, VARIANT_S = 30.0, 12.0
NUM_BATCHES, BATCH = 8, 16


MEASURES = {"wrists": "cm", "their velocity": "cm/s", "hands' turn": "degrees"}
"""How far a guess lies from the teacher's motion: means over a window's frames and both hands."""


@torch.no_grad()
def guesses(speaker: Speaker, mixture: Mixture) -> dict[str, np.ndarray]:
    """The errors (n, 3) of `MEASURES` on n held-out windows, the same for every network; by what is
    heard: "right", "wrong" or "none"."""
    dit, scheduler = speaker.stage1.motion_dit, speaker.stage1.scheduler
    size = {field.name: dit.config[field.name] for field in dataclasses.fields(MotionSize)}
    config = GestureConfig(
        motion=MotionSize(**size),
        representation=dit.config.representation,
        batch_audio=BATCH,
        batch_motions=1,
    )
    last = scheduler.config.num_train_timesteps - 1
    rows: dict[str, list] = {"right": [], "wrong": [], "none": []}
    for number in range(NUM_BATCHES):
        batch = draw(mixture, speaker.encoder, config, number, validation=True)
        hidden, _ = hear(speaker.encoder.model, batch, config.fps)
        clean = dit.normalise(batch.frames)
        context = clean[:, : size["num_context_frames"]]
        generator = torch.Generator().manual_seed(number)
        noise = torch.randn(clean[:, context.shape[1] :].shape, generator=generator)
        timestep = torch.full((len(clean),), last)
        deaf = dataclasses.replace(batch, deaf=torch.ones_like(batch.deaf))
        for heard, told, row in (
            (hidden, batch, "right"),
            (hidden.roll(1, dims=0), batch, "wrong"),
            (hidden, deaf, "none"),
        ):
            guess = predict(dit, heard, told, noise, timestep, context)
            rows[row] += [
                _apart(speaker, dit.denormalise(one)[context.shape[1] :], true[context.shape[1] :])
                for one, true in zip(guess, batch.frames, strict=True)
            ]
    return {row: np.array(values) for row, values in rows.items()}


def _apart(speaker: Speaker, told: torch.Tensor, true: torch.Tensor) -> tuple[float, float, float]:
    """Of two motions (N, C)."""
    written = speaker.stage1.motion_dit.representation
    (turn, place), (true_turn, true_place) = (
        written.from_channels(channels.numpy()) for channels in (told, true)
    )
    velocity = np.diff(place - true_place, axis=0) * speaker.fps
    return (
        100 * float(np.linalg.norm(place - true_place, axis=-1).mean()),
        100 * float(np.linalg.norm(velocity, axis=-1).mean()),
        float(np.rad2deg(angle_between(turn[:, :, 0], true_turn[:, :, 0])).mean()),
    )


def rows_of(
    speakers: dict[str, Speaker],
    speech: Sequence[Speech],
    style: str,
    seeds: int,
    hand_model: HandModel,
) -> list[Row]:
    """The pair, both deaf, their teacher and the floors, in one style."""
    teacher = Teacher()
    parts = [Part("teacher", "teacher", teacher, style, seeds)]
    for name, speaker in speakers.items():
        model = Model(speaker)
        deaf = Shuffled(model)
        parts.append(Part(TITLES[name], "baseline", model, style, seeds, model.joins))
        parts.append(Part(f"{TITLES[name]}, shuffled", "deaf", deaf, style, seeds, model.joins))
    parts.append(Part("smooth noise", "floor", SmoothNoise(teacher), style, seeds))
    parts.append(Part("trembling", "floor", Trembling(), style, seeds))
    made = [(part, list(part.takes(speech))) for part in parts]
    crowds = Crowds(hand_model, [take.motion for take in made[0][1]], ())
    short = speech[0].audio
    short = dataclasses.replace(
        short, samples=short.samples[: round(VARIANT_S * short.sample_rate_hz)]
    )
    usual = Variety.of(teacher, short, style)
    rows = []
    for part, takes in made:
        row = measure(f"{part.name}, {style}", part.kind, takes)
        facts = row.facts | crowds.facts([take.motion for take in takes])
        if part.kind != "deaf":
            facts |= Variety.of(part.performer, short, style).facts(usual)
        rows.append(dataclasses.replace(row, facts=facts))
    return rows


def guess_lines(found: dict[str, dict[str, np.ndarray]]) -> list[str]:
    """Means with standard errors over windows: of every network by what it hears, what the right
    speech takes off its errors, and how far the networks differ, window by window."""
    rows = {}
    for name, errors in found.items():
        rows |= {f"{name}, {heard} speech": error for heard, error in errors.items()}
        rows[f"{name}, wrong less right"] = errors["wrong"] - errors["right"]
    first, *others = found
    for name in others:
        rows[f"{name} less {first}, right"] = found[name]["right"] - found[first]["right"]
    lines = []
    for title, errors in rows.items():
        spread = errors.std(axis=0, ddof=1) / np.sqrt(len(errors))
        figures = [
            f"{name} {mean:.2f} +- {error:.2f} {unit}"
            for (name, unit), mean, error in zip(
                MEASURES.items(), errors.mean(axis=0), spread, strict=True
            )
        ]
        lines.append(f"{title:24s} " + ", ".join(figures))
    return lines


def main(argv: list[str] | None = None) -> int:
    """Print the tables."""
    from emo2.pipeline import DEMO_CHECKPOINT

    parser = argparse.ArgumentParser(
        prog="emo2.evaluation.representations", description=__doc__.split("\n")[0]
    )
    parser.add_argument("--speech", type=Path, required=True, help="a folder of recordings")
    parser.add_argument("--corpus", type=Path, help="a corpus folder: adds the first guesses")
    parser.add_argument("--baselines", type=Path, default=FOLDER, help="the pair of checkpoints")
    parser.add_argument("--styles", nargs="+", default=list(STYLES), help=" ".join(STYLES))
    parser.add_argument("--seeds", type=int, default=4, help="performances per row (4)")
    options = parser.parse_args(argv)
    speakers = {name: Speaker.load(name, options.baselines) for name in REPRESENTATIONS}
    clips = [clip for group in find_speech(options.speech, CLIP_S).values() for clip in group]
    speech = [Speech(clip) for clip in clips]
    hand_model = HandModel.from_pretrained(DEMO_CHECKPOINT / "hands")
    for style in options.styles:
        rows = rows_of(speakers, speech, style, options.seeds, hand_model)
        for group in TABLE[:3]:
            print(*table_lines(group, tuple(rows)), "", sep="\n")
        for row in rows:
            print(row.name, "z of every performance:", " ".join(f"{z:.2f}" for z in row.zs))
        print()
    if options.corpus:
        mixture = Mixture.load([options.corpus])
        found = {name: guesses(speaker, mixture) for name, speaker in speakers.items()}
        print("First guess", *guess_lines(found), sep="\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
