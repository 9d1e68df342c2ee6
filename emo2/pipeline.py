"""The main path: a portrait and a speech recording in, a film of that person out.

    audio ──► hear ──► gesture ──► HandMotion ──► (edit, approve) ──┐
    image ──► analyse ──► Portrait ─────────────► guide ──► GuidanceMaps ──► render ──► frames

Every arrow is a public method that takes and returns a value of `emo2.types`; `__call__` only
composes them. The page, the command line and Python call these same methods.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from emo2.errors import InputError, MissingCheckpoint
from emo2.media import frame_count
from emo2.motion.edit import trim
from emo2.types import (
    AudioClip,
    AudioFeatures,
    Frame,
    GuidanceMaps,
    HandMotion,
    OnStep,
    Portrait,
    Progress,
)
from emo2.weight_set import DEMO_CHECKPOINT, WeightSet

RENDERERS = ("draft", "film")


class EMO2Pipeline:
    """Both stages of one weight set. Parts are loaded from `folder` when first needed.

    A weight set is a folder with `config.json` (frames per second, frame size, parts shared with
    other sets) and one folder a part: `audio`, `gesture`, `hands`, `visemes`, `video`.

    Args:
        folder: the weight set.
        fps: frames per second.
        max_side_px: the longer side of films.
        parts: folders of parts that other sets share, relative to `folder`.
        device: where Stage 2 runs: "auto" (None), "cpu", "cuda", "cuda:N" or "mps".
        offload: "model" or "sequential": what rests is in the host's memory, for small cards.
    """

    def __init__(
        self,
        folder: Path,
        *,
        fps: float,
        max_side_px: int,
        parts: Mapping[str, str] | None = None,
        device: str | None = None,
        offload: str = "none",
    ) -> None:
        self.weights = WeightSet(folder, fps, max_side_px, parts or {})
        self.folder, self.fps, self.max_side_px = folder, fps, max_side_px
        self.device, self.offload = device, offload

    @classmethod
    def from_pretrained(cls, folder: str | Path = DEMO_CHECKPOINT, **options) -> EMO2Pipeline:
        """Open a weight set: its folder, or its name in `checkpoints`; `options` go before its own.
        Raises `MissingCheckpoint` where there is none."""
        found = WeightSet.open(folder)
        own = {"fps": found.fps, "max_side_px": found.max_side_px, "parts": found.parts}
        return cls(found.folder, **own | options)

    # Parts -----------------------------------------------------------------------------------

    @cached_property
    def audio_encoder(self):
        """`emo2.features.audio.AudioEncoder`."""
        from emo2.features.audio import AudioEncoder

        return AudioEncoder.from_pretrained(self.weights.part("audio"))

    @cached_property
    def stage1(self):
        """`emo2.stage1.pipeline.Stage1Pipeline`."""
        from emo2.stage1.pipeline import Stage1Pipeline

        return Stage1Pipeline.from_pretrained(self.weights.part("gesture"))

    @cached_property
    def hand_model(self):
        """`emo2.hands.model.HandModel`: MANO's own hands where `mano_folder` holds them, else the
        set's."""
        from emo2.hands.model import HandModel

        return HandModel.from_pretrained(self.mano_folder or self.weights.part("hands"))

    @property
    def mano_folder(self) -> Path | None:
        """Where MANO's own files lie, in `mano` beside the weight set; None where they do not."""
        from emo2.hands.mano_files import find_hands

        return find_hands(self.folder.parent / "mano")

    @cached_property
    def hand_detail(self):
        """`emo2.hands.detail.HandDetail`, or None: MANO's own hands have none."""
        from emo2.hands.detail import HandDetail

        return None if self.mano_folder else HandDetail.from_pretrained(self.weights.part("hands"))

    @cached_property
    def draft(self):
        """`emo2.draft.renderer.DraftRenderer`."""
        from emo2.draft.renderer import DraftRenderer
        from emo2.draft.visemes import VisemeNet
        from emo2.hands.arm import ArmModel

        arms = ArmModel.from_pretrained(self.weights.part("hands"))
        return DraftRenderer(arms, self.hand_model, VisemeNet.load(self.weights.part("visemes")))

    @cached_property
    def stage2(self):
        """The film model on its device: `emo2.stage2.pipeline.Stage2Pipeline`, or `EchoMimicV2`;
        whichever, it films a `Scene`. Raises `InputError` where its weights do not fit."""
        from emo2.stage2.kinds import film_model

        return film_model(self.weights.part("video"), self.device, self.offload)

    # The path --------------------------------------------------------------------------------

    @property
    def styles(self) -> tuple[str, ...]:
        """The gesture styles this weight set knows: read from its settings, no network is loaded
        for it."""
        path = self.weights.part("gesture") / "motion_dit" / "config.json"
        if not path.is_file():
            raise MissingCheckpoint(
                "checkpoint", f"must hold {path.name} of Stage 1", path, "Fetch the set again."
            )
        return tuple(json.loads(path.read_text())["styles"])

    def analyse(self, image: np.ndarray) -> Portrait:
        """Find the person in `image` (H, W, 3) uint8 and frame them for the film."""
        from emo2.features.portrait import analyse_portrait

        return analyse_portrait(image, max_side_px=self.max_side_px)

    def hear(self, audio: AudioClip) -> AudioFeatures:
        """wav2vec 2.0 features of `audio` at the film's frame rate."""
        return self.audio_encoder(audio, self.fps)

    def gesture(
        self,
        audio: AudioClip,
        *,
        style: str | Mapping[str, float] | None = None,
        speed: float | None = None,
        seed: int = 0,
        keep=None,
        on_step: OnStep | None = None,
        **options: Any,
    ) -> HandMotion:
        """Stage 1: hands from speech. `speed` 0..1 is the share of the corpus that moves less;
        `keep` (`emo2.stage1.keeping.Keep`) gives frames, poses or a hand that stay as they are:
        only what it leaves free is made, and only the speech around that is heard. More `options`:
        `emo2.stage1.pipeline.Stage1Pipeline`."""
        options |= {"style": style, "speed": speed}
        return self.variants(audio, 1, seed=seed, keep=keep, on_step=on_step, **options)[0]

    def variants(
        self, audio: AudioClip, count: int, *, keep=None, **options: Any
    ) -> list[HandMotion]:
        """`count` motions at once, of the seeds `seed`, `seed + 1`, ...: each is what `gesture`
        makes of its seed. `options` as there."""
        between = None if keep is None else self.stage1.listens(keep)
        heard = self.audio_encoder(audio, self.fps, between)
        return self.stage1.variants(heard, count, keep=keep, **options)

    def stream(self, audio: AudioClip, **options: Any) -> Iterator[HandMotion]:
        """The motion of `gesture` piece by piece, for speech of any length: memory does not grow.
        `options` as there, without `keep` and `on_step`."""
        return self.stage1.stream(self.audio_encoder.stream(audio, self.fps), **options)

    def preview(
        self,
        motion: HandMotion,
        portrait: Portrait | None = None,
        *,
        audio: AudioClip | None = None,
        trails: bool = False,
        ghost: bool = False,
        strip: bool = False,
        on_step: OnStep | None = None,
    ) -> Iterator[Frame]:
        """The hands as shaded meshes, over the portrait's framing or on a plain stage.

        `trails` draws where the wrists were, `ghost` also where they will be. `strip` adds a band
        below each frame: the hands' speeds against the onsets of `audio`.
        """
        from emo2.hands.preview.stage import stage_camera
        from emo2.hands.preview.strip import BeatStrip
        from emo2.hands.render import render_motion

        camera = portrait.camera if portrait else stage_camera(self.max_side_px)
        frames = render_motion(
            motion,
            self.hand_model,
            camera,
            detail=self.hand_detail,
            background=portrait.image if portrait else None,
            trails=trails,
            ghost=ghost,
        )
        if strip:
            frames = BeatStrip(motion, self.beats(audio), camera.width_px).under(frames)
        return self._counted(frames, motion.num_frames, on_step)

    def contact_sheet(
        self,
        motion: HandMotion,
        portrait: Portrait | None = None,
        *,
        audio: AudioClip | None = None,
        count: int | None = None,
        trails: bool = True,
        title: str = "",
        on_step: OnStep | None = None,
    ):
        """The moments at which strokes end on one labelled page, the timeline below:
        `emo2.hands.preview.contact_sheet.ContactSheet`."""
        from emo2.hands.preview.contact_sheet import contact_sheet
        from emo2.hands.preview.stage import stage_camera

        return contact_sheet(
            motion,
            self.hand_model,
            portrait.camera if portrait else stage_camera(self.max_side_px),
            detail=self.hand_detail,
            background=portrait.image if portrait else None,
            beats=self.beats(audio),
            count=count,
            trails=trails,
            title=title,
            on_step=on_step,
        )

    def beats(self, audio: AudioClip | None):
        """What a preview draws of a recording: `emo2.hands.preview.timeline.Beats`, or None."""
        from emo2.features.onsets import speech_beats

        return speech_beats(audio) if audio is not None else None

    def guide(
        self, portrait: Portrait, motion: HandMotion, start: int = 0, stop: int | None = None
    ) -> GuidanceMaps:
        """The maps Stage 2 sees of the frames `start <= t < stop`."""
        from emo2.guidance.maps import draw_guidance

        return draw_guidance(motion, self.hand_model, portrait, start, stop)

    def plan_film(self, portrait: Portrait):
        """How a film of `portrait` would be made and what that takes,
        `emo2.stage2.preflight.FilmPlan`. Raises `InputError` where it does not fit: what is needed,
        what is free, and what would fit."""
        return self.stage2.plan(portrait.image.shape[:2], self.fps, self.offload)

    def render(
        self,
        portrait: Portrait,
        audio: AudioClip,
        motion: HandMotion,
        *,
        renderer: str = "draft",
        seed: int = 0,
        on_step: OnStep | None = None,
    ) -> Iterator[Frame]:
        """Stage 2: the film, frame by frame; `ceil(duration * fps)` of them.

        `renderer` is "draft" (2.5-D, seconds on a CPU) or "film" (the video diffusion model).
        """
        if renderer not in RENDERERS:
            raise InputError(
                "renderer", f"must be one of {', '.join(RENDERERS)}", renderer, "Choose one."
            )
        motion = self._fit(motion, audio)
        if renderer == "draft":
            drafts = self.draft(portrait, audio, motion, seed=seed, on_step=on_step)
            return (drafted.image for drafted in drafts)
        from emo2.stage2.scene import Scene

        def drafts(report: OnStep | None):
            return self.draft(portrait, audio, motion, seed=seed, on_step=report)

        plan = self.plan_film(portrait)
        scene = Scene(portrait, audio, motion, self.hand_model, self.hear, drafts)
        return self.stage2.film(scene, seed=seed, on_step=on_step, **plan.options)

    def __call__(
        self,
        image: np.ndarray,
        audio: AudioClip,
        *,
        style: str | Mapping[str, float] | None = None,
        speed: float | None = None,
        renderer: str = "draft",
        seed: int = 0,
        on_step: OnStep | None = None,
    ) -> Iterator[Frame]:
        """Portrait and speech to frames in one call."""
        portrait = self.analyse(image)
        motion = self.gesture(audio, style=style, speed=speed, seed=seed, on_step=on_step)
        return self.render(portrait, audio, motion, renderer=renderer, seed=seed, on_step=on_step)

    # -----------------------------------------------------------------------------------------

    def _counted(
        self, frames: Iterator[Frame], total: int, on_step: OnStep | None
    ) -> Iterator[Frame]:
        for done, frame in enumerate(frames, start=1):
            if on_step:
                on_step(Progress("preview", done, total))
            yield frame

    def _fit(self, motion: HandMotion, audio: AudioClip) -> HandMotion:
        """`motion` cut to the length of the speech; too short a one cannot be used."""
        needed = frame_count(audio.duration_s, self.fps)
        if motion.fps != self.fps:
            raise InputError(
                "motion",
                f"must run at {self.fps:g} frames per second",
                f"{motion.fps:g}",
                "Resample it, or make it with `python -m emo2 gesture`.",
            )
        if motion.num_frames < needed:
            raise InputError(
                "motion",
                f"must be as long as the speech, {needed} frames",
                f"{motion.num_frames} frames",
                "Trim the speech, or make a motion from this recording.",
            )
        return trim(motion, 0, needed)
