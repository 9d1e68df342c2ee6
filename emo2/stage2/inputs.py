"""Checks at Stage 2's door: what does not fit is refused in one clear line."""

from __future__ import annotations

from emo2.errors import InputError
from emo2.types import AudioFeatures, GuidanceMaps, Portrait

SIZE_MULTIPLE_PX = 16


def check_inputs(portrait: Portrait, features: AudioFeatures, audio_dim: int) -> None:
    """What can be seen before the first map is drawn. `audio_dim` is the checkpoint's."""
    height, width = portrait.image.shape[:2]
    if height % SIZE_MULTIPLE_PX or width % SIZE_MULTIPLE_PX:
        raise InputError(
            "portrait",
            f"sides must be multiples of {SIZE_MULTIPLE_PX} px",
            f"{width} x {height}",
            "Frame it with analyse_portrait.",
        )
    heard = features.hidden_states.shape[1]
    if heard != audio_dim:
        raise InputError(
            "features",
            f"this checkpoint was trained on audio features of width {audio_dim}",
            heard,
            "Use the audio encoder that lies beside it.",
        )


def check_guidance(
    maps: GuidanceMaps,
    start: int,
    portrait: Portrait,
    features: AudioFeatures,
    leans_on_draft: bool,
) -> None:
    """What can be seen of a stretch of maps that begins at frame `start`."""
    height, width = portrait.image.shape[:2]
    if maps.size != (height, width):
        raise InputError(
            "guidance",
            f"must be of the portrait's size {width} x {height}",
            f"{maps.size[1]} x {maps.size[0]}",
            "Draw it for this portrait.",
        )
    if start + maps.num_frames > features.num_frames:
        raise InputError(
            "guidance",
            f"must not be longer than the sound, {features.num_frames} frames",
            f"{start + maps.num_frames} frames or more",
            "Cut the motion to the sound.",
        )
    if leans_on_draft and (maps.draft is None or maps.change is None):
        raise InputError(
            "guidance",
            "this checkpoint leans on a draft and needs its frames",
            "maps without draft or change",
            "Render the draft first and give both with the maps.",
        )
