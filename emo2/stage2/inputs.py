"""Checks at Stage 2's door: what does not fit is refused in one clear line."""

from __future__ import annotations

from emo2.errors import InputError
from emo2.stage2.windows import Clip
from emo2.types import AudioFeatures, Portrait

SIZE_MULTIPLE_PX = 16


def check_inputs(portrait: Portrait, features: AudioFeatures, steps: int, audio_dim: int) -> None:
    """What can be seen before the first map is drawn. `audio_dim` is the checkpoint's."""
    height, width = portrait.image.shape[:2]
    if height % SIZE_MULTIPLE_PX or width % SIZE_MULTIPLE_PX:
        raise InputError(
            "portrait",
            f"sides must be multiples of {SIZE_MULTIPLE_PX} px",
            f"{width} x {height}",
            "Frame it with analyse_portrait.",
        )
    if not 1 <= steps <= 1000:
        raise InputError("num_inference_steps", "must be 1 to 1000", steps, "Try 4 to 30.")
    heard = features.hidden_states.shape[1]
    if heard != audio_dim:
        raise InputError(
            "features",
            f"this checkpoint was trained on audio features of width {audio_dim}",
            heard,
            "Use the audio encoder that lies beside it.",
        )


def check_clip(
    clip: Clip, portrait: Portrait, features: AudioFeatures, leans_on_draft: bool
) -> None:
    """What can be seen of one clip's maps."""
    maps, (height, width) = clip.guidance, portrait.image.shape[:2]
    if maps.mano.shape[-2:] != (height, width):
        raise InputError(
            "guidance",
            f"must be of the portrait's size {width} x {height}",
            f"{maps.mano.shape[3]} x {maps.mano.shape[2]}",
            "Draw it for this portrait.",
        )
    if clip.start + clip.keep > features.num_frames:
        raise InputError(
            "guidance",
            f"must not be longer than the sound, {features.num_frames} frames",
            f"{clip.start + clip.keep} frames or more",
            "Cut the motion to the sound.",
        )
    if leans_on_draft and (maps.draft is None or maps.change is None):
        raise InputError(
            "guidance",
            "this checkpoint leans on a draft and needs its frames",
            "maps without draft or change",
            "Render the draft first and give both with the maps.",
        )
