"""The journey in Python: the main path's public steps, composed by hand and at once."""

from itertools import islice

import numpy as np
import pytest

from emo2.errors import Cancelled, InputError, MissingCheckpoint
from emo2.media import load_audio, load_image, probe, write_video
from emo2.motion.edit import mirror, trim
from emo2.pipeline import EMO2Pipeline


@pytest.fixture(scope="module")
def studio():
    return EMO2Pipeline.from_pretrained()


@pytest.fixture(scope="module")
def portrait(studio, example_portrait):
    return studio.analyse(load_image(example_portrait)[::2, ::2])


@pytest.fixture(scope="module")
def speech(speech_file):
    return load_audio(speech_file)


def test_every_arrow_by_hand(studio, portrait, speech, tmp_path):
    motion = studio.gesture(speech, style=studio.styles[0], speed=0.6, seed=3)
    assert motion.num_frames == 24
    guidance = studio.guide(portrait, motion, 0, 4)
    assert guidance.num_frames == 4
    hands = list(islice(studio.preview(motion, portrait), 2))
    assert hands[0].shape == portrait.image.shape

    film = tmp_path / "film.mp4"
    frames = studio.render(portrait, speech, mirror(motion), seed=3)
    assert write_video(film, frames, studio.fps, speech) == 24
    found = probe(film)
    assert (found.width, found.height) == (portrait.camera.width_px, portrait.camera.height_px)


def test_both_renderers_move_the_picture(studio, portrait, speech):
    motion = studio.gesture(speech, seed=1)
    for renderer in ("draft", "film"):
        frames = list(studio.render(portrait, speech, motion, renderer=renderer))
        assert len(frames) == 24
        assert all(frame.shape == portrait.image.shape for frame in frames)
        change = np.abs(np.diff(np.stack(frames).astype(np.int16), axis=0))
        assert change.max() > 20, f"{renderer}: nothing moves"


def test_call_composes_the_same_steps(studio, portrait, speech, example_portrait):
    image = load_image(example_portrait)[::2, ::2]
    at_once = next(iter(studio(image, speech, seed=4)))
    motion = studio.gesture(speech, seed=4)
    by_hand = next(iter(studio.render(portrait, speech, motion, seed=4)))
    np.testing.assert_array_equal(at_once, by_hand)


def test_progress_is_reported_and_stop_stops(studio, portrait, speech):
    motion = studio.gesture(speech)
    for renderer in ("draft", "film"):
        seen = []

        def on_step(progress, seen=seen):
            seen.append(progress)
            if len(seen) == 3:
                raise Cancelled

        with pytest.raises(Cancelled):
            list(studio.render(portrait, speech, motion, renderer=renderer, on_step=on_step))
        assert len(seen) == 3
        assert all(0 < p.done <= p.total for p in seen)


def test_a_motion_that_does_not_fit_is_refused(studio, portrait, speech):
    motion = studio.gesture(speech)
    with pytest.raises(InputError, match="24 frames; got 10 frames"):
        studio.render(portrait, speech, trim(motion, 0, 10))
    with pytest.raises(InputError, match="renderer"):
        studio.render(portrait, speech, motion, renderer="watercolour")


def test_a_missing_weight_set_names_the_remedy(tmp_path):
    with pytest.raises(MissingCheckpoint, match=r"config\.json"):
        EMO2Pipeline.from_pretrained(tmp_path)
