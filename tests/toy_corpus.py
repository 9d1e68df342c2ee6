"""A corpus folder of seconds, made from nothing: speech-like sound, smooth motions in two styles.

The styles change places from clip to clip and the last clip is shorter, as in corpora of real
takes.
"""

from pathlib import Path

import numpy as np
from conftest import syllables
from motions import smooth_motion

from emo2.stage1.representation import to_channels
from emo2.training.corpus_folder import Clip, CorpusWriter, log_speed

STYLES = ("quiet", "wide")
SIZES = (0.3, 1.5)
SHORTER_S = 1


def toy_corpus(folder: Path, clips: int = 6, seconds: int = 6) -> Path:
    """The motions of style "wide" are five times as large as those of "quiet"."""
    writer = CorpusWriter(folder, 24 * seconds, 16_000 * seconds)
    for number in range(clips):
        length_s = seconds - SHORTER_S * (number == clips - 1)
        styles = np.roll(np.arange(len(STYLES)), number)
        channels, places = [], []
        for style in styles:
            motion = smooth_motion(24 * length_s, seed=10 * number + style)
            middle = motion.translation_m.mean(axis=0)
            places.append(middle + SIZES[style] * (motion.translation_m - middle))
            channels.append(to_channels(motion.quaternions, places[-1]))
        writer.add(
            Clip(
                audio=(syllables(length_s, number) * 32767).astype(np.int16),
                channels=np.stack(channels),
                prosody=np.zeros((24 * length_s, 2)),
                speed=np.array([log_speed(place) for place in places]),
                rest_m=np.stack([place.mean(axis=0) for place in places]),
                style=styles,
                speaker=0,
                visible=np.ones((len(styles), 24 * length_s, 2), bool),
            )
        )
    writer.close(styles=STYLES, speakers=["one"], fps=24.0)
    return folder
