"""Commands that show, change, check and carry a motion: `preview`, `edit`, `check`, `convert`."""

from __future__ import annotations

import argparse
from typing import Any

from emo2.cli.inputs import motion_context, open_studio, read_any_motion
from emo2.cli.progress import Bars
from emo2.errors import InputError


def preview(arguments: argparse.Namespace, bars: Bars) -> dict[str, Any]:
    """A motion as a clip of shaded hands, with the sound; or as a contact sheet.

    With a recording, a strip below the picture shows the hands' speeds against its onsets.
    """
    from emo2.hands.render import available_backend
    from emo2.media import load_audio, load_image, write_video

    with bars.stage("read"):
        studio = open_studio(arguments)
        motion, notes = read_any_motion(arguments, studio, fps=studio.fps)
        audio = load_audio(arguments.audio) if arguments.audio else None
        portrait = studio.analyse(load_image(arguments.portrait)) if arguments.portrait else None
    facts = {"fps": motion.fps, "backend": available_backend()[0], "notes": notes}
    if arguments.sheet:
        with bars.stage("sheet"):
            sheet = studio.contact_sheet(
                motion,
                portrait,
                audio=audio,
                count=arguments.frames,
                trails=arguments.trails is not False,
                title=arguments.motion.name,
                on_step=bars,
            )
            _save_picture(sheet.image, arguments.out)
        return facts | {"frames": motion.num_frames, "shown": list(sheet.frames)}
    with bars.stage("preview"):
        frames = studio.preview(
            motion,
            portrait,
            audio=audio,
            trails=bool(arguments.trails),
            ghost=arguments.ghost,
            strip=arguments.strip if arguments.strip is not None else audio is not None,
            on_step=bars,
        )
        written = write_video(arguments.out, frames, motion.fps, audio)
    return facts | {"frames": written}


def edit(arguments: argparse.Namespace, bars: Bars) -> dict[str, Any]:
    """A motion with a list of operations applied; or, with --list, what operations there are.

    --ops is a .json file with a list of operations, or a document with the fingerprint of its base.
    A "snap" without "onset_s" takes the onset of --audio that is nearest to the stroke.
    """
    from emo2.cli.operations import list_operations, read_document
    from emo2.media import load_audio
    from emo2.motion.edit import evaluate, save
    from emo2.motion.formats import save_npz
    from emo2.motion.hashing import motion_hash

    if arguments.list:
        return list_operations()
    with bars.stage("read"):
        studio = open_studio(arguments)
        motion, notes = read_any_motion(arguments, studio, fps=None)
        audio = load_audio(arguments.audio) if arguments.audio else None
    with bars.stage("edit"):
        document = read_document(arguments.ops, motion, audio)
        edited = evaluate(document, motion)
    save_npz(edited, arguments.out)
    if arguments.document:
        save(document, arguments.document)
    return {
        "frames": edited.num_frames,
        "fps": edited.fps,
        "base": motion_hash(motion),
        "motion": motion_hash(edited),
        "operations": [dict(operation) for operation in document.operations],
        "notes": notes,
    }


def check(arguments: argparse.Namespace, bars: Bars) -> dict[str, Any]:
    """What no person would do and what the camera would not see, with times and one edit each.

    Exits with 1 where there are errors (with --strict: errors or warnings); with --fix, where they
    are left after it.
    """
    from emo2.media import load_image
    from emo2.motion import checks
    from emo2.motion.formats import write_motion

    with bars.stage("read"):
        studio = open_studio(arguments)
        motion, notes = read_any_motion(arguments, studio, fps=None)
        portrait = studio.analyse(load_image(arguments.portrait)) if arguments.portrait else None
    with bars.stage("check"):
        findings = checks.check(motion, studio.hand_model, portrait=portrait)
    lines, facts = checks.summary(findings), checks.facts(findings)
    left = findings
    if arguments.fix:
        with bars.stage("fix"):
            fixed = checks.fix_all(motion, findings, studio.hand_model, portrait=portrait)
            left = checks.check(fixed, studio.hand_model, portrait=portrait, fixes=False)
        write_motion(fixed, arguments.fix, context=motion_context(arguments, studio, portrait))
        facts["left"] = checks.facts(left)
        if findings:
            lines += [f"After the fixes, in {arguments.fix}:", *checks.summary(left)]
    counted = ("error", "warning") if arguments.strict else ("error",)
    ok = not any(finding.severity in counted for finding in left)
    return facts | {"ok": ok, "frames": motion.num_frames, "notes": notes, "lines": lines}


def convert(arguments: argparse.Namespace, bars: Bars) -> dict[str, Any]:
    """A motion of one format to another; the suffix names the format.

    A name without suffix is a folder of EchoMimicV2 poses. Where one suffix serves several formats,
    the file's own contents decide; --format overrules.
    """
    from emo2.media import load_image
    from emo2.motion.formats import read_motion, write_motion

    with bars.stage("read"):
        studio = open_studio(arguments)
        portrait = studio.analyse(load_image(arguments.portrait)) if arguments.portrait else None
        context = motion_context(arguments, studio, portrait)
        imported = read_motion(
            arguments.source, format=arguments.format, fps=arguments.fps, context=context
        )
    with bars.stage("write"):
        write_motion(imported.motion, arguments.to, context=context)
    return {
        "out": arguments.to,
        "frames": imported.motion.num_frames,
        "fps": imported.motion.fps,
        "read": imported.report.facts(),
        "lines": [*imported.report.lines(), str(arguments.to)],
    }


def frame_rate(text: str) -> float | None:
    """An argument of --fps: frames per second, or None for "source", the file's own."""
    if text == "source":
        return None
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 1 <= value <= 1000:
        raise argparse.ArgumentTypeError("must lie in 1..1000, or be the word source")
    return value


def _save_picture(image, path) -> None:
    """Write a .png or .jpg whole or not at all."""
    from PIL import Image

    part = path.with_name(f".{path.name}.part")
    options = {"format": "PNG"} if path.suffix.lower() == ".png" else {
        "format": "JPEG", "quality": 93, "subsampling": 0,
    }  # fmt: skip
    try:
        Image.fromarray(image).save(part, **options)
        part.replace(path)
    except OSError as error:
        raise InputError("--out", "must be writable", path, str(error)) from error
    finally:
        part.unlink(missing_ok=True)
