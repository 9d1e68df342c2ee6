"""Lips from the sounds of speech: the lesson, the voices that give it, the network, the measure."""

import itertools
import shutil
from multiprocessing import get_context

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from emo2.cli import main
from emo2.draft.performance import perform
from emo2.draft.speech import RATE_HZ
from emo2.draft.visemes import LipCurves, VisemeNet, log_mel
from emo2.errors import InputError, MissingCheckpoint
from emo2.evaluation.lips import opening, shut_ranks
from emo2.evaluation.phones import AlignedPhone, labials_s
from emo2.training import visemes
from emo2.training.articulation import LABIALS, WISHES, Phone, lips, split
from emo2.training.timed_voices import espeak
from emo2.types import AudioClip

needs_espeak = pytest.mark.skipif(
    shutil.which("espeak-ng") is None, reason="espeak-ng is not installed"
)
DEMO = "checkpoints/demo/visemes"
SCOT = "en-gb-scotland+f2"
"""A voice that the aligner, which learned from people, understands."""


@pytest.fixture(scope="module")
def net() -> VisemeNet:
    return VisemeNet.load(DEMO)


def say(text, voice, rate=165):
    """By a process of its own: espeak-ng's library never says the same twice alike."""
    with get_context("fork").Pool(1, maxtasksperchild=1) as pool:
        return pool.apply(espeak, (text, voice, rate))


def sequence(names, length_s=0.1):
    return [Phone(name, i * length_s, (i + 1) * length_s) for i, name in enumerate(names)]


def at(curves, phone):
    """(3,) in the middle of a phone."""
    return curves[int((phone.start_s + phone.stop_s) / 2 * RATE_HZ)]


# The lesson


@given(st.lists(st.sampled_from(sorted(WISHES)), min_size=1, max_size=12))
@settings(max_examples=60, deadline=None)
def test_labials_shut_the_lips_whatever_stands_beside_them(names):
    phones = sequence(names)
    curves = lips(phones, 0.1 * len(names))
    assert len(curves) == 10 * len(names)
    assert (curves[:, 0] >= 0).all()
    assert (curves[:, 0] <= 1).all()
    assert (np.abs(curves[:, 1]) <= 1).all()
    for phone in phones:
        opened, _, press = at(curves, phone)
        if phone.name in LABIALS:
            assert press == 1
            assert opened == 0
    if not LABIALS.intersection(names):
        assert not curves[:, 2].any()


def test_vowels_differ_as_mouths_do():
    wide, narrow, rounded = (at(lips(sequence(v), 0.1), sequence(v)[0]) for v in ("a", "i", "u"))
    assert wide[0] > 0.8 > narrow[0] > rounded[0]
    assert narrow[1] > 0.5
    assert rounded[1] < -0.8


def test_neighbours_shape_each_other():
    """The s of "su" is rounded before its vowel comes; that of "si" is not."""
    before_u, before_i = (lips(sequence(word), 0.2)[8, 1] for word in ("su", "si"))
    assert before_u < -0.1
    assert before_i > 0.2


def test_diphthongs_and_affricates_are_two_sounds():
    assert [p.name for p in split(Phone("aɪ", 0, 1))] == ["a", "ɪ"]
    assert [p.name for p in split(Phone("tʃ", 0, 1))] == ["t", "ʃ"]
    assert [p.name for p in split(Phone("iː", 0, 1))] == ["i"]
    (pause,) = split(Phone("", 0.5, 1))
    assert (pause.name, pause.start_s, pause.stop_s) == ("", 0.5, 1)


# The voices


@needs_espeak
def test_espeak_tells_its_sounds_in_order():
    sound, phones = say("Papa made a big map.", "en-us")
    names = [p.name for p in phones if p.name]
    assert names[0] == "p"
    assert names.count("m") == 2
    assert sum(name in LABIALS for name in names) == 6
    assert all(a.stop_s <= b.start_s + 1e-6 for a, b in itertools.pairwise(phones))
    assert phones[-1].stop_s == pytest.approx(len(sound) / 16000, abs=0.02)


@needs_espeak
def test_a_stop_owns_the_silence_before_its_burst():
    sound, phones = say("a papa", "en-us")
    middle = [p for p in phones if p.name == "p"][-1]
    assert middle.stop_s - middle.start_s > 0.04
    start = round((middle.start_s + 0.01) * 16000)
    assert np.abs(sound[start : start + 160]).max() < 0.05 * np.abs(sound).max()


@needs_espeak
def test_words_of_another_language_bring_no_sounds_that_are_not_said():
    _, phones = say("mama", "ru")  # Latin letters: espeak-ng reads them as English, and says so
    assert [p.name[:1] for p in phones if p.name] == ["m", "a", "m", "ɐ"]


@needs_espeak
def test_a_voice_that_is_not_there_is_named():
    with pytest.raises(InputError, match="nobody"):
        say("hello", "nobody")


@needs_espeak
def test_recordings_follow_from_the_seed_alone():
    """However many processes make them, and whatever was said before."""
    config = visemes.VisemeConfig(recordings=4, seed=5)
    one, two = (visemes.make_recordings(config, 40, workers) for workers in (1, 2))
    for (mel, wanted), (same_mel, same_wanted) in zip(one, two, strict=True):
        assert np.array_equal(mel, same_mel)
        assert np.array_equal(wanted, same_wanted)
        assert len(mel) == len(wanted)
    assert not np.array_equal(one[0][0][:20], one[1][0][:20])


# The network


def test_it_hears_the_same_at_any_level_and_as_long_as_the_sound(net):
    rng = np.random.default_rng(0)
    sound = (0.1 * rng.normal(size=16000 * 2) * (1 + np.sin(np.arange(32000) / 900))).astype("f4")
    loud, soft = (net.read_lips(AudioClip(sound * gain)) for gain in (1.0, 0.01))
    assert len(loud.open) == 2 * RATE_HZ
    assert np.abs(loud.press - soft.press).max() < 1e-3
    for curve, low in ((loud.open, 0), (loud.press, 0), (loud.spread, -1)):
        assert low <= curve.min()
        assert curve.max() <= 1


@pytest.mark.parametrize("samples", [0, 1, 100, 8000])
def test_short_and_silent_sounds_are_heard_too(net, samples):
    curves = net.read_lips(AudioClip(np.zeros(samples, np.float32)))
    assert len(curves.open) == max(1, round(samples / 160))
    assert np.isfinite(curves.open).all()


def test_a_network_that_is_not_there_is_named(tmp_path):
    with pytest.raises(MissingCheckpoint, match="train visemes"):
        VisemeNet.load(tmp_path)


@needs_espeak
def test_the_demo_shuts_on_labials_of_a_voice_it_did_not_learn(net):
    """Robert and Annie are not among the timbres of its training."""
    for timbre in ("+robert", "+Annie"):
        sound, phones = say("Papa made a big map, Bobby may buy my pumpkin.", "en-us" + timbre)
        told = net.read_lips(AudioClip(sound))
        labial, vowel = [], []
        for phone in phones:
            index = int((phone.start_s + phone.stop_s) / 2 * RATE_HZ)
            if phone.name in LABIALS:
                labial.append(told.press[index])
            elif phone.name[:1] in ("a", "e", "ɑ", "ʌ", "æ", "i"):
                vowel.append(told.press[index])
        assert np.mean(labial) > np.mean(vowel) + 0.3


@needs_espeak
def test_the_demo_tells_round_from_spread_and_wide(net):
    def middle(text):
        told = net.read_lips(AudioClip(say(text, "de+m3")[0]))
        third = len(told.open) // 3
        return np.mean(told.open[third:-third]), np.mean(told.spread[third:-third])

    (wide, _), (_, spread), (small, rounded) = middle("aah"), middle("sieh"), middle("duh")
    assert wide > small
    assert spread > rounded + 0.4


def test_it_learns(tmp_path, monkeypatch):
    """A lesson made up: some bands say how open, how round, and when shut."""
    rng = np.random.default_rng(0)

    def recording():
        mel = np.repeat(rng.normal(size=(60, 40)), 10, axis=0)[: int(rng.integers(200, 600))]
        shut = mel[:, 3] > 0.8
        lesson = [1 / (1 + np.exp(-2 * mel[:, 1])) * ~shut, np.tanh(mel[:, 2]), shut]
        return mel.astype(np.float16), np.stack(lesson, axis=1).astype(np.float16)

    monkeypatch.setattr(visemes, "make_recordings", lambda *_: [recording() for _ in range(60)])
    config = visemes.VisemeConfig(steps=80, batch=8, width=32)
    net, found = visemes.train(config, workers=1)
    assert found["open"] < 0.6 * found["open_mean"]
    assert found["spread"] < 0.6 * found["spread_mean"]
    assert found["press_auc"] > 0.9
    net.save_pretrained(tmp_path)
    again = VisemeNet.load(tmp_path)
    mel = torch.from_numpy(log_mel(AudioClip(np.zeros(8000, np.float32)), 40))[None]
    assert torch.equal(again(mel), net(mel))


def test_training_says_what_is_too_little(capsys):
    assert main(["train", "visemes", "--out", "x", "--recordings", "3"]) == 2
    assert "--recordings" in capsys.readouterr().err


# In the mouth


def curves(points, **values):
    zeros = {name: np.zeros(points, np.float32) for name in ("open", "spread", "press")}
    return LipCurves(**(zeros | values))


def test_the_mouth_follows_the_sounds():
    rng = np.random.default_rng(0)
    audio = AudioClip((0.2 * rng.normal(size=32000)).astype(np.float32) * _gate(32000))
    points, half = 200, np.zeros(200, np.float32)
    half[100:] = 1
    shut = perform(audio, 48, 24.0, lips=curves(points, press=half))
    wide = perform(audio, 48, 24.0, lips=curves(points, open=half))
    round_ = perform(audio, 48, 24.0, lips=curves(points, spread=-half))
    assert opening(shut)[30:44].mean() < 0.3 * opening(shut)[4:20].mean()
    assert opening(wide)[30:44].mean() > 1.5 * opening(wide)[4:20].mean()
    assert round_.spread[30:44].mean() < -0.5


def test_lips_do_nothing_in_silence():
    silence = AudioClip(np.zeros(32000, np.float32))
    ones = np.ones(200, np.float32)
    still = perform(silence, 48, 24.0, lips=LipCurves(ones, ones, ones))
    assert not still.jaw.any()
    assert not still.press.any()
    assert not still.spread.any()


def _gate(count):
    """Syllables of 150 ms with gaps: steady noise counts as none."""
    return (np.arange(count) % 4000 < 2600).astype(np.float32)


# The measure


def test_ranks_by_hand():
    gap = np.array([5, 5, 5, 0, 5, 5, 5, 5, 9, 5.0])
    assert shut_ranks(gap, np.array([3.5 / 24]), 24).tolist() == [0.0]
    assert shut_ranks(gap, np.array([1.5 / 24]), 24).tolist() == [0.0]  # two frames away
    assert shut_ranks(gap, np.array([7.5 / 24]), 24).tolist() == [0.1]
    assert shut_ranks(gap, np.array([0.0, 5.0]), 24).tolist() == [0.1, 0.1]  # beyond the end


def test_labials_are_found_among_phones():
    phones = [AlignedPhone("P", 0, 0.1), AlignedPhone("AH", 0.1, 0.2), AlignedPhone("M", 0.2, 0.3)]
    assert labials_s(phones) == pytest.approx([0.05, 0.25])


@needs_espeak
def test_an_independent_aligner_agrees_with_the_voice(tmp_path):
    pytest.importorskip("pocketsphinx")
    from emo2.evaluation.phones import Aligner

    text = "good morning my name is bob and i am happy to meet you"
    sound, phones = say(text, SCOT, rate=140)
    found = labials_s(Aligner()(AudioClip(sound), text))
    told = np.array([(p.start_s + p.stop_s) / 2 for p in phones if p.name in LABIALS])
    assert len(found) == 8
    assert np.median([np.abs(found - moment).min() for moment in told]) < 0.06


@needs_espeak
def test_lips_are_evaluated_on_the_command_line(tmp_path, capsys):
    pytest.importorskip("pocketsphinx")
    import soundfile

    text = "good morning my name is bob and i am happy to meet you"
    soundfile.write(tmp_path / "a.wav", say(text, SCOT, rate=140)[0], 16000)
    (tmp_path / "a.txt").write_text(text)
    assert main(["evaluate", "lips", "--speech", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert "8 p, b and m in 1 recordings" in out
    assert all(name in out for name in ("visemes", "formants", "loudness alone"))
    (tmp_path / "empty").mkdir()
    assert main(["evaluate", "lips", "--speech", str(tmp_path / "empty")]) == 2
