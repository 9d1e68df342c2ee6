"""The command `gesture`: hands from speech, all of them or what is to be made anew of a motion."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np

from emo2.cli.inputs import open_studio, read_any_motion
from emo2.cli.progress import Bars
from emo2.errors import InputError
from emo2.types import AudioClip, HandMotion

PARTS = ("span", "lock", "pin", "go_on")
"""What may be said of a --motion that is given: exactly one of them."""


def gesture(arguments: argparse.Namespace, bars: Bars) -> dict[str, Any]:
    """A recording to two hands in motion; or a part of a motion made anew.

    With --motion, say which part: --span re-generates a stretch, --lock one hand's partner, --pin
    all but some poses, --continue what comes after it. The rest stays as it is, to the bit.
    """
    from emo2.media import load_audio
    from emo2.motion.formats import save_npz
    from emo2.motion.hashing import motion_hash

    with bars.stage("read"):
        studio, audio = open_studio(arguments), load_audio(arguments.audio)
        keep, notes = _keep(arguments, studio, audio)
    count = arguments.variants or 1
    with bars.stage("gesture"):
        motions = studio.variants(
            audio, count, keep=keep, on_step=bars, **gesture_options(arguments)
        )
    outs = variant_paths(arguments)
    for motion, out in zip(motions, outs, strict=True):
        save_npz(motion, out)
    made = motions[0].meta
    if keep is not None and keep.free.any():
        made = made["edits"][-1]["generated"]
    facts = {
        "frames": motions[0].num_frames,
        "fps": motions[0].fps,
        "duration_s": round(audio.duration_s, 4),
        "motion": motion_hash(motions[0]),
        "style": made.get("style"),
        "speed": made.get("speed"),
        "notes": notes,
    }
    if keep is not None:
        facts["spans"] = keep.record()["spans"]
    if arguments.variants:
        seeds = range(arguments.seed, arguments.seed + count)
        facts["variants"] = [
            {"seed": seed, "out": out, "motion": motion_hash(motion)}
            for seed, out, motion in zip(seeds, outs, motions, strict=True)
        ]
        facts["lines"] = [str(out) for out in outs]
        arguments.out = None
    return facts


def gesture_options(arguments: argparse.Namespace) -> dict[str, Any]:
    """Arguments of `EMO2Pipeline.gesture`."""
    return {
        "style": arguments.style,
        "speed": arguments.speed,
        "seed": arguments.seed,
        "guidance_scale": arguments.guidance,
        "style_guidance_scale": arguments.style_guidance,
        "num_inference_steps": arguments.steps,
    }


def variant_paths(arguments: argparse.Namespace) -> list[Path]:
    """--out; with --variants one file a seed beside it: hands.npz -> hands-8.npz, hands-9.npz."""
    out, seeds = arguments.out, range(arguments.seed, arguments.seed + (arguments.variants or 0))
    return [out.with_name(f"{out.stem}-{seed}{out.suffix}") for seed in seeds] or [out]


def settle(arguments: argparse.Namespace) -> None:
    """Refuse arguments that do not go together."""
    parts = [name for name in PARTS if getattr(arguments, name) not in (None, False)]
    if arguments.motion is not None and len(parts) != 1:
        rule = "needs one of --span, --lock, --pin and --continue: which part is made anew"
        got = " and ".join("--continue" if p == "go_on" else f"--{p}" for p in parts) or "none"
        raise InputError("--motion", rule, got, "Say: --span 2.0:4.5")
    if arguments.motion is None and parts:
        option = "--continue" if parts[0] == "go_on" else f"--{parts[0]}"
        raise InputError(option, "is about a motion", "no --motion", "Add --motion hands.npz.")
    if arguments.hands is not None and parts[:1] not in (["span"], ["pin"]):
        raise InputError("--hands", "is for --span and --pin", arguments.hands, "Leave it out.")
    if arguments.variants is not None:
        if not 1 <= arguments.variants <= 32:
            raise InputError("--variants", "must lie in 1..32", arguments.variants, "Try 4.")
        for path in variant_paths(arguments):
            if arguments.motion is not None and path.resolve() == arguments.motion.resolve():
                remedy = "Write to another name: the input stays as it is."
                raise InputError("--out", "must not be the input of --motion", path, remedy)


def _keep(arguments: argparse.Namespace, studio, audio: AudioClip):
    """What is given (None: nothing), and what was lost in reading it."""
    from emo2.media import frame_count
    from emo2.stage1.keeping import Keep
    from emo2.stage1.pins import read_pins

    num_frames, fps, keep, notes = frame_count(audio.duration_s, studio.fps), studio.fps, None, []
    if arguments.motion is not None:
        motion, notes = read_any_motion(arguments, studio, fps=fps)
        hands = (arguments.hands,) if arguments.hands else ("left", "right")
        if arguments.go_on:
            keep = Keep.beginning(motion, num_frames)
        else:
            _same_length(motion, num_frames)
        if arguments.span is not None:
            keep = _spans(motion, arguments.span, hands)
        elif arguments.lock is not None:
            keep = Keep.hand(motion, arguments.lock)
        elif arguments.pin is not None:
            frames = [_frame(moment, fps, num_frames) for moment in arguments.pin]
            keep = Keep.frames(motion, frames, hands)
    if arguments.pins is not None:
        pins = read_pins(arguments.pins, fps)
        keep = (keep or Keep.nothing(num_frames, fps)).pinned(pins)
    return keep, notes


def _spans(motion: HandMotion, spans: list[tuple[float, float | None]], hands: tuple[str, ...]):
    """All but the stretches (start, stop) [s]."""
    from emo2.stage1.keeping import Keep

    masks = []
    for start_s, stop_s in spans:
        start = min(round(start_s * motion.fps), motion.num_frames)
        stop = motion.num_frames if stop_s is None else round(stop_s * motion.fps)
        masks.append(Keep.outside(motion, start, min(stop, motion.num_frames), hands).mask)
    return Keep(motion, np.logical_and.reduce(masks))


def _frame(moment_s: float, fps: float, num_frames: int) -> int:
    return min(round(moment_s * fps), num_frames - 1 if moment_s * fps <= num_frames else 10**9)


def _same_length(motion: HandMotion, num_frames: int) -> None:
    if motion.num_frames != num_frames:
        raise InputError(
            "--motion",
            f"must be as long as the speech, {num_frames} frames",
            f"{motion.num_frames} frames",
            "Use --continue for one that ends earlier, or trim it with `edit`.",
        )


# Values of arguments --------------------------------------------------------------------------


def mixture(text: str) -> str | dict[str, float]:
    """`talk-calm`, or `talk-calm=0.7,present=0.3`."""
    if "=" not in text:
        return text
    try:
        return {
            name.strip(): float(share)
            for name, share in (part.split("=") for part in text.split(","))
        }
    except ValueError:
        raise argparse.ArgumentTypeError("must read like talk-calm=0.7,present=0.3") from None


def stretch(text: str) -> tuple[float, float | None]:
    """`2.0:4.5`, `:4.5` or `2.0:`, in seconds."""
    start, colon, stop = text.partition(":")
    try:
        bounds = float(start or 0), float(stop) if stop else None
    except ValueError:
        bounds = -1.0, None
    if not colon or not 0 <= bounds[0] < (float("inf") if bounds[1] is None else bounds[1]):
        raise argparse.ArgumentTypeError("must read like 2.0:4.5, in seconds")
    return bounds


def moment(text: str) -> float:
    """Seconds from 0."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < float("inf"):
        raise argparse.ArgumentTypeError("must be seconds from 0")
    return value
