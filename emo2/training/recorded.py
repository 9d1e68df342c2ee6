"""A corpus of real people: motions of any format that can be imported, with their recordings.

    python -m emo2 corpus recorded --from BEAT2 --out runs/beat2
    python -m emo2 corpus recorded --from SHOW --out runs/show --folders speaker --mano MANO
    python -m emo2 corpus recorded --from tracks --out runs/mine --format mano --motion-fps 25

A take is a motion and a recording of the same name (`takes`). It is brought to 24 frames per
second, cut into clips of equal length of at most 12 s, and labelled with a speaker and a style: by
BEAT's file names, by the folders, or by a `labels.csv` (file, style, perhaps speaker). Hands that
are not seen are marked, frame by frame; nothing is learnt from them. What cannot be used is listed
in `takes.csv` with the reason, beside what can.
"""

from __future__ import annotations

import argparse
import csv
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np
from tqdm import tqdm

from emo2.errors import InputError
from emo2.media import load_audio
from emo2.motion.edit import resample
from emo2.motion.formats import FORMATS, Context, read_motion
from emo2.motion.rest import rest_pose
from emo2.stage1.representation import HANDS
from emo2.training.corpus_folder import Clip, CorpusWriter, last_of, log_speed
from emo2.training.prosody import analyse
from emo2.training.takes import LEVELS, Rejected, Take, find_takes
from emo2.types import NETWORK_SAMPLE_RATE_HZ, NUM_HANDS, HandMotion

FPS = 24.0
CLIP_S = 12.0
SHORTEST_S = 2.0
"""A shorter take has no window to learn from."""
MOST_APART = 0.1
"""Motion and sound may differ by this share of the shorter one (and by a second in any case): more
means two takes, or a wrong frame rate."""
LEAST_SEEN = 0.5
"""A clip in which each hand is hidden for more than this share of the time is left out."""
SLOW_SHARE = 0.2
"""Hands rest where they are in the slowest fifth of a clip."""
HELD_OUT_EVERY = 20
"""One take in so many is for validation, whole: clips of one take are too much alike."""


@dataclass(frozen=True)
class Reading:
    """How takes are read."""

    format: str | None = None
    motion_fps: float | None = None
    """Frames per second of the motions where their files are wrong or do not tell; None = what the
    importer finds."""
    mano_folder: Path | None = None
    clip_s: float = CLIP_S


@dataclass(frozen=True)
class Cut:
    """The clips of one take. Labels are still names."""

    take: Take
    clips: tuple[Clip, ...]
    seconds: float
    notes: str
    """What the importer guessed and lost."""


def read_take(take: Take, reading: Reading) -> Cut | Rejected:
    """A take's clips, or why there are none."""
    try:
        motion, notes = read_take_motion(take, reading)
        sound = load_audio(take.sound).samples
    except InputError as error:
        return Rejected(take.name, str(error))
    lengths_s = (motion.duration_s, len(sound) / NETWORK_SAMPLE_RATE_HZ)
    apart = abs(lengths_s[0] - lengths_s[1])
    if apart > max(1.0, MOST_APART * min(lengths_s)):
        return Rejected(
            take.name,
            f"motion lasts {lengths_s[0]:.1f} s, its recording {lengths_s[1]:.1f} s: other takes, "
            "or another frame rate (--motion-fps)",
        )
    if min(lengths_s) < SHORTEST_S:
        return Rejected(take.name, f"shorter than {SHORTEST_S:g} s: {min(lengths_s):.2f} s")
    num_frames = math.floor(min(lengths_s) * FPS)
    count = math.ceil(num_frames / round(reading.clip_s * FPS))
    edges = np.linspace(0, num_frames, count + 1).round().astype(int)
    clips = []
    for first, last in pairwise(edges):
        if motion.visible[first:last].mean(axis=0).max() >= LEAST_SEEN:
            clips.append(_clip(motion, sound, first, last))
    if not clips:
        return Rejected(take.name, "no hand is seen for half of any clip")
    if apart > 1 / FPS:
        notes = f"{notes}; {apart:.2f} s cut off the end of the longer one".lstrip("; ")
    return Cut(take, tuple(clips), sum(c.channels.shape[1] for c in clips) / FPS, notes)


def read_take_motion(take: Take, reading: Reading) -> tuple[HandMotion, str]:
    """The first of a take's files that holds a motion, at 24 frames per second, and what its
    importer lost."""
    errors = []
    for path in take.motions:
        try:
            context = Context(mano_folder=reading.mano_folder)
            imported = read_motion(path, format=reading.format, fps=None, context=context)
        except InputError as error:
            errors.append(error)
            continue
        motion = imported.motion
        if reading.motion_fps is not None:
            motion = replace(motion, fps=reading.motion_fps)
        notes = list(imported.report.lost)
        if imported.report.error_px is not None:
            notes.insert(0, f"fitted to 2-D points within {imported.report.error_px:.1f} px of 768")
        return resample(motion, FPS), "; ".join(notes)
    raise errors[0]


def _clip(motion: HandMotion, sound: np.ndarray, first: int, last: int) -> Clip:
    """Frames [first, last) with their sound; style and speaker are filled in later."""
    edges = [round(frame / FPS * NETWORK_SAMPLE_RATE_HZ) for frame in (first, last)]
    samples = sound[slice(*edges)]
    places, visible = motion.translation_m[first:last], motion.visible[first:last]
    return Clip(
        audio=(samples * 32767).astype(np.int16),
        channels=HANDS.to_channels(motion.quaternions[first:last], places)[None],
        prosody=analyse(samples).curves(last - first, FPS),
        speed=np.array([log_speed(places, visible)]),
        rest_m=resting_places(places, visible)[None],
        style=np.zeros(1),
        speaker=0,
        visible=visible[None],
    )


def resting_places(translation_m: np.ndarray, visible: np.ndarray) -> np.ndarray:
    """(2, 3) the median place of each wrist (T, 2, 3) [m] while it is slowest; of a hand that is
    hardly seen, where hands rest as a rule."""
    out = np.empty((NUM_HANDS, 3))
    known = np.where(visible[..., None], translation_m, np.nan).astype(np.float64)
    speed = np.linalg.norm(np.gradient(known, axis=0), axis=-1)  # NaN beside hidden frames
    for hand in range(NUM_HANDS):
        seen = np.flatnonzero(visible[:, hand])
        if len(seen) < LEAST_SEEN * len(visible):
            out[hand] = rest_pose(hand)[1]
            continue
        order = seen[np.argsort(speed[seen, hand], kind="stable")]
        slow = order[: math.ceil(SLOW_SHARE * len(seen))]
        out[hand] = np.median(translation_m[slow, hand], axis=0)
    return out


def build(
    source: Path,
    folder: Path,
    *,
    reading: Reading | None = None,
    levels: str = "style",
    workers: int = 1,
) -> tuple[dict, list[Rejected]]:
    """Write the corpus and `takes.csv`; returns the corpus's facts and what was left out.

    Raises:
        InputError: no take can be used.
    """
    reading = reading or Reading()
    takes, rejected = find_takes(source, format=reading.format, levels=levels)
    sizes = round(reading.clip_s * FPS), math.ceil(reading.clip_s * NETWORK_SAMPLE_RATE_HZ)
    writer = CorpusWriter(folder, *sizes)
    used: list[Cut] = []
    take_of_clip: list[int] = []
    styles: dict[str, int] = {}
    speakers: dict[str, int] = {}
    for cut in tqdm(_read_all(takes, reading, workers), total=len(takes), unit="take"):
        if isinstance(cut, Rejected):
            rejected.append(cut)
            continue
        style = styles.setdefault(cut.take.style, len(styles))
        speaker = speakers.setdefault(cut.take.speaker, len(speakers))
        for clip in cut.clips:
            writer.add(replace(clip, style=np.array([style]), speaker=speaker))
            take_of_clip.append(len(used))
        used.append(replace(cut, clips=()))
    _write_list(folder / "takes.csv", used, rejected)
    if not used:
        writer.abandon()
        reasons = Counter(r.reason for r in rejected).most_common(1)
        value = f"{len(rejected)} without ({reasons[0][0]})" if reasons else "nothing"
        remedy = "Lay a recording of the same name beside each motion; takes.csv has the reasons."
        raise InputError("--from", "must hold takes that can be used", value, remedy)
    facts = writer.close(
        held_out=held_out(np.array(take_of_clip)),
        source="recorded",
        duration_s=reading.clip_s,
        fps=FPS,
        hours=sum(cut.seconds for cut in used) / 3600,
        takes=len(used),
        styles=list(styles),
        speakers=list(speakers),
    )
    return facts, rejected


def held_out(take_of_clip: np.ndarray) -> np.ndarray:
    """(N,) bool: the clips of one take in twenty; of a single take, its last clips."""
    takes = take_of_clip.max() + 1
    if takes == 1:
        return last_of(len(take_of_clip))
    first = min(HELD_OUT_EVERY // 2, takes - 1)
    return take_of_clip % HELD_OUT_EVERY == first


def _read_all(takes: Sequence[Take], reading: Reading, workers: int) -> Iterator[Cut | Rejected]:
    read = partial(read_take, reading=reading)
    if workers <= 1:
        yield from map(read, takes)
        return
    with ProcessPoolExecutor(workers) as pool:
        yield from pool.map(read, takes)


def _write_list(path: Path, used: list[Cut], rejected: list[Rejected]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["take", "used", "seconds", "speaker", "style", "notes"])
        for cut in used:
            take = cut.take
            row = [take.name, "yes", f"{cut.seconds:.2f}", take.speaker, take.style, cut.notes]
            writer.writerow(row)
        for one in rejected:
            writer.writerow([one.name, "no", "", "", "", one.reason])


def main(argv: list[str] | None = None) -> int:
    """`python -m emo2 corpus recorded`."""
    parser = argparse.ArgumentParser(
        prog="emo2 corpus recorded", description=__doc__.split("\n")[0]
    )
    parser.add_argument(
        "--from", dest="source", type=Path, required=True, help="folder of motions and recordings"
    )
    parser.add_argument("--out", type=Path, required=True, help="corpus folder to write")
    names = [f.name for f in FORMATS if f.reader]
    parser.add_argument("--format", choices=names, help="only motions of this format")
    parser.add_argument(
        "--folders",
        choices=LEVELS,
        default="style",
        help="what folders are called after; BEAT's file names and labels.csv tell more surely",
    )
    parser.add_argument("--mano", type=Path, help="a folder with MANO's own files (for SHOW)")
    parser.add_argument(
        "--motion-fps", type=float, help="frames per second, where files are wrong or do not tell"
    )
    parser.add_argument("--duration", type=float, default=CLIP_S, help="longest clip [s] (12)")
    parser.add_argument("--workers", type=int, default=1, help="processes (1)")
    options = parser.parse_args(argv)
    for name, least in (("motion_fps", 1.0), ("duration", SHORTEST_S)):
        value = getattr(options, name)
        if value is not None and not least <= value <= 1000:
            raise InputError(f"--{name.replace('_', '-')}", f"must be {least:g} to 1000", value, "")
    reading = Reading(options.format, options.motion_fps, options.mano, options.duration)
    facts, rejected = build(
        options.source,
        options.out,
        reading=reading,
        levels=options.folders,
        workers=options.workers,
    )
    for one in rejected:
        print(f"left out: {one.name}: {one.reason}")
    print(
        f"{facts['hours']:.2f} h in {facts['clips']} clips of {facts['takes']} takes in "
        f"{options.out}; speakers: {', '.join(facts['speakers'])}; "
        f"styles: {', '.join(facts['styles'])}"
    )
    if len(facts["styles"]) == 1 < len(facts["speakers"]):
        print("one style, several speakers: train with --label speaker")
    return 0
