"""The page in a real browser: the whole way by clicks, by keyboard, on a phone, and after a reload.

Needs Debian's `chromium` and the Python package `playwright` (no browser of its own is fetched).
"""

from __future__ import annotations

import json
import shutil
import wave
from contextlib import contextmanager

import numpy as np
import pytest
from fake_pipeline import FakePipeline
from PIL import Image

from emo2.jobs.worker import Worker
from emo2.ui.handlers import Studio, load_examples
from emo2.ui.session import SessionStore

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
CHROMIUM = shutil.which("chromium")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PLAYED_JS = """async () => {
  const video = document.querySelector('#film-clip video')
  video.muted = true
  await video.play()
  await new Promise(done => setTimeout(done, 400))
  return {time: video.currentTime, duration: video.duration, error: video.error?.message ?? null}
}"""


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """`(studio, url)` of a served page with one bundled example of two seconds."""
    from emo2.ui.layout import build_page
    from emo2.ui.theme import launch_options

    folder = tmp_path_factory.mktemp("page")
    Image.new("RGB", (120, 160), (180, 170, 160)).save(folder / "mira.png")
    with wave.open(str(folder / "mira.wav"), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes((6000 * np.sin(np.arange(32_000) / 9)).astype("<i2").tobytes())
    row = {"name": "Mira", "portrait": "mira.png", "audio": "mira.wav", "style": "calm"}
    (folder / "examples.json").write_text(json.dumps([row]))
    store = SessionStore(folder / "sessions")
    studio = Studio(FakePipeline(), store, Worker(0.1), load_examples(folder))
    page = build_page(studio)
    _, url, _ = page.launch(
        server_name="127.0.0.1",
        prevent_thread_lock=True,
        quiet=True,
        **launch_options(max_file_mb=25),
    )
    yield studio, url
    page.close()


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def visit(browser, server):
    """`visit(width, height) -> page`, opened; other hosts and script errors fail the test."""
    contexts, trouble = [], []

    def open_page(width: int = 1280, height: int = 900):
        contexts.append(browser.new_context(viewport={"width": width, "height": height}))
        page = contexts[-1].new_page()
        page.set_default_timeout(30_000)
        own = (server[1], "data:", "blob:")
        page.on("request", lambda r: r.url.startswith(own) or trouble.append(r.url))
        page.on("pageerror", lambda error: trouble.append(str(error)))
        page.goto(server[1])
        page.get_by_role("heading", name="EMO2 Studio").wait_for()
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert trouble == []


def _example(page) -> None:
    page.get_by_role("button", name="Mira").click()
    page.get_by_text("person found").wait_for()


def _to_film(page) -> None:
    _example(page)
    page.get_by_role("button", name="Continue to the hands").click()
    page.get_by_role("button", name="Generate hands").click()
    page.locator("#hands-clip video").wait_for()
    page.get_by_role("button", name="Approve these hands").click()
    page.get_by_role("button", name="Render", exact=True).click()


@contextmanager
def _slowly(studio):
    studio.pipeline.step_s = 0.05
    try:
        yield
    finally:
        studio.pipeline.step_s = 0.0


def test_from_an_example_to_a_film_that_plays(visit):
    page = visit()
    _to_film(page)
    page.locator("#film-clip video").wait_for()
    played = page.evaluate(PLAYED_JS)
    assert played["error"] is None
    assert played["time"] > 0
    assert played["duration"] == pytest.approx(2, abs=0.1)
    assert page.get_by_text("Up to date").is_visible()


def test_a_reload_brings_everything_back_and_another_visitor_sees_nothing(visit):
    page = visit()
    _to_film(page)
    page.locator("#film-clip video").wait_for()
    page.get_by_role("tab").nth(0).click()
    page.get_by_text("person found").wait_for()
    page.get_by_role("button", name="Continue to the hands").click()
    assert page.locator("#hands-clip video").is_visible(), "going back erased something"

    page.reload()
    page.get_by_text("person found").wait_for()
    page.get_by_role("button", name="Continue to the hands").click()
    page.locator("#hands-clip video").wait_for()
    page.get_by_role("button", name="Continue to the film").click()
    page.locator("#film-clip video").wait_for()

    stranger = visit()
    stranger.get_by_text("No recording yet.").wait_for()
    assert stranger.get_by_role("button", name="Continue to the hands").is_disabled()


def test_stop_keeps_what_is_there(visit, server):
    page = visit()
    with _slowly(server[0]):
        _to_film(page)
        page.locator("#film-progress img").wait_for()
        page.get_by_role("button", name="Stop and keep").click()
        page.get_by_text("Stopped early").wait_for()
    played = page.evaluate(PLAYED_JS)
    assert played["error"] is None
    assert 0 < played["duration"] < 1.9


def test_closing_the_tab_stops_the_work_and_keeps_the_frames(visit, server):
    page, studio = visit(), server[0]
    with _slowly(studio):
        _to_film(page)
        page.locator("#film-progress img").wait_for()
        session_id = page.evaluate("sessionStorage.getItem('emo2-session')")
        assert studio.open(session_id).busy
        page.close()
        assert studio.sessions.open(session_id).job.wait(10)
    kept = studio.open(session_id)
    assert "of 48 frames" in kept.film.text
    assert kept.film_clip.is_file()


def test_a_phone_shows_every_step_without_sideways_scrolling(visit):
    page = visit(360, 740)
    _to_film(page)
    page.locator("#film-clip video").wait_for()
    for step in (3, 2, 1):
        wide = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
        assert wide <= 0, f"step {step}"
        if step > 1:
            page.get_by_role("tab").nth(step - 2).click()


def test_the_first_steps_work_by_keyboard_alone(visit):
    page = visit()
    page.get_by_role("button", name="Mira").focus()
    page.keyboard.press("Enter")
    page.get_by_text("person found").wait_for()
    page.get_by_role("button", name="Continue to the hands").focus()
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Generate hands").focus()
    page.keyboard.press("Space")
    page.locator("#hands-clip video").wait_for()


def test_a_bad_file_is_answered_in_words(visit, tmp_path):
    page = visit()
    fake = tmp_path / "letter.png"
    fake.write_text("Dear Sir or Madam")
    page.locator("#portrait input[type=file]").set_input_files(fake)
    page.get_by_role("alert").get_by_text("letter.png").wait_for()
