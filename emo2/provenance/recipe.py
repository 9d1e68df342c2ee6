"""The recipe of a film: every setting and the fingerprint of every input.

It is printed by `--json`, shown beside the result and stored in the file's own `comment` tag.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import emo2
from emo2.motion.hashing import motion_hash
from emo2.types import HandMotion


def file_hash(path: str | Path) -> str:
    """First 16 hex digits of the file's SHA-256."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]


def film_recipe(
    *,
    portrait: str | Path,
    audio: str | Path,
    motion: HandMotion,
    renderer: str,
    checkpoint: str,
    seed: int,
) -> dict[str, Any]:
    """What it takes to make the same film again. JSON values only."""
    return {
        "made_by": f"EMO2 Studio {emo2.__version__}",
        "ai_generated": True,
        "portrait": file_hash(portrait),
        "audio": file_hash(audio),
        "motion": motion_hash(motion),
        "gesture": dict(motion.meta),
        "renderer": renderer,
        "checkpoint": checkpoint,
        "seed": seed,
    }


def film_metadata(recipe: Mapping[str, Any]) -> dict[str, str]:
    """The recipe as tags for `emo2.media.write_video`."""
    return {
        "title": "EMO2 Studio",
        "comment": json.dumps(recipe, sort_keys=True),
        "ai_generated": "true",
    }
