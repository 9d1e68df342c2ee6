"""Gestures by retrieval: a corpus's own motion, found by sound, joined without a jump."""

import numpy as np
import pytest
from motions import same, steps
from toy_corpus import toy_corpus

from emo2.errors import InputError
from emo2.evaluation import retrieval_index
from emo2.evaluation.retrieval import Retrieval
from emo2.evaluation.retrieval_index import Index, prosodic_curves
from emo2.stage1.representation import HANDS, to_channels
from emo2.training.corpus_folder import Corpus
from emo2.types import AudioClip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return toy_corpus(tmp_path_factory.mktemp("corpus"))


@pytest.fixture(scope="module")
def performer(folder) -> Retrieval:
    return Retrieval(folder)


def clip_of(corpus: Corpus, number: int, start_s: float = 0, stop_s: float = 6) -> AudioClip:
    samples = corpus.audio[number, round(16000 * start_s) : round(16000 * stop_s)]
    return AudioClip(samples / np.float32(32768))


def test_speech_of_the_corpus_finds_itself(folder):
    """The middle of a clip is nearest to that clip, at that frame."""
    corpus = Corpus.load(folder)
    index = Index.of(corpus, folder / "retrieval.npz")
    for number in range(len(corpus.audio)):
        curves = prosodic_curves(clip_of(corpus, number), 144)
        clips, places, costs = index.nearest(curves, np.array([48]), 24, 10, 3, np.arange(6))
        assert clips[0, 0] == number
        assert abs(places[0, 0] - 48) <= 1
        assert costs[0, 0] < 0.01 < costs[0, 1]
        assert (np.diff(costs[0]) >= 0).all()


def test_the_corpus_s_own_motion_is_played(performer, folder):
    """Heard again, a clip gets its own motion back wherever no other clip sounds like it."""
    corpus = Corpus.load(folder)
    motion = performer(clip_of(corpus, 2), "quiet", seed=0)
    channels = to_channels(motion.quaternions, motion.translation_m)
    own = np.asarray(corpus.channels[2, 0], np.float32)
    wrists = np.abs(HANDS.places_m(channels) - HANDS.places_m(own)).max(axis=(1, 2))
    assert (wrists < 5e-3).mean() > 0.5


@pytest.mark.parametrize("seconds", [0.02, 0.7, 3.3, 21.0])
def test_any_length(performer, speech_like, seconds):
    motion = performer(speech_like(seconds, seed=40), "wide", seed=1)
    assert motion.num_frames == max(1, int(np.ceil(seconds * 24 - 1e-6)))
    assert np.abs(np.linalg.norm(motion.quaternions, axis=-1) - 1).max() < 1e-5


def test_no_jump_where_stretches_meet(performer, speech_like):
    """Eight metres a second is more than the corpus has: a cut without a fade would have more."""
    motion = performer(speech_like(15.0, seed=41), "quiet", seed=0)
    moved, turned = steps(motion)
    assert moved.max() * 24 < 2.0
    assert turned.max() < 0.5


def test_seeds_and_styles_differ_and_repeat(performer, speech_like):
    audio = speech_like(8.0, seed=42)
    assert same(performer(audio, "quiet", 0), performer(audio, "quiet", 0))
    others = [performer(audio, "quiet", seed) for seed in range(1, 5)]
    assert any(not same(performer(audio, "quiet", 0), other) for other in others)
    spread = {
        style: performer(audio, style, 0).translation_m.std(axis=0).mean()
        for style in performer.styles
    }
    assert spread["wide"] > 2 * spread["quiet"]
    with pytest.raises(InputError, match="style"):
        performer(audio, "loud", 0)


def test_silence_and_steady_noise_have_no_curves():
    noise = np.random.default_rng(0).normal(0, 0.1, 32000).astype(np.float32)
    for samples in (np.zeros(32000, np.float32), noise):
        assert not prosodic_curves(AudioClip(samples), 48).any()


def test_loudness_and_voice_level_drop_out(speech_like):
    clip = speech_like(3.0)
    quiet = AudioClip(clip.samples * 0.2)
    here, there = (prosodic_curves(c, 72) for c in (clip, quiet))
    assert np.abs(here - there).max() < 0.1


def test_the_index_is_kept_and_distrusted_when_the_sounds_change(folder, tmp_path, monkeypatch):
    corpus, file = Corpus.load(folder), tmp_path / "index.npz"
    first = Index.of(corpus, file)
    monkeypatch.setattr(retrieval_index, "prosodic_curves", None)  # listening again would fail
    assert np.array_equal(Index.of(corpus, file).curves, first.curves)
    monkeypatch.undo()
    other = Corpus.load(toy_corpus(tmp_path / "other", clips=3))
    assert len(Index.of(other, file).curves) == 3
