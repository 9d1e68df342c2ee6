"""Speak the bundled lines: `python assets/make_speech.py` (needs espeak-ng: apt install espeak-ng).

The words are our own. A dry synthesiser sounds glued to the ear, so a small room is added.
"""

import subprocess
import tempfile
from pathlib import Path

import imageio_ffmpeg

HERE = Path(__file__).parent
LINES = {
    "welcome": (
        "en-us+f3",
        ("-s", "152", "-p", "46", "-g", "3"),
        "Hello, and welcome! Watch my hands: they follow every word I say.",
    ),
    "idea": (
        "en-gb-x-rp+m3",
        ("-s", "150", "-p", "38", "-g", "3"),
        "Every good idea begins with a question. Then comes the surprise, and then, you share it.",
    ),
    # 大家好,春天来了。花开了,天晴了,我们一起出去走走吧!
    "spring": (
        "cmn-latn-pinyin+f2",
        ("-s", "160", "-p", "50", "-g", "2"),
        "da4 jia1 hao3, chun1 tian1 lai2 le5. hua1 kai1 le5, tian1 qing2 le5, "
        "wo3 men5 yi4 qi3 chu1 qu4 zou3 zou3 ba5!",
    ),
}
# Less hiss and rumble, gentle compression, a small room, even loudness, 0.15 s of rest around.
POLISH = (
    "highpass=f=70,equalizer=f=3200:t=q:w=1.2:g=-3,equalizer=f=220:t=q:w=1:g=2,lowpass=f=7200,"
    "acompressor=threshold=0.12:ratio=2.5:attack=8:release=120,aecho=0.9:0.25:23|41:0.16|0.09,"
    "loudnorm=I=-19:TP=-2:LRA=7,aresample=16000,"
    "silenceremove=stop_periods=-1:stop_duration=0.35:stop_threshold=-50dB:stop_silence=0.35,"
    "adelay=150,apad=pad_dur=0.15"
)


def main() -> None:
    ffmpeg = [imageio_ffmpeg.get_ffmpeg_exe(), "-nostdin", "-loglevel", "error", "-y"]
    for name, (voice, options, text) in LINES.items():
        with tempfile.TemporaryDirectory() as folder:
            raw = f"{folder}/raw.wav"
            subprocess.run(["espeak-ng", "-v", voice, *options, "-w", raw, text], check=True)
            out = ["-ac", "1", "-ar", "16000", "-sample_fmt", "s16", "-map_metadata", "-1"]
            exact = ["-fflags", "+bitexact", "-flags:a", "+bitexact", "-compression_level", "8"]
            target = str(HERE / f"{name}.flac")
            subprocess.run([*ffmpeg, "-i", raw, "-af", POLISH, *out, *exact, target], check=True)


if __name__ == "__main__":
    main()
