"""The voices of the corpus: real recordings, and what happens to any voice on its way to a
microphone."""

import pickle
import shutil

import numpy as np
import pytest
import soundfile

from emo2.errors import InputError
from emo2.training import synthesisers
from emo2.training.synthesisers import Recordings, choose_speaker
from emo2.training.voices import record, speak

RATE = 16_000


def tone(hertz: float, seconds: float) -> np.ndarray:
    return 0.4 * np.sin(2 * np.pi * hertz * np.arange(round(seconds * RATE)) / RATE)


@pytest.fixture
def folder(tmp_path):
    """Two speakers of one pitch each; one file of the first is too short to be a phrase."""
    for name, hertz in (("anna", 220.0), ("ben", 110.0)):
        (tmp_path / name).mkdir()
        for number in range(3):
            soundfile.write(tmp_path / name / f"{number}.wav", tone(hertz, 1.0 + number / 2), RATE)
    soundfile.write(tmp_path / "anna" / "short.wav", tone(900.0, 0.1), RATE)
    (tmp_path / "anna" / "notes.txt").write_text("not a sound")
    return tmp_path


def pitch(samples: np.ndarray) -> float:
    return float(np.abs(np.fft.rfft(samples, 4 * RATE)).argmax() / 4)


def test_recordings_are_found_by_speaker(folder):
    found = Recordings.find(folder)
    assert [len(paths) for paths in found.speakers] == [4, 3]
    with pytest.raises(InputError, match="sound files"):
        Recordings.find(folder / "anna" / "nothing")


def test_a_speaker_keeps_their_voice_and_strangers_differ(folder):
    heard = []
    for seed in range(12):
        say = Recordings.find(folder).speaker(np.random.default_rng(seed))
        pitches = [pitch(say()) for _ in range(3)]
        assert np.ptp(pitches) < 2.0, "one clip, one voice"
        heard.append(pitches[0])
    low, high = min(heard), max(heard)
    assert 110 * 0.85 < low < 110 * 1.17 < 220 * 0.85 < high < 220 * 1.17
    assert len(np.unique(np.round(heard))) > 4, "nobody is heard twice at the same pitch"


def test_speech_fills_the_clip_with_phrases_and_pauses(folder, monkeypatch):
    monkeypatch.setattr(synthesisers, "SHARES", {"recordings": 1.0})
    monkeypatch.setattr(synthesisers, "_program", lambda name, needed=False: None)
    sound = speak(np.random.default_rng(3), 12.0, Recordings.find(folder))
    assert sound.shape == (12 * RATE,)
    assert np.abs(sound).max() < 1
    loud = np.abs(sound).reshape(-1, RATE // 10).max(axis=1) > 0.01
    assert 0.3 < loud.mean() < 0.98


def test_a_missing_synthesiser_says_what_to_install(monkeypatch):
    synthesisers._program.cache_clear()
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(InputError, match="apt-get install espeak-ng"):
        choose_speaker(np.random.default_rng(0))
    synthesisers._program.cache_clear()


def test_an_error_of_a_worker_process_arrives_whole():
    raised = InputError("speech", "must be sound", "silence", "Speak up.")
    arrived = pickle.loads(pickle.dumps(raised))
    assert type(arrived) is InputError
    assert (str(arrived), arrived.remedy) == (str(raised), "Speak up.")


def test_a_recording_keeps_the_syllables_and_the_range():
    speech = (tone(200.0, 4.0) * (np.sin(2 * np.pi * np.arange(4 * RATE) / RATE) > 0)).astype("f4")
    for seed in range(6):
        heard = record(np.random.default_rng(seed), speech)
        assert heard.shape == speech.shape
        assert np.abs(heard).max() <= 1
        envelopes = [np.abs(x).reshape(-1, 400).mean(axis=1) for x in (speech, heard)]
        assert np.corrcoef(*envelopes)[0, 1] > 0.7
