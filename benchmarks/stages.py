"""What each step of the main path costs.

    python -m benchmarks.stages

Prints JSON: CPU seconds of this process per second of speech, once warmed up.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable
from itertools import islice
from pathlib import Path

from emo2.media import load_audio, load_image
from emo2.pipeline import EMO2Pipeline

ASSETS = Path(__file__).resolve().parent.parent / "assets"


def cpu_s(work: Callable[[], object]) -> float:
    """CPU seconds of this process, all threads, that `work` takes; iterables are exhausted."""
    start = time.process_time()
    result = work()
    if isinstance(result, Iterable):
        for _ in result:
            pass
    return time.process_time() - start


def main() -> None:
    """Warm up on the same inputs, then measure."""
    studio = EMO2Pipeline.from_pretrained()
    speech = load_audio(ASSETS / "welcome.flac")
    image = load_image(ASSETS / "amara.jpg")
    portrait, motion = studio.analyse(image), studio.gesture(speech)
    steps = {
        "gesture": lambda: studio.gesture(speech).quaternions,
        "draft": lambda: studio.render(portrait, speech, motion),
        "film": lambda: studio.render(portrait, speech, motion, renderer="film"),
    }
    facts = {"speech_s": round(speech.duration_s, 3), "analyse_cpu_s": 0.0}
    facts["analyse_cpu_s"] = round(cpu_s(lambda: studio.analyse(image)), 3)
    for name, work in steps.items():
        if name != "gesture":
            list(islice(work(), 2))
        facts[f"{name}_cpu_s_per_s"] = round(cpu_s(work) / speech.duration_s, 3)
    print(json.dumps(facts))


if __name__ == "__main__":
    main()
