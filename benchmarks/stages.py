"""What each step of the main path costs, and the two preview backends side by side in one run.

    python -m benchmarks.stages

Prints JSON: CPU seconds of this process per second of speech, once warmed up, and ratios.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable
from itertools import islice
from pathlib import Path

from emo2.hands.render import available_backend, render_motion
from emo2.media import load_audio, load_image
from emo2.pipeline import EMO2Pipeline

ASSETS = Path(__file__).resolve().parent.parent / "assets"
PREVIEW_FRAMES = 24


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

    def preview(backend: str) -> Iterable:
        return render_motion(
            motion, studio.hand_model, portrait.camera, backend=backend, stop=PREVIEW_FRAMES
        )

    backends = ["raster"] + (["pyrender"] if available_backend()[0] == "pyrender" else [])
    for backend in backends:
        cpu_s(lambda backend=backend: preview(backend))
    spent = {backend: cpu_s(lambda backend=backend: preview(backend)) for backend in backends}
    facts |= {
        f"preview_{backend}_ms_per_frame": round(1000 * seconds / PREVIEW_FRAMES, 1)
        for backend, seconds in spent.items()
    }
    if len(spent) == 2:
        facts["pyrender_over_raster"] = round(spent["pyrender"] / spent["raster"], 2)
    print(json.dumps(facts))


if __name__ == "__main__":
    main()
