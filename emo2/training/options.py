"""The command line of `python -m emo2 train gesture`."""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path

from emo2.errors import InputError
from emo2.stage1.representation import REPRESENTATIONS
from emo2.training.config import SIZES, GestureConfig
from emo2.training.mixture import LABELS
from emo2.training.run_folder import open_tensorboard

NUMBERS = {
    "steps": "optimiser steps",
    "joint_steps": "steps during which the audio encoder learns, too",
    "distil_steps": "of these, the first: the encoder alone, from spectra",
    "batch_audio": "stretches of speech a batch while the encoder learns",
    "batch_motions": "motions to each of them",
    "batch_frozen": "stretches of speech a batch afterwards, one motion each",
    "accumulate": "batches a step and process",
    "learning_rate": "its highest value",
    "warmup_steps": "steps until it is reached",
    "cooldown": "share of the steps, at the end, over which it falls to zero",
    "ema_decay": "of the averaged weights",
    "velocity_weight": "of the velocity loss",
    "geodesic_weight": "of the squared angles of the joints [rad^2]",
    "min_snr_gamma": "min-SNR weighting; left out, all noise counts alike",
    "min_snr_floor": "the least that SNR counts as in it",
    "seed": "of weights, data and noise",
    "workers": "processes that draw batches ahead",
    "log_every": "steps between rows of log.csv",
    "monitor_every": "steps between looks at held-out speech",
    "save_minutes": "between saves of the state",
}
"""Settings that are one number, with their help."""


def parse(argv: list[str] | None = None) -> tuple[argparse.Namespace, GestureConfig]:
    """Where from and where to, and all settings. Raises `InputError`."""
    options = build_parser().parse_args(argv)
    if options.tensorboard:
        open_tensorboard(options.out / "tensorboard").close()
    if not options.resume and (options.out / "state.pt").exists():
        rule, remedy = "must not hold a run already", "Add --resume, or name another folder."
        raise InputError("--out", rule, options.out, remedy)
    given = {
        name: getattr(options, name) for name in (*NUMBERS, "audio_checkpoint", "mixed_precision")
    }
    changes = {name: value for name, value in given.items() if value is not None}
    changes |= {"label": options.label, "representation": options.representation}
    if options.audio_checkpoint == "none":
        changes["audio_checkpoint"] = None
    config = dataclasses.replace(SIZES[options.size], **changes)
    for name in ("steps", "batch_audio", "batch_motions", "batch_frozen", "accumulate"):
        if getattr(config, name) < 1:
            raise InputError(f"--{_flag(name)}", "must be at least 1", getattr(config, name), "")
    if config.audio_checkpoint is None and config.joint_steps < 1:
        rule, remedy = (
            "must be at least 1 for an encoder to learn",
            "Or name an --audio-checkpoint.",
        )
        raise InputError("--joint-steps", rule, config.joint_steps, remedy)
    return options, config


def build_parser() -> argparse.ArgumentParser:
    """All options; a number that is left out is its size's own."""
    parser = argparse.ArgumentParser(
        prog="emo2 train gesture",
        usage="%(prog)s --corpus DIR [DIR ...] --out DIR [options]",
        description="Train Stage 1, speech to hands, on one or several corpora.",
    )
    parser.add_argument(
        "--corpus",
        type=Path,
        nargs="+",
        required=True,
        metavar="DIR",
        help="folders made by `emo2 corpus gesture` or `emo2 corpus recorded`",
    )
    parser.add_argument(
        "--weights",
        type=float,
        nargs="+",
        metavar="W",
        help="share of each corpus (default: its share of the clips)",
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="run folder")
    parser.add_argument("--resume", action="store_true", help="go on from the run folder's state")
    parser.add_argument(
        "--size",
        choices=tuple(SIZES),
        default="demo",
        help="demo runs on a CPU, full is the paper's 24 x 512 (default: demo)",
    )
    parser.add_argument(
        "--audio-checkpoint",
        metavar="NAME",
        help="a wav2vec 2.0 to hear through, frozen: a folder or a name on the hub; none: train a "
        f"small one (default: none; of full, {SIZES['full'].audio_checkpoint})",
    )
    parser.add_argument(
        "--representation",
        choices=tuple(REPRESENTATIONS),
        default="hands",
        help="what is learnt: hands (end effectors) or whole arms, shoulder to wrist",
    )
    parser.add_argument(
        "--label",
        choices=LABELS,
        default="style",
        help="what style labels are called after (default: style)",
    )
    parser.add_argument(
        "--mixed-precision", choices=("no", "bf16"), help="default: bf16 on a GPU, else no"
    )
    parser.add_argument("--tensorboard", action="store_true", help="log to TensorBoard, too")
    numbers = parser.add_argument_group("numbers (demo / full)")
    for name, help in NUMBERS.items():
        both = [getattr(SIZES[size], name) for size in ("demo", "full")]
        said = " / ".join("none" if v is None else f"{v:g}" for v in dict.fromkeys(both))
        kind = type(both[0]) if both[0] is not None else float
        numbers.add_argument(f"--{_flag(name)}", type=kind, metavar="N", help=f"{help} ({said})")
    return parser


def _flag(name: str) -> str:
    return name.replace("_", "-")
