"""Every kind of file that comes in, and films whose picture and sound agree."""

import math
import wave
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from PIL import Image, ImageCms

from emo2.errors import Cancelled, InputError
from emo2.media import (
    MAX_IMAGE_PIXELS,
    frame_count,
    load_audio,
    load_image,
    probe,
    read_frames,
    write_video,
)
from emo2.types import AudioClip

FPS = 24.0


def wav(path: Path, samples: np.ndarray, rate_hz: int = 16_000) -> Path:
    """Mono 16-bit wav of float `samples`."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate_hz)
        file.writeframes((np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes())
    return path


@pytest.fixture
def tone(tmp_path) -> Path:
    """0.7 s of 300 Hz at half scale."""
    time = np.arange(round(0.7 * 48_000)) / 48_000
    return wav(tmp_path / "tone.wav", 0.5 * np.sin(2 * np.pi * 300 * time), 48_000)


def pictures(count: int, height: int = 48, width: int = 64):
    """Frames that tell themselves apart: a bright bar whose place counts."""
    for i in range(count):
        frame = np.full((height, width, 3), 40, np.uint8)
        frame[:, (4 * i) % width :][:, :4] = (250, 120, 30)
        yield frame


# --- sound in -----------------------------------------------------------------

ENCODINGS = {
    "u8.wav": ["-c:a", "pcm_u8"],
    "s16.wav": ["-c:a", "pcm_s16le"],
    "s24.wav": ["-c:a", "pcm_s24le"],
    "s32.wav": ["-c:a", "pcm_s32le"],
    "f32.wav": ["-c:a", "pcm_f32le"],
    "f64.wav": ["-c:a", "pcm_f64le"],
    "alaw.wav": ["-c:a", "pcm_alaw"],
    "8k.wav": ["-ar", "8000"],
    "odd_rate.wav": ["-ar", "22257"],
    "192k.wav": ["-ar", "192000", "-c:a", "pcm_s24le"],
    "stereo.wav": ["-ac", "2"],
    "surround.wav": ["-ac", "6"],
    "quad.wav": ["-ac", "4"],
    "three.wav": ["-ac", "3"],
    "a.mp3": ["-c:a", "libmp3lame", "-ac", "2", "-ar", "44100"],
    "a.m4a": ["-c:a", "aac", "-ar", "44100"],
    "a.aac": ["-c:a", "aac"],
    "a.ogg": ["-c:a", "libvorbis"],
    "opus.ogg": ["-c:a", "libopus"],
    "a.webm": ["-c:a", "libopus", "-ac", "2"],
    "a.flac": ["-c:a", "flac", "-ac", "2"],
    "a.aiff": [],
    "no_ending": ["-f", "flac"],
    "wrong_ending.mp3": ["-f", "wav"],
}


@pytest.mark.parametrize("name", ENCODINGS)
def test_sound_survives_every_encoding_and_the_way_into_a_film(tone, tmp_path, ffmpeg, name):
    source = tmp_path / name
    ffmpeg("-i", tone, *ENCODINGS[name], source)

    clip = load_audio(source)

    assert clip.source == source
    assert clip.sample_rate_hz == 16_000
    assert clip.samples.dtype == np.float32
    assert abs(clip.duration_s - 0.7) < 0.06, "lossy codecs may add a packet"
    middle = clip.samples[4_000:8_000]
    assert np.argmax(np.abs(np.fft.rfft(middle))) * 4 == pytest.approx(300, abs=8)
    assert 0.1 < np.abs(middle).max() <= 1.0

    film = tmp_path / "film.mp4"
    frames = frame_count(clip.duration_s, FPS)
    assert write_video(film, pictures(frames), FPS, clip) == frames
    facts = probe(film)
    assert facts.frames == frames
    assert abs(facts.audio_duration_s - clip.duration_s) < 0.001
    # aac knows no rate above 96 kHz and none between its own
    if name not in ("192k.wav", "odd_rate.wav", "opus.ogg", "a.webm"):
        assert facts.sample_rate_hz == probe(source).sample_rate_hz
    assert facts.channels == probe(source).channels


def test_stereo_is_averaged_not_added(tone, tmp_path, ffmpeg):
    ffmpeg("-i", tone, "-af", "volume=1.9,pan=stereo|c0=c0|c1=c0", tmp_path / "loud.wav")
    assert np.abs(load_audio(tmp_path / "loud.wav").samples).max() == pytest.approx(0.95, abs=0.02)


def test_floats_beyond_full_scale_keep_their_shape(tone, tmp_path, ffmpeg):
    ffmpeg("-i", tone, "-af", "volume=8", "-c:a", "pcm_f32le", tmp_path / "hot.wav")
    samples = load_audio(tmp_path / "hot.wav").samples
    assert np.abs(samples).max() == pytest.approx(1.0)
    assert np.mean(samples**2) == pytest.approx(0.5, abs=0.02), "a sine, not a clipped one"


def test_the_first_sound_track_of_a_film(tone, tmp_path, ffmpeg):
    film = tmp_path / "two_tracks.mkv"
    silence = ["-f", "lavfi", "-i", "anullsrc=r=48000:d=2"]
    picture = ["-f", "lavfi", "-i", "testsrc=s=64x64:d=2"]
    ffmpeg("-i", tone, *silence, *picture, "-map", "2", "-map", "0", "-map", "1", film)
    clip = load_audio(film)
    assert clip.duration_s == pytest.approx(0.7, abs=0.05)
    assert np.abs(clip.samples).max() > 0.4


def test_a_cover_picture_is_no_film(tone, tmp_path, ffmpeg):
    Image.new("RGB", (64, 64), "red").save(tmp_path / "cover.png")
    song = tmp_path / "song.mp3"
    ffmpeg("-i", tone, "-i", tmp_path / "cover.png", "-map", "0", "-map", "1", "-c:v", "copy", song)
    assert load_audio(song).duration_s == pytest.approx(0.7, abs=0.05)
    assert probe(song).frames == 0


def test_silence_is_speech_too(tmp_path):
    clip = load_audio(wav(tmp_path / "silence.wav", np.zeros(16_000)))
    assert clip.duration_s == 1.0
    assert not clip.samples.any()


def test_not_a_number_becomes_silence(tmp_path, ffmpeg):
    samples = np.zeros(16_000, np.float32)
    samples[5_000], samples[6_000], samples[7_000] = np.nan, np.inf, 0.5
    samples.tofile(tmp_path / "raw")
    raw = ["-f", "f32le", "-ar", "16000", "-ac", "1", "-i", tmp_path / "raw"]
    ffmpeg(*raw, "-c:a", "pcm_f32le", tmp_path / "nan.wav")
    assert np.isfinite(load_audio(tmp_path / "nan.wav").samples).all()


def test_sound_that_cannot_be_used(tone, tmp_path, ffmpeg):
    empty, text = tmp_path / "empty.wav", tmp_path / "text.mp3"
    empty.touch()
    text.write_text("this is not a recording\n" * 100)
    mute, short = tmp_path / "mute.mp4", wav(tmp_path / "short.wav", np.zeros(300))
    ffmpeg("-f", "lavfi", "-i", "testsrc=s=64x64:d=1", mute)
    broken = tmp_path / "broken.m4a"
    ffmpeg("-i", tone, tmp_path / "whole.m4a")
    whole = (tmp_path / "whole.m4a").read_bytes()
    broken.write_bytes(whole[: len(whole) // 2])  # the index is at the end
    for path, words in {
        tmp_path / "absent.wav": "existing file",
        tmp_path: "existing file",
        empty: "empty",
        text: "readable",
        mute: "sound track",
        short: "at least",
        broken: "readable",
    }.items():
        with pytest.raises(InputError, match=words):
            load_audio(path)


def test_a_playlist_opens_no_other_file(tone, tmp_path):
    (tmp_path / "list.m3u8").write_text(
        f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{tone.name}\n#EXT-X-ENDLIST\n"
    )
    (tmp_path / "concat.wav").write_text(f"ffconcat version 1.0\nfile {tone.name}\n")
    for name in ("list.m3u8", "concat.wav"):
        with pytest.raises(InputError):
            load_audio(tmp_path / name)


def test_the_callers_limit(tone):
    assert load_audio(tone, max_duration_s=0.7).duration_s == pytest.approx(0.7)
    with pytest.raises(InputError, match=r"at most 0\.5 s"):
        load_audio(tone, max_duration_s=0.5)


def test_awkward_names(tone, tmp_path):
    for name in ("-i.wav", "a:b.wav", "100%d.wav", 'with space\'s "quote".wav', "声音.wav"):
        path = tmp_path / name
        path.write_bytes(tone.read_bytes())
        assert load_audio(path).duration_s == pytest.approx(0.7)


# --- pictures in --------------------------------------------------------------


def corner_marks(width: int = 60, height: int = 40) -> np.ndarray:
    """Red top left, green top right, blue bottom left, grey bottom right."""
    image = np.zeros((height, width, 3), np.uint8)
    image[: height // 2, : width // 2] = (255, 0, 0)
    image[: height // 2, width // 2 :] = (0, 255, 0)
    image[height // 2 :, : width // 2] = (0, 0, 255)
    image[height // 2 :, width // 2 :] = (128, 128, 128)
    return image


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["jpeg", "png", "webp"])
def test_every_orientation_comes_out_upright(tmp_path, orientation, kind):
    upright = corner_marks()
    stored = {  # how a camera that notes this orientation stores an upright scene
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.transpose(1, 0, 2),
        6: np.rot90(upright, 1),
        7: upright[::-1, ::-1].transpose(1, 0, 2),
        8: np.rot90(upright, -1),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / f"turned.{kind}"
    Image.fromarray(np.ascontiguousarray(stored)).save(path, exif=exif, quality=100)
    loaded = load_image(path)
    assert loaded.shape == upright.shape
    for y, x in ((10, 15), (10, 45), (30, 15), (30, 45)):
        assert np.abs(loaded[y, x].astype(int) - upright[y, x]).max() < 12


def test_modes_and_depths(tmp_path):
    def saved(image: Image.Image, name: str, **options: object) -> np.ndarray:
        image.save(tmp_path / name, **options)
        loaded = load_image(tmp_path / name)
        assert loaded.dtype == np.uint8
        assert loaded.shape == (image.height, image.width, 3)
        return loaded

    colour = Image.fromarray(corner_marks())
    for kind in ("jpg", "png", "webp"):
        assert saved(colour.convert("L"), f"grey.{kind}").std(axis=2).max() == 0
    assert (saved(colour.quantize(16), "palette.png")[10, 15] == (255, 0, 0)).all()
    assert (saved(colour.convert("1"), "bits.png")[10, 15] <= 255).all()
    wide = Image.fromarray(np.full((8, 8), 32_896, np.uint16))
    assert (saved(wide, "sixteen.png") == 128).all()
    ink = saved(colour.convert("CMYK"), "cmyk.jpg", quality=100)
    assert np.abs(ink[10, 15].astype(int) - (255, 0, 0)).max() < 12
    assert np.abs(ink[30, 45].astype(int) - 128).max() < 12

    glass = np.dstack([corner_marks(), np.zeros((40, 60), np.uint8)])
    glass[:20, :30, 3] = 255
    glass[:20, 30:, 3] = 128
    for kind in ("png", "webp"):
        seen = saved(
            Image.fromarray(glass),
            f"glass.{kind}",
            **({"lossless": True} if kind == "webp" else {}),
        )
        assert np.abs(seen[10, 15].astype(int) - (255, 0, 0)).max() <= 2
        assert np.abs(seen[10, 45].astype(int) - (127, 255, 127)).max() <= 2
        assert (seen[30, 15] == 255).all()
    clear = colour.quantize(16)
    clear.info["transparency"] = clear.getpixel((15, 10))
    assert (saved(clear, "clear.png", transparency=clear.info["transparency"])[10, 15] == 255).all()


@pytest.mark.parametrize("size", [(1, 1), (37, 91), (3000, 17)])
def test_any_size(tmp_path, size):
    Image.new("RGB", size, "teal").save(tmp_path / "a.webp", lossless=True)
    loaded = load_image(tmp_path / "a.webp")
    assert loaded.shape == (size[1], size[0], 3)
    assert (loaded == (0, 128, 128)).all()


def test_colour_profiles_are_applied_and_bad_ones_ignored(tmp_path):
    colour = Image.new("RGB", (8, 8), (200, 100, 50))
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    colour.save(tmp_path / "srgb.png", icc_profile=srgb)
    assert np.abs(load_image(tmp_path / "srgb.png").astype(int) - (200, 100, 50)).max() <= 1
    colour.save(tmp_path / "junk.png", icc_profile=b"not a profile")
    assert (load_image(tmp_path / "junk.png") == (200, 100, 50)).all()


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_a_damaged_exif_block_does_not_matter(tmp_path):
    exif = b"Exif\x00\x00MM\x00*\x00\x00\x00\x08\xff\xff" + b"\xff" * 40
    Image.new("RGB", (8, 8), "white").save(tmp_path / "a.jpg", exif=exif)
    assert (load_image(tmp_path / "a.jpg") > 250).all()


@pytest.mark.parametrize("kind", ["jpg", "png", "webp"])
def test_truncated_pictures(tmp_path, kind):
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
    Image.fromarray(noise).save(tmp_path / f"whole.{kind}")
    whole = (tmp_path / f"whole.{kind}").read_bytes()
    (tmp_path / f"cut.{kind}").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError):
        load_image(tmp_path / f"cut.{kind}")


def test_pictures_that_cannot_be_used(tmp_path, monkeypatch):
    heic = tmp_path / "phone.jpg"
    heic.write_bytes(b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic" + b"\x00" * 64)
    gif, text, empty = tmp_path / "a.png", tmp_path / "b.png", tmp_path / "c.png"
    Image.new("P", (8, 8)).save(gif, format="GIF")
    text.write_text("<svg xmlns='http://www.w3.org/2000/svg'/>")
    empty.touch()
    for path in (heic, gif, text):
        with pytest.raises(InputError, match="JPEG, PNG or WebP"):
            load_image(path)
    for path in (empty, tmp_path / "absent.png", tmp_path):
        with pytest.raises(InputError):
            load_image(path)


def test_a_small_file_cannot_unfold_into_a_huge_picture(tmp_path):
    side = math.isqrt(MAX_IMAGE_PIXELS) + 1
    Image.new("1", (side, side)).save(tmp_path / "large.png")
    Image.new("1", (4 * side, side)).save(tmp_path / "bomb.png")
    for name in ("large.png", "bomb.png"):
        assert (tmp_path / name).stat().st_size < 100_000
        with pytest.raises(InputError, match="million pixels"):
            load_image(tmp_path / name)


# --- films out ----------------------------------------------------------------


@given(st.integers(1, 10**7), st.sampled_from([12.0, 24.0, 24000 / 1001, 25.0, 30.0]))
@example(16_000 * 5, 24.0)
@example(1, 24.0)
def test_frames_cover_the_sound_by_less_than_one(samples, fps):
    duration_s = samples / 16_000
    count = frame_count(duration_s, fps)
    assert count >= 1
    assert count >= duration_s * fps - 1e-6
    assert count == 1 or count - 1 < duration_s * fps


@given(st.integers(1, 10**5), st.sampled_from([24.0, 24000 / 1001, 25.0, 30.0]))
def test_a_whole_number_of_frames_is_that_number(count, fps):
    assert frame_count(count / fps, fps) == count


@pytest.mark.parametrize("samples", [800, 4_800, 16_000, 16_001, 37_123])
def test_picture_and_sound_agree_to_one_frame(tmp_path, speech_like, samples):
    clip = AudioClip(speech_like(3).samples[:samples])
    count = frame_count(clip.duration_s, FPS)
    assert write_video(tmp_path / "a.mp4", pictures(count), FPS, clip) == count
    facts = probe(tmp_path / "a.mp4")
    assert facts.frames == count
    assert facts.fps == pytest.approx(FPS)
    assert facts.audio_duration_s == pytest.approx(clip.duration_s, abs=1e-4)
    assert 0 <= count / FPS - facts.audio_duration_s < 1 / FPS
    assert (facts.sample_rate_hz, facts.channels) == (16_000, 1)
    assert (facts.video_codec, facts.audio_codec) == ("h264", "aac")


def test_ten_minutes_stay_in_step(tmp_path):
    """A click every 60 s is heard on its frame at the beginning and after ten minutes."""
    samples = np.zeros(600 * 16_000)
    samples[:: 60 * 16_000] = 0.9
    source = wav(tmp_path / "long.wav", samples)
    clip = load_audio(source)
    assert clip.duration_s == 600.0
    count = frame_count(clip.duration_s, FPS)
    frame = np.zeros((16, 16, 3), np.uint8)
    assert write_video(tmp_path / "a.mp4", (frame for _ in range(count)), FPS, clip) == 14_400
    facts = probe(tmp_path / "a.mp4")
    assert facts.frames == 14_400
    assert facts.audio_duration_s == pytest.approx(600.0, abs=1e-3)
    heard = load_audio(tmp_path / "a.mp4").samples
    clicks = [np.abs(heard[t * 16_000 :][:800]).argmax() for t in range(0, 600, 60)]
    assert max(clicks) < 160, "within 10 ms"


def test_a_late_sound_track_is_used_as_the_networks_heard_it(tone, tmp_path, ffmpeg):
    """The offset of the first packet is dropped in both places, so that lips stay in step."""
    film = tmp_path / "late.mkv"
    picture = ["-f", "lavfi", "-i", "testsrc=s=64x64:d=2"]
    ffmpeg(*picture, "-itsoffset", "0.5", "-i", tone, "-c:a", "pcm_s16le", film)
    clip = load_audio(film)
    assert clip.duration_s == pytest.approx(0.7)
    write_video(tmp_path / "a.mp4", pictures(17), FPS, clip)
    heard = load_audio(tmp_path / "a.mp4").samples
    assert len(heard) == len(clip.samples)
    assert np.corrcoef(heard, clip.samples)[0, 1] > 0.99


@pytest.mark.parametrize(("height", "width"), [(48, 64), (47, 63), (47, 64), (48, 63), (2, 2)])
def test_pixels_and_order_survive(tmp_path, height, width):
    written = list(pictures(9, height, width))
    write_video(tmp_path / "a.mp4", written, FPS, None)
    read = list(read_frames(tmp_path / "a.mp4"))
    assert len(read) == 9
    for before, after in zip(written, read, strict=True):
        assert after.shape == (height + height % 2, width + width % 2, 3)
        error = np.abs(after[:height, :width].astype(int) - before)
        assert error.mean() < 12, "4:2:0 softens the edges of small colour bars"
        # the added row and column continue the picture instead of framing it in black
        assert np.abs(after[-1].astype(int) - after[-2]).mean() < 12
        assert np.abs(after[:, -1].astype(int) - after[:, -2]).mean() < 12


def test_flat_colours_come_back(tmp_path):
    for colour in [(224, 172, 140), (90, 56, 40), (20, 40, 200), (255, 255, 255), (0, 0, 0)]:
        write_video(tmp_path / "a.mp4", [np.full((32, 32, 3), colour, np.uint8)] * 3, FPS, None)
        for frame in read_frames(tmp_path / "a.mp4"):
            assert np.abs(frame.astype(int) - colour).max() <= 3


def test_the_index_comes_first_and_notes_are_kept(tmp_path, tone):
    notes = {"comment": 'made with "quotes" = and 声', "ai_generated": "true", "emo2_seed": "7"}
    write_video(tmp_path / "a.mp4", pictures(17), FPS, load_audio(tone), notes)
    data = (tmp_path / "a.mp4").read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")
    tags = probe(tmp_path / "a.mp4").tags
    assert tags["ai_generated"] == "true"
    assert tags["emo2_seed"] == "7"
    assert "声" in tags["comment"]


def test_a_recordings_own_tags_do_not_leak(tmp_path, tone, ffmpeg):
    ffmpeg("-i", tone, "-metadata", "artist=Jane Private", tmp_path / "tagged.flac")
    write_video(tmp_path / "a.mp4", pictures(17), FPS, load_audio(tmp_path / "tagged.flac"))
    assert b"Jane" not in (tmp_path / "a.mp4").read_bytes()


def test_frames_that_stop_early_make_a_film_of_their_own(tmp_path, speech_like):
    clip = speech_like(3.0)
    assert write_video(tmp_path / "a.mp4", pictures(24), FPS, clip) == 24
    assert probe(tmp_path / "a.mp4").audio_duration_s == pytest.approx(1.0, abs=1e-3)
    write_video(tmp_path / "b.mp4", pictures(24), FPS, clip, trim_audio_to_video=False)
    assert probe(tmp_path / "b.mp4").audio_duration_s == pytest.approx(3.0, abs=1e-3)


@pytest.mark.parametrize("error", [Cancelled("stop"), KeyboardInterrupt(), ZeroDivisionError()])
def test_an_error_in_the_frames_leaves_nothing_behind(tmp_path, speech_like, error):
    def failing():
        yield from pictures(5)
        raise error

    film = tmp_path / "film.mp4"
    film.write_bytes(b"the film of yesterday")
    with pytest.raises(type(error)):
        write_video(film, failing(), FPS, speech_like(1.0))
    assert film.read_bytes() == b"the film of yesterday"
    assert [p.name for p in tmp_path.iterdir()] == ["film.mp4"]


def test_what_write_video_refuses(tmp_path, speech_like):
    out = tmp_path / "new" / "folder" / "a.mp4"
    clip = speech_like(0.5)
    for frames in (
        [],
        [np.zeros((8, 8), np.uint8)],
        [np.zeros((8, 8, 3), np.float32)],
        [np.zeros((8, 8, 3), np.uint8), np.zeros((8, 10, 3), np.uint8)],
    ):
        with pytest.raises(ValueError, match="frames"):
            write_video(out, frames, FPS, clip)
    with pytest.raises(InputError, match=r"\.mp4"):
        write_video(tmp_path / "a.avi", pictures(2), FPS, clip)
    lost = AudioClip(clip.samples, source=tmp_path / "removed.wav")
    with pytest.raises(RuntimeError, match=r"removed\.wav"):
        write_video(out, pictures(12), FPS, lost)
    assert list(out.parent.iterdir()) == []
    assert write_video(out, pictures(12), FPS, clip) == 12


def test_ffmpegs_own_failure_is_told(tmp_path):
    with pytest.raises(RuntimeError, match="ffmpeg failed"):
        write_video(tmp_path / "a.mp4", pictures(2000, 2, 40_000), FPS, None)


def test_reading_stops_when_the_reader_does(tmp_path):
    write_video(tmp_path / "a.mp4", pictures(200), FPS, None)
    frames = read_frames(tmp_path / "a.mp4")
    next(frames)
    frames.close()
    assert len(list(read_frames(tmp_path / "a.mp4"))) == 200


def test_broken_films(tmp_path):
    write_video(tmp_path / "a.mp4", pictures(50), FPS, None)
    whole = (tmp_path / "a.mp4").read_bytes()
    (tmp_path / "cut.mp4").write_bytes(whole[:300])
    (tmp_path / "text.mp4").write_text("no film")
    for name in ("cut.mp4", "text.mp4", "absent.mp4"):
        with pytest.raises(InputError):
            list(read_frames(tmp_path / name))
        with pytest.raises(InputError):
            probe(tmp_path / name)
