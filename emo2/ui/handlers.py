"""What happens when something on the page is used: plain functions and generators of values, no
Gradio, no server.

Each takes the session's id and the values of a few boxes, and returns a `Screen`; long work yields
`Busy` until then. Bad input is answered in words on the screen and never costs what was there
before.
"""

from __future__ import annotations

import json
import random
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

from emo2.errors import Cancelled, InputError
from emo2.jobs.worker import Job, Worker
from emo2.media import frame_count, load_audio, load_image, write_video
from emo2.motion.formats import save_npz
from emo2.pipeline import EMO2Pipeline
from emo2.provenance.recipe import file_hash, film_metadata, film_recipe
from emo2.types import NETWORK_SAMPLE_RATE_HZ, AudioClip, HandMotion
from emo2.ui.exchange import bring, imported_meta, said, take_away
from emo2.ui.screen import Busy, Note, Screen, Step, show
from emo2.ui.session import Film, Hands, Session, SessionStore, Voice
from emo2.ui.uploads import Limits, take_portrait, take_voice
from emo2.ui.words import refusal, spoken

STOPPED = Note("Stopped. What was there before is unchanged.")


@dataclass(frozen=True)
class Example:
    """A bundled portrait with a bundled recording."""

    name: str
    portrait: Path
    audio: Path
    style: str | None


def load_examples(assets: Path) -> tuple[Example, ...]:
    """The examples that `assets/examples.json` lists; none where it is not there."""
    listing = assets / "examples.json"
    if not listing.is_file():
        return ()
    return tuple(
        Example(row["name"], assets / row["portrait"], assets / row["audio"], row.get("style"))
        for row in json.loads(listing.read_text(encoding="utf-8"))
    )


class Studio:
    """The page's behaviour over one pipeline and all sessions."""

    def __init__(
        self,
        pipeline: EMO2Pipeline,
        sessions: SessionStore,
        worker: Worker,
        examples: Sequence[Example] = (),
        limits: Limits | None = None,
    ) -> None:
        self.pipeline, self.sessions, self.worker = pipeline, sessions, worker
        self.examples, self.limits = tuple(examples), limits or Limits()

    # Coming and going ------------------------------------------------------------------------

    def open(self, session_id: str | None) -> Screen:
        """The page was opened, or opened again: a known id brings everything back."""
        session = self.sessions.open(session_id)
        known = session.voice is not None or session.sitter is not None
        return show(session, **(_input_files(session) if known else {}))

    def forget(self, session_id: str | None) -> Screen:
        """Delete everything of this session and begin a new one."""
        self.sessions.forget(session_id)
        session = self.sessions.open(None)
        return show(session, go_to=1, **_input_files(session))

    # Step 1: voice and portrait --------------------------------------------------------------

    def set_voice(self, session_id: str | None, path: str | None) -> Screen:
        """A recording was uploaded, recorded, trimmed or removed (`None`)."""
        session = self.sessions.open(session_id)
        try:
            if path is None:
                session.voice = None
            else:
                take_voice(session, Path(path), self.limits)
        except InputError as error:
            return show(session, voice_refused=refusal(error))
        return show(session)

    def set_portrait(self, session_id: str | None, path: str | None) -> Screen:
        """A portrait was uploaded or removed (`None`)."""
        session = self.sessions.open(session_id)
        try:
            if path is None:
                session.sitter = None
            else:
                take_portrait(session, Path(path), self.limits, self.pipeline.analyse)
        except InputError as error:
            return show(session, portrait_refused=refusal(error))
        return show(session)

    def use_example(self, session_id: str | None, index: int) -> Screen:
        """A card of the bundled examples was clicked."""
        session, example = self.sessions.open(session_id), self.examples[index]
        take_voice(session, example.audio, self.limits)
        take_portrait(session, example.portrait, self.limits, self.pipeline.analyse)
        return show(session, style=example.style, **_input_files(session))

    # Step 2: hands ---------------------------------------------------------------------------

    def begin(self, session_id: str | None, step: Step) -> Busy:
        """A long task was asked for. From now on it can be stopped, even while it still queues."""
        session = self.sessions.open(session_id)
        if session.job is None or session.job.finished or not session.job.started:
            session.job = Job()
        return Busy(session.id, step, None)

    def generate_hands(
        self, session_id: str | None, style: str | None, speed: float | None, seed: float | None
    ) -> Iterator[Busy | Screen]:
        """Stage 1, then its preview clip."""
        session = self.sessions.open(session_id)
        if session.voice is None:
            session.job = None
            yield show(session, hands_said=Note("Add a recording in step 1 first.", "refused"))
            return
        voice, seed = session.voice, _whole(seed)
        settings = {"style": style or None, "speed": speed, "seed": seed}

        def imagine(job: Job) -> HandMotion:
            return self.pipeline.gesture(voice.audio, **settings, on_step=job.on_step)

        pace = "usual speed" if speed is None else f"speed {speed:.2f}"
        label = f"{spoken(style or 'automatic')}, {pace}, seed {seed}"
        yield from self._make_hands(session, imagine, label, settings)

    def import_hands(self, session_id: str | None, path: str | None) -> Iterator[Busy | Screen]:
        """Hands from a motion file of any known format in place of generated ones."""
        session, reports = self.sessions.open(session_id), []

        def read(job: Job) -> HandMotion:
            imported = imported_meta(bring(Path(path or ""), self.limits, session, self.pipeline))
            reports.append(imported.report)
            return imported.motion

        settings = {"uploaded": file_hash(path) if path else None}
        for shown in self._make_hands(session, read, "uploaded motion", settings):
            if isinstance(shown, Screen) and shown.hands.kind == "good" and reports:
                shown = replace(shown, hands=Note(f"{shown.hands.text} {said(reports[0])}", "good"))
            yield shown

    def export_hands(self, session_id: str | None, name: str) -> Path | Screen:
        """The hands on screen as a file of format `name`; a `Screen` that says why not."""
        session = self.sessions.open(session_id)
        if session.shown_hands is None:
            return show(session, hands_said=Note("There are no hands to download yet.", "refused"))
        try:
            return take_away(session.shown_hands, name, session, self.pipeline)
        except InputError as error:
            return show(session, hands_said=Note(refusal(error), "refused"))

    def pick_hands(self, session_id: str | None, number: int | None) -> Screen:
        """Another version was chosen from the list."""
        session = self.sessions.open(session_id)
        session.shown_hands = next(
            (h for h in session.hands if h.number == number), session.shown_hands
        )
        return show(session)

    def approve(self, session_id: str | None) -> Screen:
        """The hands on screen are the ones for the film. They are never changed afterwards."""
        session = self.sessions.open(session_id)
        if session.shown_hands is None:
            return show(session, hands_said=Note("There are no hands to approve yet.", "refused"))
        session.approved_hands = session.shown_hands
        return show(session, go_to=3)

    # Step 3: the film ------------------------------------------------------------------------

    def render_film(
        self, session_id: str | None, renderer: str, seed: float | None
    ) -> Iterator[Busy | Screen]:
        """Render the approved hands; a stop keeps the frames so far as a film of their own."""
        session = self.sessions.open(session_id)
        if not show(session).can_render:
            session.job = None
            yield show(session, film_said=Note(show(session).approval.text, "refused"))
            return
        voice, sitter, hands, seed = (
            session.voice,
            session.sitter,
            session.approved_hands,
            _whole(seed),
        )
        recipe = film_recipe(
            portrait=sitter.path,
            audio=voice.path,
            motion=hands.motion,
            renderer=renderer,
            checkpoint=self.pipeline.folder.name,
            seed=seed,
        )
        path = session.new_file("film", ".mp4")

        def render(job: Job) -> None:
            started = time.monotonic()
            frames = self.pipeline.render(
                sitter.portrait,
                voice.audio,
                hands.motion,
                renderer=renderer,
                seed=seed,
                on_step=job.on_step,
            )
            written = _write_clip(
                path, job, frames, self.pipeline.fps, voice, film_metadata(recipe)
            )
            total = frame_count(voice.audio.duration_s, self.pipeline.fps)
            facts = {
                **recipe,
                "frames": written,
                "of_frames": total,
                "render_s": round(time.monotonic() - started, 1),
            }
            recipe_file = path.with_suffix(".json")
            recipe_file.write_text(json.dumps(facts, indent=2, sort_keys=True), encoding="utf-8")
            number = len(session.films) + 1
            film = Film(
                number, path, recipe_file, facts, hands, voice.fingerprint, sitter, written, total
            )
            session.films.append(film)
            session.shown_film = film

        try:
            yield from self._watch(session, "film", render)
        except Cancelled:
            yield show(session, film_said=STOPPED)
        except InputError as error:
            yield show(session, film_said=Note(refusal(error), "refused"))
        else:
            yield show(session)

    # Any time --------------------------------------------------------------------------------

    def stop(self, session_id: str | None) -> None:
        """Stop this session's work at its next step, or take it out of the queue."""
        job = self.sessions.open(session_id).job
        if job is not None:
            job.cancel()
            if not job.started:
                job.finish()

    def roll(self) -> int:
        """A new seed."""
        return random.randrange(10_000)

    def warm_up(self) -> None:
        """Draft half a second of the first example: what the first visitor needs is then loaded
        and compiled."""
        for example in self.examples[:1]:
            portrait = self.pipeline.analyse(load_image(example.portrait))
            audio = AudioClip(load_audio(example.audio).samples[: NETWORK_SAMPLE_RATE_HZ // 2])
            motion = self.pipeline.gesture(audio)
            for frames in (
                self.pipeline.preview(motion, portrait),
                self.pipeline.render(portrait, audio, motion, renderer="draft"),
            ):
                deque(frames, maxlen=0)

    # -----------------------------------------------------------------------------------------

    def _make_hands(
        self, session: Session, make: Callable[[Job], HandMotion], label: str, settings: dict
    ) -> Iterator[Busy | Screen]:
        """Make a motion and its clip, and show them as a new version."""
        voice, sitter = session.voice, session.sitter
        clip, file = session.new_file("hands", ".mp4"), session.new_file("hands", ".npz")

        def work(job: Job) -> None:
            motion = make(job)
            save_npz(motion, file)
            portrait = sitter.portrait if sitter else None
            frames = self.pipeline.preview(motion, portrait, on_step=job.on_step)
            _write_clip(clip, job, frames, self.pipeline.fps, voice, {})
            seen = sitter.fingerprint if sitter else ""
            number = len(session.hands) + 1
            hands = Hands(number, label, motion, file, clip, settings, voice.fingerprint, seen)
            session.hands.append(hands)
            session.shown_hands = hands

        try:
            yield from self._watch(session, "hands", work)
        except Cancelled:
            yield show(session, hands_said=STOPPED)
        except InputError as error:
            yield show(session, hands_said=Note(refusal(error), "refused"))
        else:
            yield show(session)

    def _watch(self, session: Session, step: Step, work: Callable[[Job], None]) -> Iterator[Busy]:
        """Run `work` as this session's job, one `Busy` a report. `work` itself puts its result into
        the session: it is then there even if the visitor has left meanwhile."""
        if session.job is None or session.job.started:
            session.job = Job()
        with closing(self.worker.run(session.job, work)) as reports:
            for report in reports:
                yield Busy(session.id, step, report)


def _write_clip(
    path: Path, job: Job, frames, fps: float, voice: Voice, metadata: dict[str, str]
) -> int:
    """Stream `frames` to `path` with the voice; a stop ends the clip early. Raises `Cancelled`
    before frame one."""
    passing = job.frames(frames)
    first = next(passing, None)
    if first is None:
        raise Cancelled

    def all_frames():
        yield first
        yield from passing

    return write_video(path, all_frames(), fps, voice.audio, metadata)


def _whole(seed: float | None) -> int:
    """The seed box as an integer; an empty box is 0."""
    return int(seed or 0)


def _input_files(session: Session) -> dict[str, Path | bool | None]:
    return {
        "inputs_follow": True,
        "voice_file": session.voice.path if session.voice else None,
        "portrait_file": session.sitter.path if session.sitter else None,
    }
