"""Files in, files out: speech, portraits and films, through ffmpeg's pipes and Pillow.

A path may come from a stranger: contents are recognised by what they are, never by their name;
playlists, links to other files and network addresses are not followed; nothing passes a shell.
"""

from __future__ import annotations

import io
import math
import os
import re
import struct
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain
from pathlib import Path

import imageio_ffmpeg
import numpy as np
from PIL import Image, ImageCms, ImageOps

from emo2.errors import InputError
from emo2.types import NETWORK_SAMPLE_RATE_HZ, AudioClip, Frame

IMAGE_FORMATS = ("JPEG", "PNG", "WEBP")
MAX_IMAGE_PIXELS = 80_000_000
MIN_AUDIO_S = 0.05
# Containers that hold their own sound or picture. Playlists (hls, dash, concat, ...) and image
# sequences are left out: they make ffmpeg open further files.
_CONTAINERS = (
    "aac,ac3,aiff,amr,ape,asf,au,avi,caf,eac3,flac,flv,m4v,matroska,mov,mp3,mpeg,mpegts,ogg,"
    "swf,tak,tta,voc,w64,wav,wv"
)
_AUDIO_REMEDY = "Use a wav, mp3, m4a, ogg, flac or webm recording, or a film with a sound track."
_IMAGE_REMEDY = "Save the picture as JPEG, PNG or WebP and try again."
_FILM_REMEDY = "Use an mp4, mov, webm, mkv or avi file."


@dataclass(frozen=True)
class MediaFacts:
    """What a media file holds. Of a picture or sound that is not there: 0 and ""."""

    duration_s: float
    """The longer of picture and sound."""
    fps: float
    frames: int
    width: int
    height: int
    video_codec: str
    """As ffmpeg calls it: "h264", ..."""
    audio_duration_s: float
    sample_rate_hz: int
    channels: int
    audio_codec: str
    tags: Mapping[str, str]
    """The container's metadata."""


def frame_count(duration_s: float, fps: float) -> int:
    """Frames of a film that covers `duration_s` of sound: rounded up beyond 1e-6, never 0."""
    return max(1, math.ceil(duration_s * fps - 1e-6))


def load_audio(path: str | Path, *, max_duration_s: float | None = None) -> AudioClip:
    """The first sound track of `path` as mono float32 at 16 kHz; `source` is the untouched file.

    Channels are averaged. A recording that leaves [-1, 1] is scaled down as a whole. Never decodes
    much more than `max_duration_s`. Raises `InputError`.
    """
    path = _existing(path, "audio", _AUDIO_REMEDY)
    # Without rematrix_maxval ffmpeg mixes stereo to floats at +3 dB: centred voices leave [-1, 1].
    mix = f"aresample={NETWORK_SAMPLE_RATE_HZ}:ochl=mono:osf=flt:rematrix_maxval=1"
    outputs = ["-map", "0:a:0", "-af", mix]
    if max_duration_s is not None:
        outputs += ["-t", f"{max_duration_s + 1:.3f}"]
    done = _ffmpeg([*_input(path), *outputs, "-f", "f32le", "-"])
    if done.returncode != 0:
        reason = _last_line(done.stderr)
        rule = "must have a sound track" if "matches no streams" in reason else "must be readable"
        raise InputError("audio", rule, f"{path.name} ({reason})", _AUDIO_REMEDY)
    samples = np.nan_to_num(np.frombuffer(done.stdout, np.float32), posinf=0.0, neginf=0.0)
    samples = samples / max(1.0, float(np.abs(samples).max(initial=0.0)))
    duration_s = len(samples) / NETWORK_SAMPLE_RATE_HZ
    if duration_s < MIN_AUDIO_S:
        rule, value = f"must last at least {MIN_AUDIO_S} s", f"{duration_s:.3f} s in {path.name}"
        raise InputError("audio", rule, value, "Check that the recording is not empty.")
    if max_duration_s is not None and duration_s > max_duration_s:
        rule = f"must last at most {max_duration_s:g} s"
        raise InputError("audio", rule, path.name, "Cut it into shorter pieces.")
    return AudioClip(samples, source=path)


def load_image(path: str | Path) -> Frame:
    """A JPEG, PNG or WebP as (H, W, 3) uint8 sRGB, turned upright by its EXIF note.

    What is transparent becomes white; of an animation, the first picture. Raises `InputError`.
    """
    path = _existing(path, "portrait", _IMAGE_REMEDY)
    try:
        image = Image.open(path, formats=IMAGE_FORMATS)
    except Image.DecompressionBombError:
        raise _too_large(path.name) from None
    except (OSError, SyntaxError, ValueError):
        rule = "must be a JPEG, PNG or WebP picture"
        raise InputError("portrait", rule, path.name, _IMAGE_REMEDY) from None
    with image:
        if image.width * image.height > MAX_IMAGE_PIXELS:
            raise _too_large(f"{image.width} x {image.height} in {path.name}")
        try:
            image.load()
        except (OSError, SyntaxError, ValueError, struct.error) as error:
            value = f"{path.name} ({error})"
            raise InputError("portrait", "must be complete", value, _IMAGE_REMEDY) from None
        return np.array(_to_srgb(_upright(image)))


def write_video(
    path: str | Path,
    frames: Iterable[Frame],
    fps: float,
    audio: AudioClip | None,
    metadata: Mapping[str, str] | None = None,
    *,
    trim_audio_to_video: bool = True,
) -> int:
    """Stream `frames` into `path`, an mp4 of H.264 4:2:0 and AAC; return how many there were.

    The sound is `audio.source` as recorded (rate, channels, length), or `audio.samples` where there
    is no file. If `frames` end before the sound does, its rest is cut off, so that the frames so
    far make a film of their own; `trim_audio_to_video=False` keeps it. Odd widths and heights,
    which 4:2:0 cannot hold, repeat their last column or row. `metadata` keys may have any name. The
    file appears only when it is complete: on any error, one raised by `frames` included, nothing is
    left behind. Raises `RuntimeError` with ffmpeg's last words.
    """
    path = Path(path)
    if path.suffix.lower() != ".mp4":
        raise InputError("out", "must end in .mp4", path.name, "Name the film something.mp4.")
    path.parent.mkdir(parents=True, exist_ok=True)
    # Beside the target, because os.replace is atomic only within one file system.
    with tempfile.TemporaryDirectory(prefix=".emo2-", dir=path.parent) as folder:
        picture, film = Path(folder) / "picture.mp4", Path(folder) / "film.mp4"
        count = _encode_picture(picture, iter(frames), fps)
        inputs, outputs = _input(picture), ["-map", "0:v:0", "-c:v", "copy"]
        if audio is not None:
            inputs += _sound_input(audio, Path(folder) / "samples.f32")
            # Timestamps are counted anew, as in `load_audio`: no late start may shift the lips.
            sound = "asetpts=N/SR/TB"
            if trim_audio_to_video and count < frame_count(audio.duration_s, fps):
                sound += f",atrim=end={count / fps:.6f}"
            outputs += ["-map", "1:a:0", "-af", sound, "-c:a", "aac", "-b:a", "192k"]
        # No other metadata: a recording's tags may hold names and places.
        outputs += ["-map_metadata", "-1"]
        for key, value in (metadata or {}).items():
            outputs += ["-metadata", f"{key}={value}"]
        outputs += ["-movflags", "+faststart+use_metadata_tags", "-f", "mp4", _url(film)]
        done = _ffmpeg([*inputs, *outputs])
        if done.returncode != 0:
            raise _encoding_error(done.stderr)
        os.replace(film, path)
    return count


def read_frames(path: str | Path) -> Iterator[Frame]:
    """Every picture of a film in order, (H, W, 3) uint8, one in memory at a time.

    Raises `InputError`.
    """
    path = _existing(path, "video", _FILM_REMEDY)
    outputs = ["-map", "0:V:0", "-fps_mode", "passthrough", "-c:v", "ppm", "-f", "image2pipe", "-"]
    with tempfile.TemporaryFile() as log:
        command = _command([*_input(path), *outputs])
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log)
        try:
            while process.stdout.readline() == b"P6\n":
                width, height = map(int, process.stdout.readline().split())
                process.stdout.readline()  # the largest value, 255
                data = process.stdout.read(3 * width * height)
                yield np.frombuffer(data, np.uint8).reshape(height, width, 3)
            if process.wait() != 0:
                log.seek(0)
                value = f"{path.name} ({_last_line(log.read())})"
                raise InputError("video", "must be a readable film", value, _FILM_REMEDY)
        finally:
            process.kill()
            process.stdout.close()
            process.wait()


def probe(path: str | Path) -> MediaFacts:
    """What `path` holds: packets are counted and sound is decoded, as headers may be wrong.

    Raises `InputError`.
    """
    path = _existing(path, "media", _FILM_REMEDY)
    streams, packets = _packets(path, ["-map", "0:V:0?", "-map", "0:a:0?", "-c", "copy"])
    picture = next((s for s in streams if s["media_type"] == "video"), None)
    sound = next((s for s in streams if s["media_type"] == "audio"), None)
    frames, picture_s, width, height, sound_s, channels = 0, 0.0, 0, 0, 0.0, 0
    if picture:
        rows = [row for row in packets if row[0] == 0]  # the picture is mapped first
        frames, picture_s = len(rows), float(sum(row[3] for row in rows) * Fraction(picture["tb"]))
        width, height = map(int, picture["dimensions"].split("x"))
    if sound:
        (pcm,), rows = _packets(path, ["-map", "0:a:0", "-c:a", "pcm_s16le"])
        sound_s = float(sum(row[3] for row in rows) * Fraction(pcm["tb"]))
        channels = rows[0][4] // (2 * rows[0][3]) if rows else 0
    tags = _printed(path, ["-t", "0", "-f", "ffmetadata", "-"]).split("[STREAM]")[0]
    return MediaFacts(
        duration_s=max(picture_s, sound_s),
        fps=frames / picture_s if picture_s else 0.0,
        frames=frames,
        width=width,
        height=height,
        video_codec=picture["codec_id"] if picture else "",
        audio_duration_s=sound_s,
        sample_rate_hz=int(sound["sample_rate"]) if sound else 0,
        channels=channels,
        audio_codec=sound["codec_id"] if sound else "",
        tags=dict(line.split("=", 1) for line in tags.splitlines() if "=" in line),
    )


def _existing(path: str | Path, argument: str, remedy: str) -> Path:
    path = Path(path)
    if not path.is_file():  # nor a folder, nor a pipe that never ends
        raise InputError(argument, "must be an existing file", path, "Check the path.")
    if path.stat().st_size == 0:
        raise InputError(argument, "must not be empty", path.name, remedy)
    return path


def _command(arguments: list[str]) -> list[str]:
    executable = imageio_ffmpeg.get_ffmpeg_exe()
    return [executable, "-nostdin", "-hide_banner", "-loglevel", "error", "-y", *arguments]


def _ffmpeg(arguments: list[str]) -> subprocess.CompletedProcess:
    return subprocess.run(_command(arguments), capture_output=True, check=False)


def _url(path: Path) -> str:
    """With its protocol named, a path like "-x", "a:b" or "%d" is read as nothing else."""
    return f"file:{path.resolve()}"


def _input(path: Path) -> list[str]:
    guard = ["-protocol_whitelist", "file", "-format_whitelist", _CONTAINERS]
    return [*guard, "-i", _url(path)]


def _sound_input(audio: AudioClip, scratch: Path) -> list[str]:
    if audio.source is not None:
        return _input(audio.source)
    audio.samples.tofile(scratch)
    return ["-f", "f32le", "-ar", str(audio.sample_rate_hz), "-ac", "1", "-i", _url(scratch)]


def _last_line(stderr: bytes) -> str:
    lines = stderr.decode(errors="replace").strip().splitlines()
    return lines[-1] if lines else "no message"


def _encoding_error(stderr: bytes) -> RuntimeError:
    words = "\n".join(stderr.decode(errors="replace").strip().splitlines()[-8:])
    return RuntimeError(f"ffmpeg failed:\n{words}")


def _encode_picture(path: Path, frames: Iterator[Frame], fps: float) -> int:
    """`frames` as a silent H.264 film, its colours tagged; how many there were."""
    first = next(frames, None)
    if first is None:
        raise ValueError("frames: must hold at least one picture")
    height, width = first.shape[:2]
    padding = ((0, height % 2), (0, width % 2), (0, 0))
    size, rate = f"{width + width % 2}x{height + height % 2}", Fraction(fps).limit_denominator(1001)
    colours = (
        "scale=out_color_matrix=bt709:out_range=tv:flags=accurate_rnd+full_chroma_int,format=yuv420p,"
        "setparams=colorspace=bt709:color_primaries=bt709:color_trc=bt709:range=tv"
    )
    inputs = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", size, "-r", str(rate), "-i", "pipe:0"]
    codec = ["-vf", colours, "-c:v", "libx264", "-preset", "veryfast", "-crf", "16", "-f", "mp4"]
    with tempfile.TemporaryFile() as log:
        command = _command([*inputs, *codec, _url(path)])
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stderr=log)
        count = 0
        try:
            for frame in chain([first], frames):
                if frame.shape != (height, width, 3) or frame.dtype != np.uint8:
                    got = f"{frame.shape} {frame.dtype}"
                    raise ValueError(f"frames: must all be ({height}, {width}, 3) uint8, got {got}")
                padded = np.pad(frame, padding, mode="edge") if height % 2 or width % 2 else frame
                process.stdin.write(np.ascontiguousarray(padded).data)
                count += 1
            process.stdin.close()
        except BrokenPipeError:
            pass  # ffmpeg gave up: its exit code and its words say why
        except BaseException:
            process.kill()
            raise
        finally:
            process.wait()
        if process.returncode != 0:
            log.seek(0)
            raise _encoding_error(log.read())
    return count


def _packets(path: Path, outputs: list[str]) -> tuple[list[dict[str, str]], list[list[int]]]:
    """Facts of every mapped stream, and of every packet: stream, dts, pts, duration, size."""
    streams: dict[str, dict[str, str]] = {}
    packets = []
    for line in _printed(path, [*outputs, "-f", "framecrc", "-"]).splitlines():
        if fact := re.match(r"#(\w+) (\d+): +(.*)", line):
            streams.setdefault(fact[2], {})[fact[1]] = fact[3]
        elif not line.startswith("#"):
            packets.append([int(number) for number in line.split(",")[:5]])
    return list(streams.values()), packets


def _printed(path: Path, outputs: list[str]) -> str:
    """What ffmpeg prints when it turns `path` into `outputs`."""
    done = _ffmpeg([*_input(path), *outputs])
    if done.returncode != 0:
        value = f"{path.name} ({_last_line(done.stderr)})"
        raise InputError("media", "must be readable", value, _FILM_REMEDY)
    return done.stdout.decode(errors="replace")


def _too_large(value: str) -> InputError:
    rule = f"must have at most {MAX_IMAGE_PIXELS // 1_000_000} million pixels"
    return InputError("portrait", rule, value, "Make it smaller: 2000 pixels a side are plenty.")


def _upright(image: Image.Image) -> Image.Image:
    try:
        return ImageOps.exif_transpose(image)
    except (OSError, SyntaxError, ValueError, KeyError, TypeError, struct.error):
        return image  # a damaged EXIF block says nothing about orientation; the pixels are whole


def _to_srgb(image: Image.Image) -> Image.Image:
    """Any of Pillow's modes as RGB: 16 bits to 8, alpha over white, colour profile applied."""
    if image.mode.startswith("I") or image.mode == "F":  # 16-bit grey
        grey = np.asarray(image, np.float32) / 257.0
        image = Image.fromarray(grey.clip(0, 255).round().astype(np.uint8))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        white.info = image.info
        image = Image.alpha_composite(white, image)
        image.info = white.info
        image = image.convert("RGB")
    profile = image.info.get("icc_profile")
    if profile and image.mode in ("RGB", "L", "CMYK"):
        try:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            return ImageCms.profileToProfile(
                image, source, ImageCms.createProfile("sRGB"), outputMode="RGB"
            )
        except (ImageCms.PyCMSError, OSError):
            pass  # a damaged or mismatched profile: the plain values are the best that is known
    return image.convert("RGB")
