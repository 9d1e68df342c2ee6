"""What is measured of films without any network of others: laws, references, floors."""

import json
from dataclasses import replace

import numpy as np
import pytest

from emo2.cli import main
from emo2.errors import InputError
from emo2.evaluation.columns import FILM, markdown
from emo2.evaluation.drift import Drift
from emo2.evaluation.expression import NAMES, expression, expression_distance, mistimed
from emo2.evaluation.film_crowds import HandTextures, compare, sources
from emo2.evaluation.hand_quality import HandQuality, PoseSighting, asked_variance, pose_quality
from emo2.evaluation.hand_texture import (
    FLOORS,
    SIDE_PX,
    HandCrop,
    hand_crop,
    texture,
    textures,
)
from emo2.evaluation.hand_texture import NAMES as TEXTURES
from emo2.evaluation.paired import compare as compare_films
from emo2.evaluation.paired import psnr, ssim
from emo2.evaluation.sightings import Hands, Sighting, watch
from emo2.evaluation.sync import mouth_sync, sync_of, wrong_audio
from emo2.media import load_image, write_video


def picture(seed=0, height=60, width=80):
    from scipy.ndimage import gaussian_filter

    noise = np.random.default_rng(seed).normal(size=(height, width, 3))
    smooth = gaussian_filter(noise, (3, 3, 0))
    return np.clip(128 + 400 * smooth, 0, 255).astype(np.uint8)


# Pairs ------------------------------------------------------------------------------------------


def test_psnr_and_ssim_are_the_fields():
    metrics = pytest.importorskip("skimage.metrics")
    a, b = picture(0), picture(1)
    near = np.clip(a + np.random.default_rng(2).normal(0, 9, a.shape), 0, 255).astype(np.uint8)
    import cv2

    for other in (b, near):
        wanted = metrics.peak_signal_noise_ratio(a, other, data_range=255)
        assert psnr(other, a) == pytest.approx(wanted, rel=1e-9)
        grey = [cv2.cvtColor(f, cv2.COLOR_RGB2GRAY).astype(float) for f in (a, other)]
        wanted = metrics.structural_similarity(
            *grey, data_range=255, gaussian_weights=True, sigma=1.5, use_sample_covariance=False
        )
        assert ssim(other, a) == pytest.approx(wanted, abs=1e-4)
    assert psnr(a, a) == 100
    assert ssim(a, a) == pytest.approx(1)


def test_films_that_do_not_fit_are_refused():
    film = [picture(k) for k in range(3)]
    assert compare_films(film, film).frames == 3
    with pytest.raises(InputError, match=r"as many frames.* ends after 2"):
        compare_films(film, film[:2])
    with pytest.raises(InputError, match=r"80 x 60.*70 x 60"):
        compare_films(film, [frame[:, :70] for frame in film])
    with pytest.raises(InputError, match="must have frames"):
        compare_films([], [])


# Time -------------------------------------------------------------------------------------------


def test_sync_finds_the_offset_and_how_much_it_stands_out():
    rng = np.random.default_rng(0)
    sounds = rng.normal(size=(120, 32))
    late = np.roll(sounds, 4, axis=0) + 0.1 * rng.normal(size=sounds.shape)
    found = sync_of(late, sounds)
    assert found.offset == 4
    # Two independent points of a 32-D Gaussian lie about 8 apart; beyond the ends sound is zero.
    assert found.confidence == pytest.approx(8 - found.distance, abs=0.7)
    assert found.distance < 1
    assert sync_of(np.roll(sounds, -3, axis=0), sounds).offset == -3
    stranger = sync_of(rng.normal(size=sounds.shape), sounds)
    assert stranger.confidence < 0.3 * found.confidence
    assert np.isnan(sync_of(sounds[:0], sounds[:0]).confidence)


def test_sync_is_the_median_minus_the_least_of_mean_distances():
    rng = np.random.default_rng(1)
    a, b = rng.normal(size=(2, 40, 5))
    found = sync_of(a, b, most=2)
    padded = np.pad(b, ((2, 2), (0, 0)))
    means = [np.linalg.norm(a - padded[k : k + 40], axis=1).mean() for k in range(5)]
    assert found.distance == pytest.approx(min(means), abs=1e-4)
    assert found.confidence == pytest.approx(sorted(means)[2] - min(means), abs=1e-4)
    assert found.offset == 2 - int(np.argmin(means))


def test_a_mouth_in_time_stands_out_above_wrong_audio():
    rng = np.random.default_rng(0)
    loud = np.convolve(rng.uniform(size=300), np.ones(4) / 4, mode="same")
    gap = np.roll(loud, 2)
    found = mouth_sync(gap, loud)
    assert (found.offset, found.distance) == (2, pytest.approx(0, abs=1e-6))
    assert found.confidence > 0.8
    assert wrong_audio(gap, loud) < 0.5 * found.confidence
    assert np.isnan(mouth_sync(np.full(300, np.nan), loud).confidence)


def test_identity_that_falls_has_a_negative_slope():
    known, other = np.eye(4)[0], np.eye(4)[1]
    times = np.arange(0, 10, 0.25)
    angles = 0.05 * times
    faces = [np.cos(a) * known * 3 + np.sin(a) * other * 3 for a in angles]
    drift = Drift.of(times, faces, known)
    assert drift.first > drift.last
    assert drift.per_minute == pytest.approx((drift.last - drift.first) / 9 * 60, rel=0.2)
    steady = Drift.of(times, [known] * len(times), 5 * known)
    assert steady == Drift(*map(pytest.approx, (1, 1, 1, 0)))
    assert np.isnan(Drift.of(times[:3], faces[:3], known).per_minute)
    assert np.isnan(Drift.of([], [], known).mean)


# Hands ------------------------------------------------------------------------------------------


def expected(frames=6):
    rng = np.random.default_rng(0)
    hand = rng.uniform(0, 100, (21, 2))
    points = np.stack([hand, hand + np.array([300, 0])]) + np.zeros((frames, 1, 1, 1))
    return Hands(points, np.ptp(points, axis=2).max(-1), np.ones((frames, 2), bool))


def test_a_hand_that_is_not_found_has_no_confidence():
    hands = expected()
    both = [Sighting(None, tuple(points), (0.9, 0.7)) for points in hands.points]
    assert HandQuality.of(both, hands, 100.0).confidence == pytest.approx(0.8)
    swapped = [Sighting(None, tuple(points[::-1]), (0.7, 0.9)) for points in hands.points]
    assert HandQuality.of(swapped, hands, 100.0).confidence == pytest.approx(0.8)
    one = [Sighting(None, (points[0],), (0.9,)) for points in hands.points]
    assert HandQuality.of(one, hands, 100.0).confidence == pytest.approx(0.45)
    hidden = replace(hands, in_view=np.zeros_like(hands.in_view))
    assert np.isnan(HandQuality.of(both, hidden, 100.0).confidence)


def test_variance_is_in_shoulder_breadths():
    hands = expected(frames=8)
    sway = np.array([3.0, -3.0] * 4)
    moved = replace(hands, points=hands.points + sway[:, None, None, None] * [1.0, 0.0])
    seen = [Sighting(None, tuple(points), (1.0, 1.0)) for points in moved.points]
    assert HandQuality.of(seen, hands, 100.0).variance == pytest.approx(9 / 100**2)
    assert HandQuality.of(seen, hands, 50.0).variance == pytest.approx(9 / 50**2)
    assert asked_variance(hands, 100.0) == pytest.approx(0)
    assert asked_variance(moved, 100.0) == pytest.approx(9 / 100**2)
    pose = [PoseSighting(points, np.full((2, 21), 0.6)) for points in moved.points]
    published = pose_quality(pose, 100.0)
    assert published == HandQuality(pytest.approx(0.6), pytest.approx(9 / 100**2))
    unsure = [PoseSighting(p.points, np.full((2, 21), 0.1)) for p in pose]
    assert pose_quality(unsure, 100.0).confidence == pytest.approx(0.1)
    assert np.isnan(pose_quality(unsure, 100.0).variance)


def test_palms_are_told_apart():
    """A drawn character's hands are found, each with its own score."""
    image = load_image("assets/amara.jpg")
    ((_, sighting),) = watch([image])
    assert len(sighting.palms) == len(sighting.hands)
    assert all(0 <= score <= 1 for score in sighting.palms)


# Texture ----------------------------------------------------------------------------------------

HAND = np.array(
    [[.5, .95], [.35, .85], [.22, .72], [.12, .62], [.05, .55], [.36, .5], [.33, .3], [.31, .18],
     [.3, .06], [.48, .48], [.48, .25], [.48, .12], [.48, .0], [.6, .5], [.62, .3], [.63, .18],
     [.64, .07], [.7, .56], [.76, .42], [.8, .33], [.83, .25]]
)  # fmt: skip


def photographed(seed, size=64):
    """A picture with the statistics of nature (1/f), in a skin's colour."""
    rng = np.random.default_rng(seed)
    f = np.hypot(*np.meshgrid(*[np.fft.fftfreq(size)] * 2)) + 1 / size
    field = np.fft.ifft2(np.fft.fft2(rng.normal(size=(size, size))) / f**1.2).real
    field /= field.std()
    pixels = np.array([200, 150, 125]) * np.exp(0.15 * field)[..., None]
    return np.clip(pixels, 0, 255).astype(np.uint8)


def crops(seeds):
    found = [hand_crop(photographed(seed, 200), 40 + 110 * HAND) for seed in seeds]
    assert all(isinstance(crop, HandCrop) for crop in found)
    return found


def test_hands_are_cut_whole_and_large_enough():
    (crop,) = crops([0])
    assert crop.pixels.shape == (SIDE_PX, SIDE_PX, 3)
    assert 0.1 < crop.skin.mean() < 0.6
    assert hand_crop(photographed(0, 200), 40 + 30 * HAND) is None
    assert hand_crop(photographed(0, 200), 150 + 110 * HAND) is None
    assert texture(crop).shape == (len(TEXTURES),)
    black = HandCrop(np.zeros_like(crop.pixels), crop.skin)
    assert np.isfinite(texture(black)).all()


def test_texture_does_not_hear_the_lamp():
    dark = hand_crop((0.6 * photographed(0, 200)).astype(np.uint8), 40 + 110 * HAND)
    bright = crops([0])[0]
    spread = textures(crops(range(12))).std(axis=0)
    strength = [k for k, name in enumerate(TEXTURES) if name.startswith("strength")]
    moved = (texture(dark) - texture(bright)) / spread
    blurred = (texture(FLOORS["blurred"](bright)) - texture(bright)) / spread
    assert np.abs(moved[strength]).max() < 0.5 * np.abs(blurred[strength]).max()


def test_spoilt_hands_lie_farther_than_other_real_ones():
    real = [textures([crop]) for crop in crops(range(60))]
    others = crops(range(100, 160))
    facts = compare("hand_texture_distance", [textures([c]) for c in others], real)
    for spoil in FLOORS.values():
        worse = compare("hand_texture_distance", [textures([spoil(c)]) for c in others], real)
        assert worse["hand_texture_distance"] > 2 * facts["hand_texture_distance"]
    floor = facts["hand_texture_distance_floor"]
    assert facts["hand_texture_distance"] == pytest.approx(floor, rel=0.5)


def test_crowds_too_small_are_not_measured():
    facts = compare("expression_frechet", [np.zeros((1, 10))], [np.ones((1, 10))])
    assert np.isnan(facts["expression_frechet"])
    assert facts["expression_frechet_rows"] == 1
    rng = np.random.default_rng(0)
    real = [rng.normal(size=(40, 3)) for _ in range(4)]
    far = compare("fid", [rng.normal(size=(40, 3)) + 5 for _ in range(2)], real)
    assert far["fid"] == pytest.approx(75, rel=0.2)
    assert far["fid_floor"] < 1


def test_sources_are_films_and_pictures(tmp_path):
    with pytest.raises(InputError, match="folder"):
        sources(tmp_path)
    for name in ("b.PNG", "a.mp4", "c.txt"):
        (tmp_path / name).touch()
    assert [path.name for path in sources(tmp_path)] == ["a.mp4", "b.PNG"]
    assert sources(tmp_path / "a.mp4") == [tmp_path / "a.mp4"]
    with pytest.raises(InputError, match="nowhere"):
        sources(tmp_path / "nowhere")


def test_only_some_frames_of_a_film_are_rows():
    looker = HandTextures()
    frame, hand = photographed(0, 200), 40 + 110 * HAND
    for t in range(13):
        looker.add(t, frame, Sighting(None, (hand,), (0.9,)))
    assert looker.table().shape == (3, len(TEXTURES))


# Expression -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def face():
    ((_, sighting),) = watch([load_image("assets/amara.jpg")], faces_only=True)
    return sighting.face


def test_expression_does_not_hear_place_size_or_tilt(face):
    turn = np.deg2rad(20)
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    np.testing.assert_allclose(expression(face), expression(2.5 * face + 40), rtol=1e-9)
    np.testing.assert_allclose(expression(face), expression(face @ rotation.T), rtol=1e-9)


def test_each_expression_has_its_number(face):
    rest = dict(zip(NAMES, expression(face), strict=True))
    down = (face[2] - face[6]) / 10

    def with_moved(points, step):
        moved = face.copy()
        moved[list(points)] += step
        return dict(zip(NAMES, expression(moved), strict=True))

    assert with_moved([14], down)["mouth_open"] > rest["mouth_open"] + 0.05
    assert with_moved([61, 291], -down)["corners_up"] > rest["corners_up"] + 0.05
    assert with_moved([334], -down)["left_brow"] > rest["left_brow"] + 0.05
    assert with_moved([145], -down)["right_eye"] != rest["right_eye"]
    assert np.isnan(expression(None)).all()


def test_expressions_are_compared_where_both_films_have_a_face():
    rng = np.random.default_rng(0)
    film = rng.normal(size=(40, 10))
    assert expression_distance(film, film) == 0
    assert expression_distance(film, film + 0.5) == pytest.approx(0.5)
    assert mistimed(film, film) == pytest.approx(np.sqrt(2), rel=0.15)
    gone = film.copy()
    gone[3] = np.nan
    assert expression_distance(gone, film) == 0
    assert np.isnan(expression_distance(np.full((4, 10), np.nan), film[:4]))


# The table and the commands ---------------------------------------------------------------------


def test_every_figure_of_a_film_is_described_once():
    keys = [column.key for group in FILM for column in group.columns]
    assert len(keys) == len(set(keys))
    text = markdown(FILM, {"hkc": 0.81234, "hkc_still": float("nan"), "frames": 3})
    assert "### Hands against the motion" in text
    assert "| HKC | 0.812 | portrait as it is – |" in text
    assert "Mouth" not in text


def test_films_are_compared_with_real_pictures(tmp_path, capsys):
    film = tmp_path / "film.mp4"
    write_video(film, [load_image("assets/amara.jpg")[:640, :512]] * 8, 24.0, None)
    words = ["evaluate", "realism", str(film), "--real", "assets"]
    assert main([*words, "--measures", "expression_frechet"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["made"] == 1
    assert facts["expression_frechet_rows"] == 8
    assert facts["expression_frechet"] > 1  # one still face is not as varied as three people
    assert facts["expression_frechet_floor"] is None  # of three faces no half can be fitted
    assert main(["evaluate", "realism", str(film), "--real", str(film)]) == 2
    assert "two sources" in capsys.readouterr().err


@pytest.fixture(scope="module")
def still_film(tmp_path_factory):
    """A second of a portrait that does not move, and the command's arguments for it."""
    import shutil

    from conftest import syllables
    from scipy.io import wavfile
    from seen import speaker

    from emo2.motion.formats.npz import save_npz
    from emo2.pipeline import DEMO_CHECKPOINT, EMO2Pipeline

    folder = tmp_path_factory.mktemp("film")
    shutil.copy("assets/amara.jpg", folder / "portrait.jpg")
    pipe = EMO2Pipeline.from_pretrained(DEMO_CHECKPOINT)
    portrait = pipe.analyse(load_image("assets/amara.jpg"))
    write_video(folder / "film.mp4", [portrait.image] * 24, 24.0, None)
    save_npz(speaker(24), folder / "motion.npz")
    wavfile.write(folder / "speech.wav", 16000, syllables(1.0))
    given = {"--motion": "motion.npz", "--portrait": "portrait.jpg", "--audio": "speech.wav"}
    words = [word for name, file in given.items() for word in (name, str(folder / file))]
    return folder, ["evaluate", "video", str(folder / "film.mp4"), *words]


def test_a_film_is_measured_beside_its_floors(still_film, capsys):
    folder, words = still_film
    assert main([*words, "--networks", "none", "--reference", str(folder / "film.mp4")]) == 0
    facts = json.loads(capsys.readouterr().out)
    described = {column.key for group in FILM for column in group.columns}
    described |= {key for group in FILM for column in group.columns for key in column.beside}
    assert set(facts) <= described | {"frames"}
    assert facts["frames"] == 24
    assert facts["face_found"] == 1
    assert facts["psnr"] == 100
    assert facts["psnr_still"] < 100  # the codec's loss
    assert facts["expression_distance"] == 0
    assert facts["hand_confidence"] == pytest.approx(facts["hand_confidence_still"], abs=0.1)
    assert facts["mouth_range"] < 0.01  # nothing moves but what the codec does
    assert not {"fid", "fvd", "csim", "hkc", "sync_c"} & set(facts)


def test_a_film_of_another_portrait_is_refused(still_film, capsys):
    folder, words = still_film
    write_video(folder / "small.mp4", [picture()] * 4, 24.0, None)
    words = [word.replace("film.mp4", "small.mp4") for word in words]
    assert main([*words, "--networks", "none"]) == 2
    assert "got 80 x 60" in capsys.readouterr().err


def test_published_figures_are_added_with_their_networks(still_film, capsys, monkeypatch):
    """Networks that answer a constant stand in for the real ones: the path to the table is real."""
    from emo2.evaluation import film_crowds, one_film

    _, words = still_film

    class Constant:
        def embed(self, frame, face):
            return np.ones(512)

        def hands(self, frame):
            return np.zeros((2, 21, 2)), np.full((2, 21), 0.5)

    class Ears:
        def embed(self, faces, audio):
            assert len(faces) == 25
            assert faces[0].shape == (224, 224, 3)
            return np.eye(20), np.eye(20)

    class Eyes:
        def features(self, frames):
            return np.stack([frame.mean(axis=(0, 1)) for frame in frames])

    made = type("Made", (), {"from_pretrained": staticmethod(Constant)})
    seeing = type("Seeing", (), {"from_pretrained": staticmethod(Eyes)})
    monkeypatch.setattr(one_film, "ArcFace", made)
    monkeypatch.setattr(one_film, "DWPose", made)
    hearing = type("Hearing", (), {"from_pretrained": staticmethod(Ears)})
    monkeypatch.setattr(one_film, "SyncNet", hearing)
    monkeypatch.setattr(film_crowds.Pictures, "width", 3)
    crowd = (film_crowds.Pictures, seeing)
    monkeypatch.setattr(film_crowds, "NETWORKED", {"fid": crowd})
    monkeypatch.setattr(one_film, "wanted_networks", lambda named: list(named))
    monkeypatch.setattr(one_film, "available", lambda networks: ["fid"])
    networks = ["arcface", "dwpose", "syncnet", "inception"]
    assert main([*words, "--networks", *networks, "--real", "assets", "--table"]) == 0
    table = capsys.readouterr().out
    for figure in (
        "| CSIM | 1.000 |",
        "| HKC | 0.500 |",
        "| HKV | 0.0000",
        "| Sync-C |",
        "| FID |",
    ):
        assert figure in table
