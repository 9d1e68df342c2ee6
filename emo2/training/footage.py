"""Videos of real people to train Stage 2 on, with the hands' motion beside each.

    DIR/talk.mp4 + DIR/talk.npz (any motion that `emo2 convert` reads, tracks and keypoints too)

    one folder a take, T frames at 24 per second, framed as portraits are:
    frames/000000.jpg ...   motion.npz   body.npz (where shoulders and neck are, frame by frame)
    sound.npy (T, D) float16

A motion is told in metres from the middle of the shoulders, so the maps follow the body: it is
looked for six times a second. Motions must be the video's own; how well they fit it is how well
hands will be learnt.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from emo2.errors import InputError
from emo2.features.audio import AudioEncoder
from emo2.features.detectors import detectors
from emo2.features.framing import Framing, choose_framing, lowered_shoulders, pixels_per_metre
from emo2.features.person import CHIN, Person, find_person
from emo2.guidance.maps import draw_guidance
from emo2.hands.model import HandModel
from emo2.media import load_audio, load_image, probe, read_frames
from emo2.motion.formats import save_npz
from emo2.motion.formats.npz import load_npz
from emo2.stage2.windows import join
from emo2.training.recorded import Reading, read_take_motion
from emo2.training.takes import Rejected, Take, find_takes
from emo2.types import NUM_HANDS, Camera, Frame, GuidanceMaps, HandMotion, Portrait

FPS = 24.0
LOOK_EVERY = 4
"""Frames from one look for the body to the next; between them it moves evenly."""
LEAST_FOUND = 0.7
"""A take in which the person is found less often than this is left out."""
VIDEOS = (".mp4", ".mov", ".mkv", ".webm", ".avi", ".m4v")
JPEG = (
    cv2.IMWRITE_JPEG_QUALITY, 95,
    cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444,
)  # fmt: skip


@dataclass(frozen=True)
class Body:
    """Where the body is in each frame of a take, in its pixels."""

    shoulders: np.ndarray
    """(T, 2, 2) float32, left then right."""
    neck: np.ndarray
    """(T, 2) float32: the base of the neck."""
    pixels_per_metre: float
    """Of the whole take: people who film themselves keep their distance."""


@dataclass(frozen=True)
class FootageTake:
    """One prepared take on disk; pictures are read and maps are drawn as needed."""

    folder: Path
    hand_model: HandModel

    @cached_property
    def motion(self) -> HandMotion:
        """The hands, T frames."""
        return load_npz(self.folder / "motion.npz")

    @cached_property
    def body(self) -> Body:
        """Where they are held on to."""
        with np.load(self.folder / "body.npz") as file:
            return Body(file["shoulders"], file["neck"], float(file["pixels_per_metre"]))

    @cached_property
    def sound(self) -> np.ndarray:
        """(T, D) float16 features of the speech."""
        return np.load(self.folder / "sound.npy", mmap_mode="r")

    @cached_property
    def size(self) -> tuple[int, int]:
        """(H, W)."""
        return self.pictures([0]).shape[1:3]

    @property
    def num_frames(self) -> int:
        """T."""
        return len(self.sound)

    def pictures(self, numbers: Sequence[int]) -> np.ndarray:
        """Frames of these numbers, (F, H, W, 3) uint8."""
        return np.stack([load_image(frame_path(self.folder, number)) for number in numbers])

    def guidance(self, start: int, stop: int) -> GuidanceMaps:
        """The maps of frames `start <= t < stop`, each drawn where the body is."""
        return join(
            [
                draw_guidance(self.motion, self.hand_model, self._stand(t), t, t + 1)
                for t in range(start, stop)
            ]
        )

    def _stand(self, t: int) -> Portrait:
        """As much of a portrait as maps are drawn from."""
        height, width = self.size
        x, y = self.body.shoulders[t].mean(axis=0)
        unseen = np.full((NUM_HANDS, 2), np.nan)
        return Portrait(
            image=np.zeros((height, width, 3), np.uint8),
            face_landmarks=np.full((478, 3), np.nan),
            shoulders=self.body.shoulders[t],
            neck=self.body.neck[t],
            elbows=unseen,
            wrists=unseen,
            hands=np.full((NUM_HANDS, 21, 2), np.nan),
            person_mask=np.zeros((height, width)),
            skin_rgb=np.zeros(3),
            sleeve_rgb=np.zeros(3),
            bare_forearms=True,
            camera=Camera((float(x), float(y)), self.body.pixels_per_metre, width, height),
            source_box=(0, 0, width, height),
        )


def frame_path(folder: Path, number: int) -> Path:
    """Where a take keeps a frame."""
    return folder / "frames" / f"{number:06d}.jpg"


def prepare(
    source: Path,
    folder: Path,
    encoder: AudioEncoder,
    hand_model: HandModel,
    *,
    max_side_px: int,
    shortest: int,
    reading: Reading | None = None,
) -> tuple[list[FootageTake], list[Rejected]]:
    """Makes ready every video below `source` that has a motion of its name, or opens what an
    earlier call made ready in `folder`; and what was left out.

    Args:
        max_side_px: the frames' longest side.
        shortest: frames that a take must have.

    Raises:
        InputError: there is nothing to learn from.
    """
    found, rejected = find_takes(source)
    takes = []
    for take in tqdm(found, desc="footage", unit="take"):
        place = folder / take.name
        if not place.is_dir():
            video = picture_of(take)
            if video is None:
                rejected.append(Rejected(take.name, "no video of this name"))
                continue
            part = place.with_name(f"{place.name}.partial")
            try:
                prepare_take(take, video, part, encoder, max_side_px, shortest, reading)
            except InputError as error:
                rejected.append(Rejected(take.name, str(error)))
                continue
            part.rename(place)
        takes.append(FootageTake(place, hand_model))
    if not takes:
        why = f"none of {len(rejected)} ({rejected[0].reason})" if rejected else "nothing"
        remedy = "Lay a motion of the same name beside each video."
        raise InputError("--footage", "must hold videos with motions", why, remedy)
    return takes, rejected


def picture_of(take: Take) -> Path | None:
    """The take's video: what its sound comes from, or a file of its name beside sound or motion."""
    beside = [p.with_suffix(s) for p in (take.sound, *take.motions) for s in VIDEOS]
    candidates = [take.sound] * (take.sound.suffix.lower() in VIDEOS) + beside
    return next((path for path in candidates if path.is_file()), None)


def prepare_take(
    take: Take,
    video: Path,
    folder: Path,
    encoder: AudioEncoder,
    max_side_px: int,
    shortest: int,
    reading: Reading | None = None,
) -> None:
    """Writes one take's folder. Raises `InputError` where it cannot be used."""
    motion, _ = read_take_motion(take, reading or Reading())
    heard = encoder(load_audio(take.sound), FPS).hidden_states
    people, count = look_for_body(video)
    count = min(count, motion.num_frames, len(heard))
    if count < shortest:
        rule = f"must have at least {shortest} frames at {FPS:g} per second"
        raise InputError("footage", rule, f"{count} in {take.name}", "Film longer stretches.")
    seen = {number: person for number, person in people.items() if person is not None}
    if len(seen) < LEAST_FOUND * len(people):
        rule, value = "must show the same person throughout", f"{len(seen)} of {len(people)} looks"
        raise InputError("footage", rule, f"{value} in {take.name}", "Cut to one person's face.")
    middle = seen[sorted(seen)[len(seen) // 2]]
    framing = choose_framing(middle, middle.mask.shape, max_side_px)
    (folder / "frames").mkdir(parents=True, exist_ok=True)
    for number, frame in zip(range(count), at_film_rate(video), strict=False):
        cut = cv2.cvtColor(framing.cut(frame), cv2.COLOR_RGB2BGR)
        cv2.imwrite(str(frame_path(folder, number)), cut, JPEG)
    body = follow(seen, framing, count)
    np.savez(
        folder / "body.npz",
        shoulders=body.shoulders,
        neck=body.neck,
        pixels_per_metre=body.pixels_per_metre,
    )
    np.save(folder / "sound.npy", heard[:count].astype(np.float16))
    save_npz(shortened(motion, count), folder / "motion.npz")


def shortened(motion: HandMotion, count: int) -> HandMotion:
    """Its first `count` frames."""
    return replace(
        motion,
        quaternions=motion.quaternions[:count],
        translation_m=motion.translation_m[:count],
        visible=motion.visible[:count],
    )


def at_film_rate(video: Path) -> Iterator[Frame]:
    """A video's frames at 24 per second: what is on the screen at each moment."""
    per_frame = probe(video).fps / FPS
    wanted = 0
    for number, frame in enumerate(read_frames(video)):
        while int(wanted * per_frame + 1e-3) == number:
            yield frame
            wanted += 1


def look_for_body(video: Path) -> tuple[dict[int, Person | None], int]:
    """The person in every fourth frame (None = nobody was found), and how many frames there are."""
    people: dict[int, Person | None] = {}
    count = 0
    for count, frame in enumerate(at_film_rate(video), start=1):
        if (count - 1) % LOOK_EVERY == 0:
            try:
                people[count - 1] = lowered_shoulders(find_person(frame, detectors()))
            except InputError:
                people[count - 1] = None
    return people, count


def follow(seen: dict[int, Person], framing: Framing, count: int) -> Body:
    """Where the body is in each of `count` frames, from looks at some; a look's own error is evened
    out against its neighbours'."""
    numbers = sorted(seen)
    shoulders = np.stack([framing.place(seen[n].shoulders) for n in numbers])  # (K, 2, 2)
    chins = np.stack([framing.place(seen[n].face[CHIN, :2]) for n in numbers])
    middle = shoulders.mean(axis=1)
    points = np.concatenate([shoulders.reshape(-1, 4), middle + 0.2 * (chins - middle)], axis=1)
    if len(points) > 1:
        padded = np.pad(points, ((1, 1), (0, 0)), mode="reflect", reflect_type="odd")
        points = (padded[:-2] + 4 * padded[1:-1] + padded[2:]) / 6
    moments = np.arange(count)
    lines = np.stack([np.interp(moments, numbers, column) for column in points.T], axis=1)
    lines = lines.astype(np.float32)
    scales = [pixels_per_metre(seen[n]) for n in numbers]
    scale = float(np.median(scales) * framing.scale)
    return Body(lines[:, :4].reshape(-1, 2, 2), lines[:, 4:], scale)
