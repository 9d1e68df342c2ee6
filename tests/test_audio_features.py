"""The audio encoder: lengths, timing, long and short clips, silence, and the full size by the same
code."""

import numpy as np
import pytest
import torch
from transformers import Wav2Vec2Config, Wav2Vec2FeatureExtractor, Wav2Vec2Model

from emo2.errors import InputError, MissingCheckpoint
from emo2.features.audio import AudioEncoder, listen, receptive_field
from emo2.types import AudioClip

RATE = 16_000


def make_encoder(**options) -> AudioEncoder:
    torch.manual_seed(0)
    config = Wav2Vec2Config(
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        conv_dim=(8, 8),
        conv_kernel=(400, 4),
        conv_stride=(160, 2),
        num_feat_extract_layers=2,
        num_conv_pos_embeddings=8,
        num_conv_pos_embedding_groups=2,
        feat_extract_norm="layer",
        do_stable_layer_norm=True,
        **options,
    )
    return AudioEncoder(Wav2Vec2Model(config), Wav2Vec2FeatureExtractor(do_normalize=True))


@pytest.fixture(scope="module")
def encoder() -> AudioEncoder:
    return make_encoder(chunk_s=4.0, margin_s=1.0)


def noise(seconds: float, seed: int = 0) -> AudioClip:
    samples = np.random.default_rng(seed).normal(0, 0.1, round(seconds * RATE))
    return AudioClip(samples.astype(np.float32))


@pytest.mark.parametrize(("seconds", "frames"), [(0.01, 1), (0.3, 8), (1.0, 24), (27.13, 652)])
def test_one_row_per_film_frame(encoder, seconds, frames):
    features = encoder(noise(seconds), 24.0)
    assert features.hidden_states.shape == (frames, 16)
    assert features.fps == 24.0
    assert np.isfinite(features.hidden_states).all()


def test_one_chunk_is_the_plain_model(encoder):
    """A short clip: nothing but the transformers model and linear interpolation between its hidden
    states."""
    audio = noise(2.0)
    samples = torch.from_numpy(encoder.normalise(audio.samples))[None]
    with torch.no_grad():
        hidden = encoder.model(samples).last_hidden_state[0].numpy()
    centres_s = (np.arange(len(hidden)) * 320 + 880 / 2) / RATE
    expected = [np.interp(np.arange(48) / 24, centres_s, column) for column in hidden.T]
    assert receptive_field(encoder.model.config) == (320, 880)
    assert np.allclose(encoder(audio, 24.0).hidden_states.T, expected, atol=1e-4)


def test_chunks_join_without_a_step(encoder):
    """Frames at a chunk's edge are as near to the whole-clip answer as frames inside: the margin is
    heard."""
    audio = noise(12.0)
    whole = make_encoder(chunk_s=60.0, margin_s=1.0)
    whole.model.load_state_dict(encoder.model.state_dict())
    far = np.abs(encoder(audio, 24.0).hidden_states - whole(audio, 24.0).hidden_states).mean(axis=1)
    edges = np.r_[94:98, 190:194]
    assert far[edges].mean() < 1.5 * np.delete(far, edges).mean() + 1e-6


def test_memory_does_not_grow_with_length(encoder, monkeypatch):
    longest = []
    original = encoder.model.forward

    def watched(samples, *args, **kwargs):
        longest.append(samples.shape[1])
        return original(samples, *args, **kwargs)

    monkeypatch.setattr(encoder.model, "forward", watched)
    encoder(noise(60.0), 24.0)
    assert max(longest) <= (encoder.chunk_s + 2 * encoder.margin_s + 0.1) * RATE


def test_silence_stays_silent(encoder):
    hiss = np.random.default_rng(0).normal(0, 1e-4, RATE).astype(np.float32)
    assert not encoder.normalise(hiss).any()
    assert np.isfinite(encoder(AudioClip(np.zeros(RATE, np.float32)), 24.0).hidden_states).all()


def test_loudness_does_not_matter_and_clipping_does_no_harm(encoder):
    quiet, loud = noise(1.0).samples * 0.1, noise(1.0).samples
    assert np.allclose(encoder.normalise(quiet), encoder.normalise(loud), atol=0.01)
    broken = np.r_[np.full(RATE, 30.0), np.nan, np.inf].astype(np.float32)
    assert np.isfinite(encoder(AudioClip(broken), 24.0).hidden_states).all()


def test_saves_and_loads_strictly(encoder, tmp_path):
    encoder.save_pretrained(tmp_path)
    again = AudioEncoder.from_pretrained(tmp_path)
    audio = noise(1.5)
    assert np.array_equal(again(audio, 24.0).hidden_states, encoder(audio, 24.0).hidden_states)
    assert (again.chunk_s, again.margin_s) == (4.0, 1.0)
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(MissingCheckpoint, match=r"needs model\.safetensors"):
        AudioEncoder.from_pretrained(tmp_path)


def test_missing_weights_are_an_error(encoder, tmp_path):
    from safetensors.torch import load_file, save_file

    encoder.save_pretrained(tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    weights.pop("feature_projection.projection.weight")
    save_file(weights, tmp_path / "model.safetensors", {"format": "pt"})
    with pytest.raises(MissingCheckpoint, match="must hold every weight"):
        AudioEncoder.from_pretrained(tmp_path)


def test_bad_input_is_said(encoder):
    with pytest.raises(InputError, match="must not be empty"):
        encoder(AudioClip(np.zeros(0, np.float32)), 24.0)
    with pytest.raises(InputError, match="16000 Hz"):
        encoder(AudioClip(np.zeros(800, np.float32), sample_rate_hz=8000), 24.0)


def test_full_size_is_the_same_code():
    """wav2vec2-base's shapes, without its weights: 768 wide, seven convolutions, 20 ms per hidden
    state."""
    config = Wav2Vec2Config(num_hidden_layers=1)
    hidden = listen(Wav2Vec2Model(config), torch.zeros(1, RATE), torch.arange(24) / 24, RATE)
    assert receptive_field(config) == (320, 400)
    assert hidden.shape == (1, 24, 768)


def test_pieces_and_stretches_are_the_whole(encoder):
    """Heard piece by piece, or only around some frames: the same features, to the bit."""
    clip = noise(11.0)
    whole = encoder(clip, 24.0).hidden_states
    pieces = [piece.hidden_states for piece in encoder.stream(clip, 24.0)]
    assert len(pieces) > 1
    np.testing.assert_array_equal(np.concatenate(pieces), whole)
    some = encoder(clip, 24.0, between=(100, 130)).hidden_states
    np.testing.assert_array_equal(some[100:130], whole[100:130])
    assert some.shape == whole.shape
    assert (some == 0).all(axis=1).sum() > 100
    assert (encoder(clip, 24.0, between=(260, 300)).hidden_states[-1] == whole[-1]).all()
