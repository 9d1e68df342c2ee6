"""Previews: the hands' pictures, trails, the beat strip and the contact sheet."""

import sys
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import pytest

from emo2.errors import InputError
from emo2.guidance.maps import draw_guidance
from emo2.hands.cuffs import Cuffs
from emo2.hands.detail import HandDetail
from emo2.hands.model import HandModel
from emo2.hands.occlusion import openness
from emo2.hands.opengl import OpenGLRenderer
from emo2.hands.preview.contact_sheet import WIDTH_PX, choose_frames, contact_sheet
from emo2.hands.preview.strip import BeatStrip
from emo2.hands.preview.timeline import Beats, Timeline
from emo2.hands.preview.trails import SPAN_S, WIDTH_M, draw_trails
from emo2.hands.raster import rasterise, to_pixels
from emo2.hands.render import CHUNK_FRAMES, available_backend, render_motion
from emo2.hands.shading import SKIN_SHEEN, glsl_constants, shade
from emo2.hands.shapes import SHAPES, finger_quaternions, handshape, wrist_rotation
from emo2.types import NUM_HANDS, Camera, HandMotion, Portrait

HANDS = Path(__file__).parents[1] / "checkpoints" / "demo" / "hands"
CAMERA = Camera((128.0, 100.0), 380.0, 256, 224)


@pytest.fixture(scope="module")
def hand_model() -> HandModel:
    return HandModel.from_pretrained(HANDS)


@pytest.fixture(scope="module")
def detail() -> HandDetail:
    return HandDetail.from_pretrained(HANDS)


def random_motion(frames: int, seed: int = 0) -> HandMotion:
    """Hands in front of the chest in human handshapes and any orientation."""
    random = np.random.default_rng(seed)
    quaternions = np.zeros((frames, NUM_HANDS, 16, 4))
    for t in range(frames):
        for hand in range(NUM_HANDS):
            shape = SHAPES[random.choice(list(SHAPES))]
            quaternions[t, hand] = finger_quaternions(shape, hand)
            quaternions[t, hand, 0] = wrist_rotation(
                random.normal(size=3), random.normal(size=3), hand
            )
    centre = np.array([[0.18, -0.05, 0.2], [-0.18, -0.05, 0.2]])
    places = centre + random.uniform(-0.04, 0.04, (frames, 2, 3))
    betas = random.uniform(-1, 1, (2, 10))
    return HandMotion(quaternions, places, np.ones((frames, 2), bool), betas, 24.0)


def still(names: tuple[str, str], fingers=(0, 1, 0), palm=(0, 0, 1), wrists=None) -> HandMotion:
    """One frame: a named handshape for each hand, the given way round."""
    quaternions = np.stack([handshape(name, hand) for hand, name in enumerate(names)])[None]
    for hand in range(NUM_HANDS):
        quaternions[0, hand, 0] = wrist_rotation(fingers, palm, hand)
    wrists = np.array([[0.16, -0.05, 0.1], [-0.16, -0.05, 0.1]]) if wrists is None else wrists
    return HandMotion(
        quaternions, np.asarray(wrists)[None], np.ones((1, 2), bool), np.zeros((2, 10)), 24.0
    )


NIGHT = np.zeros((CAMERA.height_px, CAMERA.width_px, 3), np.uint8)


def silhouette(frame: np.ndarray) -> np.ndarray:
    """Hands and cuffs over a black picture."""
    return frame.max(axis=-1) > 30


def test_backends_draw_the_same_silhouette_where_the_camera_puts_it(hand_model):
    motion = random_motion(3, seed=3)

    def draw(backend):
        return list(render_motion(motion, hand_model, CAMERA, background=NIGHT, backend=backend))

    backend, reason = available_backend()
    pictures = {"raster": draw("raster")}
    if backend == "pyrender":
        pictures["pyrender"] = draw("pyrender")
    else:
        assert "OpenGL" in reason
        with pytest.raises(InputError, match="backend"):
            draw("pyrender")
    masks = {name: [silhouette(f) for f in fs] for name, fs in pictures.items()}
    for t in range(3):
        points = CAMERA.project(hand_model.vertices(motion, t, t + 1)[0]).reshape(-1, 2)
        inside = np.all((points >= 2) & (points < np.array([256, 224]) - 2), axis=1)
        columns, rows = points[inside].astype(int).T
        for name, frames in masks.items():
            near = frames[t] | np.roll(frames[t], 1, 0) | np.roll(frames[t], -1, 0)
            near = near | np.roll(near, 1, 1) | np.roll(near, -1, 1)
            assert near[rows, columns].mean() > 0.97, name
        if "pyrender" in masks:
            a, b = masks["pyrender"][t], masks["raster"][t]
            assert (a & b).sum() / (a | b).sum() > 0.97
            difference = np.abs(pictures["pyrender"][t].astype(int) - pictures["raster"][t])
            assert difference[a & b].mean() < 6


def test_previews_work_without_opengl(hand_model, monkeypatch):
    monkeypatch.setattr(OpenGLRenderer, "_instance", None)
    monkeypatch.setattr(OpenGLRenderer, "_failure", None)
    monkeypatch.setitem(sys.modules, "pyrender", None)
    name, reason = available_backend()
    assert name == "raster"
    assert "pyrender" in reason
    motion = random_motion(1)
    auto = list(render_motion(motion, hand_model, CAMERA))
    raster = list(render_motion(motion, hand_model, CAMERA, backend="raster"))
    np.testing.assert_array_equal(auto, raster)
    with pytest.raises(InputError, match="pyrender must work here"):
        render_motion(motion, hand_model, CAMERA, backend="pyrender")


def test_previews_may_be_drawn_from_many_threads(hand_model):
    motion = random_motion(4)
    alone = list(render_motion(motion, hand_model, CAMERA))
    with ThreadPoolExecutor(3) as pool:
        jobs = [
            pool.submit(lambda: list(render_motion(motion, hand_model, CAMERA))) for _ in range(3)
        ]
    for job in jobs:
        np.testing.assert_array_equal(job.result(), alone)


def test_frames_have_the_cameras_size_and_hidden_hands_are_not_drawn(hand_model):
    motion = random_motion(2)
    visible = np.array([[True, True], [False, False]])
    half = HandMotion(motion.quaternions, motion.translation_m, visible, motion.betas, 24.0)
    portrait = np.full((224, 256, 3), 180, np.uint8)
    shown, hidden = render_motion(half, hand_model, CAMERA, background=portrait, backend="raster")
    assert shown.shape == hidden.shape == (224, 256, 3)
    assert shown.dtype == np.uint8
    assert np.ptp(hidden) == 0, "nothing but the dimmed portrait"
    assert 40 < hidden.mean() < 140
    assert (shown != hidden).any(axis=-1).mean() > 0.03
    (tail,) = render_motion(half, hand_model, CAMERA, background=portrait, start=1)
    np.testing.assert_array_equal(tail, hidden)


def test_hands_outside_the_picture_are_no_error(hand_model):
    away = still(("open", "fist"), wrists=[[2.0, 0, 0], [-0.33, 0.0, 0.1]])
    for backend in ("auto", "raster"):
        (frame,) = render_motion(away, hand_model, CAMERA, backend=backend)
        assert frame.shape == (224, 256, 3)


def test_bad_arguments_are_refused_at_the_call(hand_model):
    motion = random_motion(1)
    with pytest.raises(InputError, match="backend"):
        render_motion(motion, hand_model, CAMERA, backend="vulkan")
    with pytest.raises(InputError, match="256 x 224"):
        render_motion(motion, hand_model, CAMERA, background=np.zeros((8, 8, 3), np.uint8))


def test_the_light_is_as_it_was():
    """Golden: display colours of skin, cloth and nail facing front, up, aside, down, and
    where the key light shines back."""
    normals = np.array([[0, 0, 1], [0, 1, 0], [1, 0, 0], [0, -1, 0], [-1, 2, 4]], np.float32)
    for sheen, expected in GOLDEN.items():
        albedo = np.full((5, 3), (0.7, 0.46, 0.35), np.float32)
        colours = shade(normals, albedo, np.full(5, sheen, np.float32))
        np.testing.assert_allclose(np.round(255 * colours), expected, atol=1.5)
    assert glsl_constants()["SKIN_SHEEN"] == f"{SKIN_SHEEN:.6f}"


GOLDEN = {
    0.0: [[222, 181, 159], [239, 202, 184], [174, 148, 139], [96, 74, 64], [239, 196, 171]],
    0.4: [[230, 186, 163], [245, 206, 186], [174, 148, 139], [96, 74, 64], [243, 203, 178]],
    1.0: [[228, 184, 161], [245, 206, 186], [174, 148, 139], [96, 74, 64], [250, 220, 197]],
}


# The same picture as the guidance maps ---------------------------------------------------------


def test_a_preview_covers_the_pixels_of_the_guidance_maps(hand_model, detail):
    """Hands of the preview and of the MANO map, cuffs taken away: the same silhouette."""
    camera = Camera((243.0, 201.5), 610.0, 512, 448)
    size, unseen = (448, 512), np.nan
    portrait = Portrait(
        image=np.zeros((*size, 3), np.uint8),
        face_landmarks=np.full((478, 3), unseen),
        shoulders=np.full((2, 2), unseen),
        neck=np.full(2, unseen),
        elbows=np.full((2, 2), unseen),
        wrists=np.full((2, 2), unseen),
        hands=np.full((2, 21, 2), unseen),
        person_mask=np.ones(size),
        skin_rgb=np.full(3, 0.5),
        sleeve_rgb=np.full(3, 0.2),
        bare_forearms=False,
        camera=camera,
        source_box=(0.0, 0.0, 512.0, 448.0),
    )
    motion = random_motion(4, seed=8)
    maps = draw_guidance(motion, hand_model, portrait)
    shown = list(
        render_motion(motion, hand_model, camera, detail=detail, background=portrait.image)
    )
    cuffs = Cuffs(hand_model.smooth_faces)
    shared = either = 0
    for t, frame in enumerate(shown):
        cuff = np.zeros(size, bool)
        smooth = hand_model.subdivide(hand_model.vertices(motion, t, t + 1)[0])
        for hand in range(NUM_HANDS):
            points, faces = cuffs.build(smooth[hand], hand)
            raster = rasterise(to_pixels(points, camera), faces, points, *size)
            cuff[raster.window] |= raster.alpha > 0
        cuff = cv2.dilate(cuff.astype(np.uint8), np.ones((3, 3))) > 0
        # Half covered: hands are about 120 bright over 12, normals about 0.75 over 0.
        hands, guided = (frame.max(axis=-1) > 66) & ~cuff, (maps.mano[t].max(axis=0) > 0.38) & ~cuff
        shared += (hands & guided).sum()
        either += (hands | guided).sum()
    assert shared > 20_000
    assert shared / either > 0.98


def test_backends_agree_on_nails_and_creases(hand_model, detail):
    """Both light the fine surface alike, and it is not the plain one."""
    motion = still(("open", "fist"), palm=(0, 0, -1))
    pictures = {
        (backend, surface is None): next(
            render_motion(motion, hand_model, CAMERA, detail=surface, backend=backend)
        ).astype(int)
        for backend in ("auto", "raster")
        for surface in (None, detail)
    }
    fine, plain = pictures["raster", False], pictures["raster", True]
    hands = np.abs(fine - pictures["auto", False])
    assert hands.mean() < 1.0
    assert np.percentile(np.abs(fine - plain).max(axis=-1), 99) > 8


def test_crevices_are_darker_and_planes_are_not():
    plane = np.full((60, 60), 2.0, np.float32)
    np.testing.assert_allclose(openness(plane, 1000.0), 1.0)
    groove = plane.copy()
    groove[:, 28:32] += 0.012
    light = openness(groove, 1000.0)
    assert light[30, 30] < 0.8
    assert light[30, 5] == 1.0
    groove[10:20] = 0  # nothing there: no shade from what is not
    np.testing.assert_allclose(openness(groove, 1000.0)[14:16], 1.0)


# Trails ------------------------------------------------------------------------------------------


def sweeping(frames: int, fps: float = 24.0, aside_m: float = 0.0) -> HandMotion:
    """Open hands that rise and fall once a second, 0.2 m far; `aside_m` makes it an ellipse."""
    motion = still(("open", "open"))
    places = np.repeat(motion.translation_m, frames, axis=0)
    phase = 2 * np.pi * np.arange(frames)[:, None] / fps
    places[..., 1] += 0.1 * np.sin(phase)
    places[..., 0] += aside_m * np.cos(phase)
    turns = np.repeat(motion.quaternions, frames, axis=0)
    return HandMotion(turns, places, np.ones((frames, 2), bool), motion.betas, fps)


def path_distance_px(motion: HandMotion, first: int, last: int) -> np.ndarray:
    """(H, W): how far each pixel's centre is from the wrists' paths of these frames."""
    fine = np.linspace(first, last, 40 * (last - first) + 1)
    frames = np.arange(motion.num_frames)
    rows, columns = np.mgrid[: CAMERA.height_px, : CAMERA.width_px] + 0.5
    nearest = np.full(rows.shape, np.inf)
    for hand in range(NUM_HANDS):
        path = np.stack(
            [np.interp(fine, frames, motion.translation_m[:, hand, k]) for k in range(3)], axis=-1
        )
        for x, y in CAMERA.project(path):
            nearest = np.minimum(nearest, np.hypot(columns - x, rows - y))
    return nearest


@pytest.mark.parametrize("ghost", [False, True])
def test_trails_touch_only_what_is_near_the_path(hand_model, ghost):
    motion, t = sweeping(48, aside_m=0.08), 20
    span = round(SPAN_S * motion.fps)
    options = {"backend": "raster", "start": t, "stop": t + 1}
    (without,) = render_motion(motion, hand_model, CAMERA, **options)
    (with_trails,) = render_motion(motion, hand_model, CAMERA, trails=True, ghost=ghost, **options)
    touched = (without != with_trails).any(axis=-1)
    last = t + span if ghost else t
    radius = 0.5 * WIDTH_M * CAMERA.pixels_per_metre * 2.5 / 2.4
    # The spline may leave the straight path between two frames by a fraction of a pixel.
    assert path_distance_px(motion, t - span, last)[touched].max() < radius + 1.5
    assert touched.sum() > 100
    assert draw_trails(motion, CAMERA, t, ghost=ghost).alpha.max() <= 1


def test_trails_fade_with_age_and_break_where_a_hand_is_hidden():
    motion, t = sweeping(48, aside_m=0.08), 24
    alpha = draw_trails(motion, CAMERA, t).alpha
    ages = [2, 6, 10, 14]
    places = [CAMERA.project(motion.translation_m[t - age, 0]).astype(int) for age in ages]
    seen = [alpha[y, x] for x, y in places]
    assert seen[0] > 0.5
    assert seen == sorted(seen, reverse=True)
    assert seen[-1] > 0
    visible = motion.visible.copy()
    visible[: t - 4] = False
    cut = HandMotion(motion.quaternions, motion.translation_m, visible, motion.betas, 24.0)
    x, y = places[-1]
    assert draw_trails(cut, CAMERA, t).alpha[y, x] == 0
    resting = still(("open", "open"))
    assert not draw_trails(resting, CAMERA, 0).alpha.any()


@pytest.mark.parametrize(("away_m", "hidden"), [(-0.12, True), (0.12, False)])
def test_hands_hide_the_ribbon_behind_them_and_not_the_one_before_them(hand_model, away_m, hidden):
    """The wrists pass behind (or before) where the hands then stand still, edge of a ribbon."""
    motion = sweeping(13)
    places = motion.translation_m.copy()
    places[:12, :, 2] += away_m
    places[:12, :, 1] = places[12, :, 1] + np.linspace(-0.02, 0.1, 12)[:, None]
    motion = HandMotion(motion.quaternions, places, motion.visible, motion.betas, 24.0)
    options = {"backend": "raster", "background": NIGHT, "start": 12}
    (without,) = render_motion(motion, hand_model, CAMERA, **options)
    (with_trails,) = render_motion(motion, hand_model, CAMERA, trails=True, **options)
    paths = draw_trails(motion, CAMERA, 12)
    palm = CAMERA.project(motion.translation_m[12, 0] + [0.0, 0.06, 0.0]).astype(int)
    inside = silhouette(without)
    inside = cv2.erode(inside.astype(np.uint8), np.ones((5, 5))) > 0
    crossed = inside & (paths.alpha > 0.2)
    crossed[: palm[1] - 12] = crossed[palm[1] + 12 :] = False
    assert crossed.sum() > 20
    changed = (without != with_trails).any(axis=-1)[crossed].mean()
    assert changed == 0 if hidden else changed > 0.9


# The beat strip ----------------------------------------------------------------------------------


def bursts(duration_s: float) -> Beats:
    """A recording that is loud for 0.2 s from every half second on."""
    times = (np.arange(round(100 * duration_s)) + 0.5) / 100
    onsets = np.arange(0.5, duration_s, 0.5)
    return Beats((times % 0.5 < 0.2).astype(np.float32), 100.0, onsets, np.ones(len(onsets)))


def white_column(band: np.ndarray) -> float:
    """Where the playhead is seen: the mean column of nearly white pixels in the upper half."""
    rows = slice(round(0.2 * len(band)), round(0.45 * len(band)))
    return float(np.flatnonzero((band[rows].min(axis=-1) > 200).mean(axis=0) > 0.5).mean())


def test_the_strip_leaves_the_picture_alone():
    motion = sweeping(48)
    strip = BeatStrip(motion, bursts(2.0), 256)
    assert strip.height % 2 == 0
    frame = np.random.default_rng(0).integers(0, 255, (224, 256, 3), dtype=np.uint8)
    framed = strip.below(frame, 7)
    assert framed.shape == (224 + strip.height, 256, 3)
    np.testing.assert_array_equal(framed[:224], frame)
    streamed = next(strip.under(iter([frame]), start=7))
    np.testing.assert_array_equal(streamed, framed)


@pytest.mark.parametrize("duration_s", [2, 60])
def test_the_playhead_runs_through_the_strip(duration_s):
    """A short clip is shown whole; in a long one the strip moves under a playhead that rests."""
    motion = sweeping(duration_s * 24)
    strip = BeatStrip(motion, bursts(duration_s), 480)
    frames = [0, motion.num_frames // 2, motion.num_frames - 1]
    for t in frames:
        assert abs(white_column(strip.draw(t)) + 0.5 - strip.playhead_px(t)) < 1.5
    places = [strip.playhead_px(t) for t in range(motion.num_frames)]
    assert places[0] <= 5
    assert places[-1] >= 475
    steps = np.diff(places)
    assert (steps >= 0).all()
    if duration_s == 2:
        np.testing.assert_allclose(steps, 10.0)
    else:
        middle, after = strip.draw(700), strip.draw(701)
        slide = round(480 / (7.0 * 24))
        rows = slice(round(0.7 * strip.height), round(0.88 * strip.height))
        past = slice(0, 150)  # dimmed alike in both
        np.testing.assert_array_equal(middle[rows, slide:150], after[rows, past][:, : 150 - slide])


def test_onsets_and_strokes_lie_where_time_has_them():
    motion = sweeping(72)
    beats = bursts(3.0)
    timeline = Timeline(motion, beats)
    bare = Timeline(motion, Beats(beats.levels, beats.rate_hz))
    changed = timeline.draw(0, 3, 600, 100) != bare.draw(0, 3, 600, 100)
    ticks = np.flatnonzero(changed[22:60].any(axis=-1).mean(axis=0) > 0.9)
    assert {round(tick / 200, 1) for tick in ticks} == {0.5, 1.0, 1.5, 2.0, 2.5}
    # The hands turn at 0.25 s, 0.75 s, ...: halfway between the onsets.
    ends = [end for end in timeline.stroke_ends if 6 < end.frame < 66]
    assert ends
    assert not any(end.meets for end in ends)
    assert all(min(abs(end.frame / 24 % 0.5 - 0.25), 1) < 0.06 for end in ends)
    on_time = Beats(onsets_s=beats.onsets_s + 0.25, strengths=beats.strengths)
    assert all(end.meets for end in Timeline(motion, on_time).stroke_ends if 6 < end.frame < 60)


def test_hidden_hands_have_no_curve_and_silence_has_no_sound():
    motion = sweeping(48)
    hidden = HandMotion(
        motion.quaternions, motion.translation_m, np.zeros((48, 2), bool), motion.betas, 24.0
    )
    empty = Timeline(hidden).draw(0, 2, 300, 80)
    assert Timeline(hidden).stroke_ends == ()
    rows = slice(16, 52)
    assert (empty[rows] == empty[16, 0]).all()
    assert not (Timeline(motion).draw(0, 2, 300, 80)[rows] == empty[16, 0]).all()


# The contact sheet -------------------------------------------------------------------------------


def test_a_sheet_shows_the_frames_that_it_names(hand_model, detail):
    motion = sweeping(60)
    sheet = contact_sheet(
        motion, hand_model, CAMERA, detail=detail, beats=bursts(2.5), count=8, title="sweep"
    )
    assert sheet.image.shape[1] == WIDTH_PX
    assert len(sheet.frames) == 8
    assert list(sheet.frames) == sorted(set(sheet.frames))
    cell = (WIDTH_PX - 5 * 12) // 4
    tall = round(cell * CAMERA.height_px / CAMERA.width_px)
    for number, t in enumerate(sheet.frames):
        row, column = divmod(number, 4)
        top, left = 46 + row * (tall + 42), 12 + column * (cell + 12)
        shown = sheet.image[top : top + tall, left : left + cell]
        (frame,) = render_motion(
            motion, hand_model, CAMERA, detail=detail, trails=True, start=t, stop=t + 1
        )
        expected = cv2.resize(frame, (cell, tall), interpolation=cv2.INTER_CUBIC)
        np.testing.assert_array_equal(shown, expected)


def test_moments_are_ends_of_strokes_then_fill_the_gaps():
    motion = sweeping(96)
    timeline = Timeline(motion)
    ends = {end.frame for end in timeline.stroke_ends}
    few = choose_frames(timeline, 4)
    assert set(few) <= ends
    assert min(np.diff(few)) >= 96 / 8
    resting = Timeline(HandMotion(*(np.repeat(a, 24, axis=0) for a in (
        still(("open", "open")).quaternions, still(("open", "open")).translation_m,
        np.ones((1, 2), bool))), np.zeros((2, 10)), 24.0))  # fmt: skip
    even = choose_frames(resting, 5)
    assert len(set(even)) == 5
    assert np.diff([-1, *even, 24]).max() <= 7
    assert choose_frames(resting, 99) == tuple(range(24))


# Long motions ------------------------------------------------------------------------------------


def test_ten_minutes_stream_in_flat_memory(hand_model, monkeypatch):
    """Previews of 60 s and of 600 s: the first second of frames needs the same memory, and no more
    than a chunk of meshes is made at once."""
    asked = []
    vertices = HandModel.vertices

    def counted(self, motion, start=0, stop=None):
        asked.append(stop - start)
        return vertices(self, motion, start, stop)

    monkeypatch.setattr(HandModel, "vertices", counted)
    camera = Camera((32.0, 25.0), 95.0, 64, 56)

    def peak(duration_s: int) -> int:
        short = sweeping(24)
        motion = HandMotion(
            np.tile(short.quaternions, (duration_s, 1, 1, 1)),
            np.tile(short.translation_m, (duration_s, 1, 1)),
            np.ones((24 * duration_s, 2), bool),
            short.betas,
            24.0,
        )
        strip = BeatStrip(motion, bursts(duration_s), camera.width_px)
        frames = strip.under(render_motion(motion, hand_model, camera, backend="raster"))
        tracemalloc.start()
        shown = sum(1 for _ in islice(frames, 26))
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert shown == 26
        return most

    peak(2)  # what is loaded once
    minute, ten = peak(60), peak(600)
    assert max(asked) <= CHUNK_FRAMES
    assert ten < 1.3 * minute + 1e6
