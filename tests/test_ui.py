"""The page without a browser: what the handlers answer, what the page offers programs, and one real
film."""

from __future__ import annotations

import json
import threading
import time
import wave
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from fake_pipeline import FakePipeline
from PIL import Image

from emo2.errors import Cancelled, InputError
from emo2.jobs.worker import Job, Worker
from emo2.media import probe, read_frames
from emo2.motion.formats import load_npz
from emo2.types import Progress
from emo2.ui import words
from emo2.ui.handlers import Studio, load_examples
from emo2.ui.pictures import OUTSIDE_GAIN, mark_portrait
from emo2.ui.screen import Busy, Note, Screen
from emo2.ui.session import SessionStore
from emo2.ui.uploads import Limits

RATE_HZ = 16_000


@pytest.fixture
def voice(tmp_path):
    """A one-second recording."""
    return _recording(tmp_path / "voice.wav", 1.0)


@pytest.fixture
def portrait(tmp_path):
    return _picture(tmp_path / "portrait.png", 180)


@pytest.fixture
def studio(tmp_path):
    return _studio(FakePipeline(), tmp_path)


def _studio(pipeline, tmp_path, **options) -> Studio:
    store = SessionStore(tmp_path / "sessions")
    return Studio(pipeline, store, Worker(report_every_s=0.02), **options)


def _recording(path: Path, duration_s: float, pitch_hz: float = 220.0) -> str:
    time_s = np.arange(round(duration_s * RATE_HZ)) / RATE_HZ
    samples = (8000 * np.sin(2 * np.pi * pitch_hz * time_s)).astype("<i2")
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE_HZ)
        file.writeframes(samples.tobytes())
    return str(path)


def _picture(path: Path, brightness: int) -> str:
    Image.new("RGB", (120, 160), (brightness,) * 3).save(path)
    return str(path)


def _ready(studio: Studio, voice: str, portrait: str) -> str:
    """A session with both inputs."""
    session_id = studio.open(None).session_id
    studio.set_voice(session_id, voice)
    assert studio.set_portrait(session_id, portrait).can_continue
    return session_id


def _last(results) -> Screen:
    *reports, screen = results
    assert all(isinstance(report, Busy) for report in reports)
    assert isinstance(screen, Screen)
    return screen


def _hands(studio, session_id, seed=0) -> Screen:
    return _last(studio.generate_hands(session_id, None, None, seed))


# The way through -----------------------------------------------------------------------------


def test_voice_and_portrait_to_a_film_with_its_recipe(studio, voice, portrait):
    session_id = _ready(studio, voice, portrait)

    hands = _last(studio.generate_hands(session_id, "calm", 0.25, 7))
    assert probe(hands.hands_clip).frames == 24
    assert probe(hands.hands_clip).audio_duration_s == pytest.approx(1, abs=0.1)
    assert dict(load_npz(hands.hands_file).meta) == {"style": "calm", "speed": 0.25, "seed": 7}
    assert hands.can_approve
    assert not hands.can_render

    approved = studio.approve(session_id)
    assert approved.go_to == 3
    assert approved.can_render

    film = _last(studio.render_film(session_id, "draft", 3))
    assert film.film.kind == "good"
    assert probe(film.film_clip).frames == 24
    recipe = json.loads(film.film_recipe_file.read_text())
    assert (recipe["renderer"], recipe["seed"], recipe["gesture"]["seed"]) == ("draft", 3, 7)
    assert json.loads(probe(film.film_clip).tags["comment"])["motion"] == recipe["motion"]


def test_an_empty_seed_and_the_automatic_style_are_fine(studio, voice, portrait):
    session_id = _ready(studio, voice, portrait)
    screen = _last(studio.generate_hands(session_id, "", None, None))
    assert dict(load_npz(screen.hands_file).meta) == {"style": None, "speed": None, "seed": 0}


def test_hands_need_no_portrait(studio, voice):
    session_id = studio.set_voice(None, voice).session_id
    screen = _hands(studio, session_id)
    assert screen.hands_clip is not None
    assert not screen.can_render


def test_every_version_is_kept_and_can_be_picked(studio, voice, portrait):
    session_id = _ready(studio, voice, portrait)
    first, second = _hands(studio, session_id, 1), _hands(studio, session_id, 2)
    assert first.hands_clip != second.hands_clip
    assert first.hands_clip.is_file()
    assert [number for _, number in second.versions] == [2, 1]
    assert studio.pick_hands(session_id, 1).hands_clip == first.hands_clip
    assert studio.pick_hands(session_id, 99).shown_version == 1


def test_examples_fill_both_boxes_and_the_style(tmp_path, voice, portrait):
    listing = [{"name": "Mira", "portrait": "portrait.png", "audio": "voice.wav", "style": "calm"}]
    (tmp_path / "examples.json").write_text(json.dumps(listing))
    studio = _studio(FakePipeline(), tmp_path, examples=load_examples(tmp_path))
    screen = studio.use_example(None, 0)
    assert screen.can_continue
    assert screen.style == "calm"
    assert screen.voice_file.is_file()
    assert screen.portrait_file.is_file()
    # The boxes then report their new contents as a change: that must not be another upload.
    assert studio.set_portrait(screen.session_id, str(portrait)).marked == screen.marked


def test_visitors_wait_while_the_server_warms_up(tmp_path, voice, portrait):
    row = {"name": "Mira", "portrait": "portrait.png", "audio": "voice.wav"}
    (tmp_path / "examples.json").write_text(json.dumps([row]))
    studio = _studio(FakePipeline(), tmp_path, examples=load_examples(tmp_path))
    session_id = _ready(studio, voice, portrait)
    begun, go = threading.Event(), threading.Event()

    def load() -> None:
        begun.set()
        go.wait(20)
        studio.warm_up()

    studio.worker.run_quietly(load)
    begun.wait(20)
    results = studio.generate_hands(session_id, "", None, 0)
    assert next(results).report.waiting
    go.set()
    assert _last(results).hands_clip is not None


# Nothing is lost -----------------------------------------------------------------------------


def test_later_steps_become_out_of_date_and_stay(studio, voice, portrait, tmp_path):
    session_id = _ready(studio, voice, portrait)
    _hands(studio, session_id)
    studio.approve(session_id)
    film = _last(studio.render_film(session_id, "draft", 0))

    newer = _hands(studio, session_id, 5)
    assert newer.film.kind == "good", "the film still shows the approved hands"
    assert newer.approval.kind == "stale", "but step 2 shows others"
    assert studio.approve(session_id).film.kind == "stale"

    other = studio.set_portrait(session_id, _picture(tmp_path / "other.png", 90))
    assert "portrait" in other.film.text
    assert other.can_render

    spoken = studio.set_voice(session_id, _recording(tmp_path / "other.wav", 1.5))
    assert spoken.hands.kind == spoken.film.kind == "stale"
    assert not spoken.can_render
    assert not spoken.can_approve
    assert spoken.film_clip == film.film_clip
    assert film.film_clip.is_file()

    back = studio.set_voice(session_id, voice)
    assert back.can_render, "the first recording again: its hands fit again"


def test_reopening_a_session_brings_everything_back(studio, voice, portrait):
    session_id = _ready(studio, voice, portrait)
    hands = _hands(studio, session_id)
    again = studio.open(session_id)
    assert again.inputs_follow
    assert again.hands_clip == hands.hands_clip
    assert again.voice_file.read_bytes() == Path(voice).read_bytes()


# Refusals ------------------------------------------------------------------------------------


def test_a_bad_recording_is_refused_and_the_good_one_kept(studio, voice, portrait, tmp_path):
    session_id = _ready(studio, voice, portrait)
    bad = tmp_path / "letter.wav"
    bad.write_text("Dear Sir or Madam")
    screen = studio.set_voice(session_id, str(bad))
    assert screen.voice.kind == "refused"
    assert "letter.wav" in screen.voice.text
    assert "still in use" in screen.voice.text
    assert screen.can_continue


def test_too_long_and_too_large_are_refused_with_the_limit(tmp_path, voice):
    studio = _studio(FakePipeline(), tmp_path, limits=Limits(speech_s=0.5, image_mb=1))
    refused = studio.set_voice(None, voice).voice
    assert refused.kind == "refused"
    assert "0.5 s" in refused.text
    large = tmp_path / "large.png"
    large.write_bytes(bytes(2 * 1024**2))
    assert "1 MB" in studio.set_portrait(None, str(large)).portrait.text


def test_a_picture_without_a_face_is_refused(studio, tmp_path):
    screen = studio.set_portrait(None, _picture(tmp_path / "night.png", 0))
    assert screen.portrait.kind == "refused"
    assert "face" in screen.portrait.text
    assert not screen.can_continue


def test_hands_without_a_voice_and_a_film_without_approval_say_what_is_missing(studio, voice):
    session_id = studio.open(None).session_id
    assert "recording" in _hands(studio, session_id).hands.text
    studio.set_voice(session_id, voice)
    assert "portrait" in _last(studio.render_film(session_id, "draft", 0)).film.text
    assert not studio.open(session_id).busy


def test_refusals_show_no_server_paths():
    error = InputError(
        "motion", "must be a motion archive", "/srv/secret/x.npz (bad zip)", "Retry."
    )
    assert "/srv" not in words.refusal(error)
    assert "x.npz" in words.refusal(error)


# Motion files --------------------------------------------------------------------------------


def test_a_downloaded_motion_comes_back_unchanged(studio, voice, portrait):
    session_id = _ready(studio, voice, portrait)
    made = _hands(studio, session_id, 3)
    again = _last(studio.import_hands(session_id, str(made.hands_file)))
    assert again.shown_version == 2
    before, after = load_npz(made.hands_file), load_npz(again.hands_file)
    assert np.array_equal(before.translation_m, after.translation_m)


def test_motion_of_a_wrong_shape_or_length_is_refused(studio, voice, portrait, tmp_path):
    session_id = _ready(studio, voice, portrait)
    made = _hands(studio, session_id)
    broken = tmp_path / "broken.npz"
    with np.load(made.hands_file) as archive:
        arrays = dict(archive)
    np.savez(broken, **{**arrays, "quaternions": arrays["quaternions"][:, :, :7]})
    refused = _last(studio.import_hands(session_id, str(broken)))
    assert refused.hands.kind == "refused"
    assert refused.hands_clip == made.hands_clip

    studio.set_voice(session_id, _recording(tmp_path / "long.wav", 3.0))
    short = _last(studio.import_hands(session_id, str(made.hands_file)))
    assert "72 frames" in short.hands.text


# Stop ----------------------------------------------------------------------------------------


def test_stop_in_the_middle_keeps_a_playable_film(tmp_path, voice, portrait):
    studio = _studio(FakePipeline(), tmp_path)
    session_id = _ready(studio, voice, portrait)
    _hands(studio, session_id)
    studio.approve(session_id)
    studio.pipeline.step_s = 0.03
    results = studio.render_film(session_id, "draft", 0)
    for busy in results:
        if busy.report.progress and busy.report.progress.done >= 5:
            assert busy.report.picture is not None
            studio.stop(session_id)
            break
    screen = _last(results)
    kept = len(list(read_frames(screen.film_clip)))
    assert 5 <= kept < 24
    assert f"{kept} of 24" in screen.film.text
    assert probe(screen.film_clip).audio_duration_s == pytest.approx(kept / 24, abs=0.1)
    assert not screen.busy


def test_stop_before_the_first_frame_changes_nothing(studio, voice, portrait):
    session_id = _ready(studio, voice, portrait)
    shown = _hands(studio, session_id).hands_clip
    studio.begin(session_id, "hands")
    assert studio.open(session_id).busy
    studio.stop(session_id)
    assert not studio.open(session_id).busy
    screen = _hands(studio, session_id)
    assert screen.hands_clip == shown
    assert "unchanged" in screen.hands.text
    assert _hands(studio, session_id).hands_clip != shown, "the next try runs again"


def test_whoever_leaves_stops_the_work_and_the_frames_stay(tmp_path, voice, portrait):
    studio = _studio(FakePipeline(), tmp_path)
    session_id = _ready(studio, voice, portrait)
    _hands(studio, session_id)
    studio.approve(session_id)
    studio.pipeline.step_s = 0.03
    results = studio.render_film(session_id, "draft", 0)
    while True:
        report = next(results).report
        if report.progress and report.progress.done >= 3:
            break
    results.close()
    job = studio.sessions.open(session_id).job
    assert job.wait(20)
    back = studio.open(session_id)
    assert len(list(read_frames(back.film_clip))) < 24
    assert not back.busy


def test_two_sessions_never_work_at_the_same_time(tmp_path, voice, portrait):
    pipeline = FakePipeline(step_s=0.005)
    studio = _studio(pipeline, tmp_path)
    ids = [_ready(studio, voice, portrait) for _ in range(3)]
    threads = [threading.Thread(target=_hands, args=(studio, id)) for id in ids]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert pipeline.most_at_once == 1
    assert all(studio.open(id).hands_clip.is_file() for id in ids)


def test_a_failure_reaches_the_watcher_and_frees_the_worker():
    worker = Worker(report_every_s=0.01)

    def fail(job):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        list(worker.run(Job(), fail))
    done = []
    list(worker.run(Job(), done.append))
    assert done


def test_waiting_work_can_be_stopped_before_its_turn():
    worker, release, waiting = Worker(report_every_s=0.01), threading.Event(), Job()
    long = worker.run(Job(), lambda job: release.wait(20))
    next(long)
    queued = worker.run(waiting, lambda job: pytest.fail("it was stopped before its turn"))
    assert next(queued).waiting
    waiting.cancel()
    with pytest.raises(Cancelled):
        list(queued)
    release.set()
    list(long)


def test_progress_says_step_elapsed_and_left():
    job = Job()
    job.take_turn(threading.Lock())
    job.on_step(Progress("draft", 1, 11))
    assert job.report().remaining_s is None, "one step is no rate"
    time.sleep(0.02)
    job.on_step(Progress("draft", 2, 11))
    assert job.report().remaining_s > 0.1
    card = words.progress_html(job.report())
    assert "frame 2 of 11" in card
    assert 'role="progressbar"' in card


# Sessions ------------------------------------------------------------------------------------


def test_sessions_do_not_see_each_other(studio, voice, portrait, tmp_path):
    one, two = _ready(studio, voice, portrait), studio.open(None).session_id
    hands = _hands(studio, one)
    assert one != two
    assert studio.open(two).hands_clip is None
    assert studio.sessions.open(two).folder != hands.hands_clip.parent
    for guess in ("", "../" + one, one[:-1], one.upper() + "x"):
        stranger = studio.open(guess)
        assert stranger.session_id not in (one, guess)
        assert stranger.hands_clip is None


def test_forgetting_deletes_the_files(studio, voice, portrait):
    session_id = _ready(studio, voice, portrait)
    clip = _hands(studio, session_id).hands_clip
    fresh = studio.forget(session_id)
    assert fresh.session_id != session_id
    assert fresh.inputs_follow
    assert fresh.voice_file is None
    assert not clip.parent.exists()


def test_sessions_nobody_uses_are_deleted(tmp_path):
    store = SessionStore(tmp_path, retention_s=0.05)
    old = store.open(None).folder
    time.sleep(0.1)
    fresh = store.open(None).folder
    assert not old.exists()
    assert fresh.exists()


def test_the_marked_portrait_shows_the_frame_and_dims_the_rest():
    source = np.full((200, 300, 3), 200, np.uint8)
    found = FakePipeline().analyse(source)
    framed = replace(
        found,
        image=np.full_like(found.image, (250, 30, 30)),
        source_box=(200.0, 50.0, 400.0, 350.0),
    )
    marked = mark_portrait(source, framed, max_side_px=400).astype(int)
    assert marked.shape == (350, 400, 3), "one pixel a source pixel, the frame's margin included"
    assert marked[20, 20] == pytest.approx(200 * OUTSIDE_GAIN, abs=2), "outside: dimmed"
    assert marked[320, 20].max() == 0, "outside the picture and the frame: nothing"
    for x, y in ((380, 320), (380, 90)):
        assert marked[y, x] == pytest.approx((250, 30, 30), abs=2), "inside: the film's picture"


def test_typed_names_are_escaped():
    assert "<script>" not in words.note_html(Note("<script>alert(1)</script>"))


# The bundled weights -------------------------------------------------------------------------


def test_a_photograph_and_a_second_of_speech_become_a_film(tmp_path, speech_like):
    from skimage.data import astronaut

    from emo2.media import write_video
    from emo2.pipeline import EMO2Pipeline

    photograph, speech = tmp_path / "astronaut.png", tmp_path / "speech.mp4"
    Image.fromarray(astronaut()).save(photograph)
    blank = np.zeros((16, 16, 3), np.uint8)
    write_video(speech, [blank] * 24, 24, speech_like(1.0))

    studio = _studio(EMO2Pipeline.from_pretrained(), tmp_path)
    session_id = _ready(studio, str(speech), str(photograph))
    hands = _hands(studio, session_id)
    assert hands.hands.kind == "good", hands.hands.text
    studio.approve(session_id)
    film = _last(studio.render_film(session_id, "draft", 0))
    assert film.film.kind == "good", film.film.text

    framed = np.asarray(Image.open(film.film_portrait), dtype=float)
    frames = list(read_frames(film.film_clip))
    assert len(frames) == 24
    assert frames[0].shape == framed.shape
    assert np.abs(frames[0] - framed).mean() < 40, "still that portrait"
    assert max(np.abs(f.astype(float) - frames[0]).mean() for f in frames) > 0.5, "and it moves"


# The served page -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    """A program's view of the served page."""
    from gradio_client import Client

    from emo2.ui.layout import build_page
    from emo2.ui.theme import launch_options

    page = build_page(_studio(FakePipeline(), tmp_path_factory.mktemp("page")))
    _, url, _ = page.launch(
        server_name="127.0.0.1",
        prevent_thread_lock=True,
        quiet=True,
        **launch_options(max_file_mb=25),
    )
    yield Client(url, verbose=False, analytics_enabled=False)
    page.close()


def test_programs_get_two_endpoints_and_no_more(client, voice, portrait, tmp_path):
    from gradio_client import handle_file
    from gradio_client.exceptions import AppError

    assert set(client.view_api(return_format="dict")["named_endpoints"]) == {"/gesture", "/render"}

    clip, motion = client.predict(
        audio=handle_file(voice), style="calm", speed=None, seed=4, api_name="/gesture"
    )
    assert probe(clip).frames == 24
    assert load_npz(motion).meta["style"] == "calm"

    film, recipe = client.predict(
        portrait=handle_file(portrait),
        audio=handle_file(voice),
        motion=handle_file(motion),
        style=None,
        speed=None,
        renderer="draft",
        seed=0,
        api_name="/render",
    )
    assert probe(film).frames == 24
    assert json.loads(Path(recipe).read_text())["gesture"]["seed"] == 4

    dark = _picture(tmp_path / "night.png", 0)
    with pytest.raises(AppError, match="face"):
        client.predict(handle_file(dark), handle_file(voice), api_name="/render")


def test_the_page_asks_no_other_host_and_keeps_no_history(client):
    import httpx

    page = httpx.get(client.src).text
    for host in ("fonts.googleapis.com", "fonts.gstatic.com"):
        assert host not in page
    config = httpx.get(f"{client.src.rstrip('/')}/config").json()
    assert not config["analytics_enabled"]
    assert not config["run_history"]
    assert not config["show_error"]
    public = [d for d in config["dependencies"] if d["api_visibility"] == "public"]
    assert len(public) == 2


def test_only_uploads_are_opened(client):
    from gradio_client.exceptions import AppError

    stolen = {"path": "/etc/passwd", "meta": {"_type": "gradio.FileData"}}
    with pytest.raises((AppError, ValueError)):
        client.predict(audio=stolen, api_name="/gesture")
