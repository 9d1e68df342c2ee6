"""All that is measured of one film, and the command that prints it.

    python -m emo2 evaluate video film.mp4 --motion film.npz --portrait face.jpg --audio speech.wav
        [--reference real.mp4] [--real photographs/] [--networks syncnet arcface ...] [--table]

Without any network of others it prints detectors' figures under this project's own names, each
beside a floor. With the weights of a published network the published figure is added: those that
are there are used, `--networks none` leaves them out, and naming one that is not there is refused
with the command that gets it.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np

from emo2.errors import InputError
from emo2.evaluation import identity
from emo2.evaluation.columns import FILM, markdown
from emo2.evaluation.drift import Drift
from emo2.evaluation.expression import expression, expression_distance, mistimed
from emo2.evaluation.film_crowds import sources
from emo2.evaluation.hand_quality import HandQuality, PoseSighting, asked_variance, pose_quality
from emo2.evaluation.networks.arcface import ArcFace
from emo2.evaluation.networks.dwpose import DWPose
from emo2.evaluation.networks.sources import SOURCES, find, is_there
from emo2.evaluation.networks.syncnet import SyncNet, at_25, face_boxes, face_crop
from emo2.evaluation.paired import compare, psnr, ssim
from emo2.evaluation.realism import as_json, available, realism
from emo2.evaluation.sightings import Hands, Sighting, watch
from emo2.evaluation.sync import mouth_sync, sync_of, wrong_audio
from emo2.evaluation.video import SHIFTS, Viewing, speech_envelope
from emo2.media import load_image, probe, read_frames
from emo2.types import AudioClip, Frame, HandMotion, Portrait

Embed = Callable[[Frame, np.ndarray], np.ndarray]
FACES_PER_S = 3
STRANGERS = Path("assets")
"""The bundled characters: other people than the film's, whoever that is."""
SAME = 0.97
"""A likeness above this is the same picture again, and no stranger."""


def film_facts(
    video: Path,
    motion: HandMotion,
    joints_m: np.ndarray,
    portrait: Portrait,
    audio: AudioClip,
    networks: Sequence[str] = (),
) -> dict[str, float]:
    """All that needs no other film. `joints_m` (T, 2, 21, 3) is `HandModel.joints(motion)`.

    Raises `InputError` where the film has another size than the portrait's films.
    """
    _check_size(video, portrait)
    hands = Hands.of(motion, joints_m, portrait.camera)
    ((_, at_rest),) = watch([portrait.image])
    people = _recognisers(portrait, at_rest, motion.fps, networks)
    pose = _Pose(DWPose.from_pretrained()) if "dwpose" in networks else None
    lookers = [*people.values(), *([pose] if pose else [])]

    def look(t: int, frame: Frame, sighting: Sighting) -> None:
        for looker in lookers:
            looker(t, frame, sighting)

    viewing = Viewing.of(read_frames(video), hands, portrait, look)
    facts = asdict(viewing.measure(hands, audio, motion.fps))
    facts |= {f"hand_{name}": value for name, value in facts.pop("hands").items()}
    facts |= _hands(viewing.sightings, hands, at_rest, portrait, pose)
    facts |= _mouth(viewing.lip_gap, audio, motion.fps)
    for name, person in people.items():
        facts |= person.facts(name)
    if "syncnet" in networks:
        meshes = [sighting.face for sighting in viewing.sightings]
        facts |= _synchrony(SyncNet.from_pretrained(), video, meshes, audio, motion.fps)
    return facts


def against_reference(video: Path, reference: Path, portrait: Portrait) -> dict[str, float]:
    """Figures of pairs of frames. Raises `InputError` where the films do not fit together."""
    ours, theirs = probe(video), probe(reference)
    if abs(ours.fps - theirs.fps) > 1e-3:
        rule = f"must have the film's frame rate, {ours.fps:g}"
        raise InputError("--reference", rule, f"{theirs.fps:g}", "Convert it first.")
    paired = compare(read_frames(video), read_frames(reference))
    faces, wanted = (
        np.stack([expression(s.face) for _, s in watch(read_frames(path), faces_only=True)])
        for path in (video, reference)
    )
    facts = {
        "psnr": paired.psnr,
        "ssim": paired.ssim,
        "expression_distance": expression_distance(faces, wanted),
        "expression_distance_mistimed": mistimed(faces, wanted),
    }
    still = portrait.image
    frames = [frame for frame in read_frames(reference) if frame.shape == still.shape]
    if frames:
        facts["psnr_still"] = float(np.mean([psnr(still, frame) for frame in frames]))
        facts["ssim_still"] = float(np.mean([ssim(still, frame) for frame in frames]))
    return facts


def _check_size(video: Path, portrait: Portrait) -> None:
    film = probe(video)
    height, width = portrait.image.shape[:2]
    if (film.width, film.height) != (width, height):
        rule = f"must have the size of this portrait's films, {width} x {height}"
        remedy = "Name the portrait and the checkpoint that it was made with."
        raise InputError("video", rule, f"{film.width} x {film.height}", remedy)


class _Person:
    """Looks on and recognises the face three times a second."""

    def __init__(self, embed: Embed, portrait: Portrait, at_rest: Sighting, fps: float) -> None:
        self._embed, self._fps = embed, fps
        self._step = max(1, round(fps / FACES_PER_S))
        self._known = None if at_rest.face is None else embed(portrait.image, at_rest.face)
        self._times: list[float] = []
        self._faces: list[np.ndarray] = []

    def __call__(self, t: int, frame: Frame, sighting: Sighting) -> None:
        if t % self._step == 0 and sighting.face is not None:
            self._times.append(t / self._fps)
            self._faces.append(self._embed(frame, sighting.face))

    def facts(self, name: str) -> dict[str, float]:
        """The mean under `name`, the rest after it."""
        known = np.full(1, np.nan) if self._known is None else self._known
        drift = Drift.of(self._times, self._faces, known)
        return {
            name: drift.mean,
            f"{name}_first": drift.first,
            f"{name}_last": drift.last,
            f"{name}_per_minute": drift.per_minute,
            f"{name}_strangers": self._strangers(),
        }

    def _strangers(self) -> float:
        """Median cosine of the portrait with bundled characters who are somebody else."""
        alike = []
        for path in sources(STRANGERS) if self._known is not None and STRANGERS.is_dir() else []:
            for frame, sighting in watch([load_image(path)], faces_only=True):
                if sighting.face is not None:
                    alike.append(identity.cosine(self._embed(frame, sighting.face), self._known))
        others = [value for value in alike if value < SAME]
        return float(np.median(others)) if others else np.nan


class _Pose:
    """Looks on with DWPose."""

    def __init__(self, network: DWPose) -> None:
        self.network = network
        self.seen: list[PoseSighting] = []

    def __call__(self, t: int, frame: Frame, sighting: Sighting) -> None:
        self.seen.append(PoseSighting(*self.network.hands(frame)))


def _recognisers(
    portrait: Portrait, at_rest: Sighting, fps: float, networks: Sequence[str]
) -> dict[str, _Person]:
    embedders: dict[str, Embed] = {}
    if identity.is_installed():
        embedders["identity"] = identity.embed
    if "arcface" in networks:
        embedders["csim"] = ArcFace.from_pretrained().embed
    return {name: _Person(embed, portrait, at_rest, fps) for name, embed in embedders.items()}


def _hands(
    sightings: Sequence[Sighting],
    hands: Hands,
    at_rest: Sighting,
    portrait: Portrait,
    pose: _Pose | None,
) -> dict[str, float]:
    shoulders_px = float(np.linalg.norm(np.subtract(*portrait.shoulders)))
    seen = HandQuality.of(sightings, hands, shoulders_px)
    facts = {
        "hand_confidence": seen.confidence,
        "hand_confidence_still": HandQuality.of(
            [at_rest] * len(sightings), hands, shoulders_px
        ).confidence,
        "hand_variance": seen.variance,
        "hand_variance_motion": asked_variance(hands, shoulders_px),
    }
    if pose is not None:
        published = pose_quality(pose.seen, shoulders_px)
        still = pose_quality([PoseSighting(*pose.network.hands(portrait.image))], shoulders_px)
        facts |= {"hkc": published.confidence, "hkv": published.variance}
        facts["hkc_still"] = still.confidence
    return facts


def _mouth(gap: np.ndarray, audio: AudioClip, fps: float) -> dict[str, float]:
    envelope = speech_envelope(audio, len(gap), fps)
    found = mouth_sync(gap, envelope)
    return {
        "mouth_sync_confidence": found.confidence,
        "mouth_sync_offset": found.offset,
        "mouth_sync_wrong_audio": wrong_audio(gap, envelope),
    }


def _synchrony(
    network: SyncNet,
    video: Path,
    meshes: Sequence[np.ndarray | None],
    audio: AudioClip,
    fps: float,
) -> dict[str, float]:
    """Sync-C and Sync-D, beside those of the same film with the speech shifted round."""
    boxes = face_boxes(meshes)
    if boxes is None:
        return {"sync_c": np.nan, "sync_d": np.nan, "sync_offset": 0}
    crops = [face_crop(frame, box) for frame, box in zip(read_frames(video), boxes, strict=True)]
    mouths, sounds = network.embed([crops[t] for t in at_25(len(crops), fps)], audio)
    found = sync_of(mouths, sounds)
    wrong = [sync_of(mouths, np.roll(sounds, round(s * len(sounds)), axis=0)) for s in SHIFTS]
    return {
        "sync_c": found.confidence,
        "sync_d": found.distance,
        "sync_offset": found.offset,
        "sync_c_wrong_audio": float(np.mean([sync.confidence for sync in wrong])),
        "sync_d_wrong_audio": float(np.mean([sync.distance for sync in wrong])),
    }


def wanted_networks(named: Sequence[str] | None) -> list[str]:
    """Those that were named, each found; by default all that are there."""
    if named is None:
        return [name for name in SOURCES if is_there(name)]
    names = [name for name in named if name != "none"]
    for name in names:
        find(name)
    return names


def main(argv: Sequence[str] | None = None) -> int:
    """Measure one film and print one line of JSON, or a table."""
    from emo2.media import load_audio
    from emo2.motion.formats.npz import load_npz
    from emo2.pipeline import DEMO_CHECKPOINT, EMO2Pipeline

    parser = argparse.ArgumentParser(prog="emo2 evaluate video", description=main.__doc__)
    parser.add_argument("video", type=Path)
    parser.add_argument("--motion", type=Path, required=True)
    parser.add_argument("--portrait", type=Path, required=True)
    parser.add_argument("--audio", type=Path, required=True)
    parser.add_argument("--reference", type=Path, help="the film it should be, frame by frame")
    parser.add_argument("--real", type=Path, help="a folder of real films or pictures")
    names = (*SOURCES, "none")
    text = "published networks to use (default: those whose weights are there)"
    parser.add_argument("--networks", nargs="+", choices=names, help=text)
    parser.add_argument("--table", action="store_true", help="a Markdown table in place of JSON")
    parser.add_argument("--checkpoint", type=Path, default=DEMO_CHECKPOINT)
    options = parser.parse_args(argv)
    networks = wanted_networks(options.networks)
    real = sources(options.real) if options.real else []
    pipe, motion = EMO2Pipeline.from_pretrained(options.checkpoint), load_npz(options.motion)
    portrait = pipe.analyse(load_image(options.portrait))
    facts = film_facts(
        options.video,
        motion,
        pipe.hand_model.joints(motion),
        portrait,
        load_audio(options.audio),
        networks,
    )
    if options.reference:
        facts |= against_reference(options.video, options.reference, portrait)
    if real:
        facts |= realism([options.video], real, available(networks))
    print(markdown(FILM, facts) if options.table else as_json(facts))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
