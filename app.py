"""The page of EMO2 Studio: `python app.py`, or a Hugging Face Space. GRADIO_SERVER_NAME and
GRADIO_SERVER_PORT are honoured; EMO2_CHECKPOINT names another weight set."""

import os
from pathlib import Path

from emo2.jobs.worker import Worker
from emo2.pipeline import DEMO_CHECKPOINT, EMO2Pipeline
from emo2.ui.handlers import Studio, load_examples
from emo2.ui.layout import build_page
from emo2.ui.session import SessionStore
from emo2.ui.theme import launch_options

ASSETS = Path(__file__).resolve().parent / "assets"
ON_SPACES = "SPACE_ID" in os.environ


def main() -> None:
    """Build the pipeline and the page, and serve until interrupted."""
    pipeline = EMO2Pipeline.from_pretrained(os.environ.get("EMO2_CHECKPOINT", DEMO_CHECKPOINT))
    worker = Worker()
    studio = Studio(pipeline, SessionStore(), worker, load_examples(ASSETS))
    page = build_page(studio)
    # The page answers at once; what the first visitor needs is loaded meanwhile.
    worker.run_quietly(studio.warm_up)
    page.launch(
        server_name=os.environ.get("GRADIO_SERVER_NAME", "0.0.0.0" if ON_SPACES else "127.0.0.1"),
        server_port=int(os.environ.get("GRADIO_SERVER_PORT", "7860")),
        **launch_options(max_file_mb=max(studio.limits.audio_mb, studio.limits.image_mb)),
    )


if __name__ == "__main__":
    main()
