"""The autoencoder of a full film model: Stable Diffusion's, or the small TAESD.

sd-vae-ft-mse is an `AutoencoderKL`, TAESD an `AutoencoderTiny`; both are diffusers' folders. The
latents' scale is the checkpoint's own (`scaling_factor`: 0.18215 and 1).
"""

from __future__ import annotations

import json
from pathlib import Path

from diffusers import AutoencoderKL, AutoencoderTiny

from emo2.errors import InputError, MissingCheckpoint

KINDS = {kind.__name__: kind for kind in (AutoencoderKL, AutoencoderTiny)}


def open_vae(path: str | Path) -> AutoencoderKL | AutoencoderTiny:
    """The autoencoder in a folder, or in the folder `vae` of a whole Stable Diffusion; fixed.

    Raises:
        InputError: there is none, or the file does not hold exactly its tensors.
    """
    folder = Path(path)
    folder = folder / "vae" if (folder / "vae").is_dir() else folder
    if not (folder / "config.json").is_file():
        raise MissingCheckpoint(
            "--vae",
            "must be a folder with config.json",
            path,
            "Try `hf download stabilityai/sd-vae-ft-mse --local-dir DIR`, and give DIR.",
        )
    name = json.loads((folder / "config.json").read_text()).get("_class_name")
    if name not in KINDS:
        known = " or ".join(KINDS)
        raise InputError("--vae", f"must be an {known}", name, "Use sd-vae-ft-mse or TAESD.")
    vae, info = KINDS[name].from_pretrained(folder, output_loading_info=True)
    for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"):
        if info[kind]:
            value = f"{folder}: {kind.replace('_', ' ')}, such as {sorted(info[kind])[0]}"
            raise MissingCheckpoint("--vae", "must fit exactly", value, "Download it again.")
    return vae.eval().requires_grad_(False)
