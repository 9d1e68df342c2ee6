"""The free hand as built: mesh, mirror, shape space, pose correctives, skin, arm and cuffs."""

import contextlib
import io
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from emo2.hands.arm import ArmModel
from emo2.hands.cuffs import Cuffs
from emo2.hands.detail import HandDetail
from emo2.hands.free_hand import skin
from emo2.hands.free_hand.chains import chain
from emo2.hands.free_hand.flesh import Flesh
from emo2.hands.free_hand.implicit import distance
from emo2.hands.free_hand.remesh import border_loops
from emo2.hands.free_hand.settle import Skin
from emo2.hands.free_hand.shape_space import SHAPE_NAMES
from emo2.hands.shapes import finger_quaternions, wrist_rotation
from emo2.hands.skeleton import (
    FINGER_POINTS,
    FINGERS,
    LEFT,
    PARENTS,
    REST_JOINTS,
    RIGHT,
    TIP_VERTICES,
    WRIST,
    finger_axes,
)
from emo2.hands.subdivision import loop_subdivision
from emo2.motion.rotations import from_axis_angle, multiply, to_matrix
from emo2.types import HandMotion

HANDS = Path(__file__).parents[1] / "checkpoints" / "demo" / "hands"
FLIP = np.array([-1.0, 1.0, 1.0])


@pytest.fixture(scope="module")
def hand() -> dict[str, np.ndarray]:
    """The right hand's arrays, float64."""
    arrays = {k: v.astype(np.float64) for k, v in np.load(HANDS / "MANO_RIGHT.npz").items()}
    return {**arrays, "f": arrays["f"].astype(int)}


@pytest.fixture(scope="module")
def detail() -> HandDetail:
    return HandDetail.from_pretrained(HANDS)


def bent(**rows) -> np.ndarray:
    """(16, 3, 3) joint rotations of a right hand; a row (twist, spread, base, middle, tip) in
    degrees per finger named."""
    angles = np.zeros((5, 5))
    for finger, row in rows.items():
        angles[FINGERS.index(finger)] = row
    return to_matrix(finger_quaternions(angles, RIGHT))


def fingers(*row) -> np.ndarray:
    return bent(**dict.fromkeys(FINGERS[1:], row))


def posed(hand: dict, matrices: np.ndarray, correct: bool = True) -> np.ndarray:
    """(778, 3): MANO's forward pass, with or without its pose correctives."""
    vertices = hand["v_template"]
    if correct:
        vertices = vertices + hand["posedirs"] @ (matrices[1:] - np.eye(3)).reshape(-1)
    turns, shifts = [matrices[0]], [np.zeros(3)]
    for j, parent in enumerate(PARENTS[1:], start=1):
        place = turns[parent] @ REST_JOINTS[j] + shifts[parent]
        turns.append(turns[parent] @ matrices[j])
        shifts.append(place - turns[j] @ REST_JOINTS[j])
    blend = np.einsum("vj,jab->vab", hand["weights"], np.stack(turns))
    return np.einsum("vab,vb->va", blend, vertices) + hand["weights"] @ np.stack(shifts)


def volume(vertices: np.ndarray, faces: np.ndarray) -> float:
    """Of a surface whose borders are closed by fans [m^3]."""
    points = vertices - vertices.mean(axis=0)
    corners = points[faces]
    six = np.einsum("fi,fi->", corners[:, 0], np.cross(corners[:, 1], corners[:, 2]))
    for loop in border_loops(faces):
        ring = points[loop]
        six += np.sum(ring.mean(axis=0) * np.cross(np.roll(ring, -1, axis=0), ring))
    return six / 6


def part(hand: dict, finger: str, start: float, stop: float) -> np.ndarray:
    """Faces of a finger between two stations (0 to 3: its joints and tip)."""
    where = {f: chain(hand["v_template"], f) for f in FINGERS}
    own = np.argmin([where[f].surface for f in FINGERS], axis=0) == FINGERS.index(finger)
    station = where[finger].station[hand["f"]].mean(axis=1)
    return hand["f"][(own[hand["f"]].sum(axis=1) > 1) & (station > start) & (station <= stop)]


# Mesh -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["MANO_LEFT", "MANO_RIGHT"])
def test_the_free_hand_has_manos_arrays(name):
    arrays = np.load(HANDS / f"{name}.npz")
    shapes = {key: arrays[key].shape for key in arrays.files}
    assert shapes == {
        "v_template": (778, 3),
        "f": (1538, 3),
        "weights": (778, 16),
        "J_regressor": (16, 778),
        "shapedirs": (778, 3, 10),
        "posedirs": (778, 3, 135),
        "kintree_table": (2, 16),
        "hands_components": (45, 45),
        "hands_mean": (45,),
    }
    np.testing.assert_allclose(arrays["weights"].sum(axis=1), 1, atol=1e-5)
    assert arrays["weights"].min() >= 0
    np.testing.assert_allclose(arrays["J_regressor"].sum(axis=1), 1, atol=1e-5)
    flip = FLIP if name == "MANO_LEFT" else 1.0
    joints = arrays["J_regressor"] @ arrays["v_template"]
    np.testing.assert_allclose(joints, REST_JOINTS * flip, atol=1e-5)


@pytest.mark.parametrize("name", ["MANO_LEFT", "MANO_RIGHT"])
def test_unmodified_smplx_loads_it(name):
    from smplx import MANO

    with contextlib.redirect_stdout(io.StringIO()):
        layer = MANO(str(HANDS / f"{name}.npz"), ext="npz", use_pca=False, flat_hand_mean=True)
    out = layer()
    template = np.load(HANDS / f"{name}.npz")["v_template"]
    np.testing.assert_allclose(out.vertices[0].detach().numpy(), template, atol=1e-6)
    assert out.joints.shape[1] >= 16


def test_the_mesh_is_a_clean_surface_with_one_open_rim(hand):
    faces, vertices = hand["f"], hand["v_template"]
    halves = faces[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2)
    assert len(np.unique(halves, axis=0)) == len(halves), "an edge used twice in one direction"
    edges, uses = np.unique(np.sort(halves, axis=1), axis=0, return_counts=True)
    assert set(uses) == {1, 2}
    assert [len(loop) for loop in border_loops(faces)] == [16]
    assert len(vertices) - len(edges) + len(faces) == 1
    assert 3e-4 < volume(vertices, faces) < 4.5e-4, "outward faces, the volume of a hand"
    rim = vertices[border_loops(faces)[0]]
    assert np.ptp(rim[:, 0]) < 1e-6
    assert np.all(rim[:, 0] > WRIST[0] + 0.02)


def test_no_face_is_a_sliver(hand):
    corners = hand["v_template"][hand["f"]]
    sides = np.linalg.norm(corners - np.roll(corners, -1, axis=1), axis=2)
    area = np.linalg.norm(
        np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1
    )
    assert (area / sides.max(axis=1) ** 2).min() > 0.08


def test_subdivided_it_lies_on_the_implicit_surface(hand):
    operator, _ = loop_subdivision(hand["f"], 778)
    off = np.abs(distance(operator @ hand["v_template"]))
    assert np.quantile(off, 0.95) < 6e-4


def test_tips_are_the_tips(hand):
    vertices = hand["v_template"]
    for finger in FINGERS:
        direction = FINGER_POINTS[finger][3] - FINGER_POINTS[finger][2]
        tip = vertices[TIP_VERTICES[finger]]
        reach = (vertices @ direction)[np.linalg.norm(vertices - tip, axis=1) < 0.012]
        assert tip @ direction == pytest.approx(reach.max(), abs=1e-12)
        assert np.linalg.norm(tip - FINGER_POINTS[finger][3]) < 5e-4


def test_the_left_hand_is_the_mirror_image_to_the_bit():
    right, left = (np.load(HANDS / f"MANO_{side}.npz") for side in ("RIGHT", "LEFT"))
    flip = FLIP.astype(np.float32)
    np.testing.assert_array_equal(left["v_template"], right["v_template"] * flip)
    np.testing.assert_array_equal(left["f"], right["f"][:, ::-1])
    np.testing.assert_array_equal(left["shapedirs"], right["shapedirs"] * flip[:, None])
    for same in ("weights", "J_regressor", "kintree_table"):
        np.testing.assert_array_equal(left[same], right[same])
    signs = np.outer(flip, flip)  # a mirror changes these entries of a rotation
    per_entry = right["posedirs"].reshape(778, 3, 15, 3, 3) * signs * flip[:, None, None, None]
    np.testing.assert_array_equal(left["posedirs"], per_entry.reshape(778, 3, 135))


def test_the_cheap_stages_of_the_build_are_deterministic(hand):
    from emo2.hands.free_hand.topology import finger_rings

    first, again = finger_rings("index")[1], finger_rings("index")[1]
    np.testing.assert_array_equal(first, again)
    on_skin = np.abs(distance(first)) < 1e-6
    assert on_skin[10:].all()
    assert on_skin[:10].sum() >= 8, "of the first ring, one or two are in the web"
    some, normals = hand["v_template"][::7], np.tile([0.0, 1.0, 0.0], (112, 1))
    np.testing.assert_array_equal(skin.relief(some, normals), skin.relief(some, normals))


@pytest.mark.slow
def test_building_gives_the_committed_hand():
    from emo2.hands.template import build_hand

    kept = np.load(HANDS / "MANO_RIGHT.npz")
    for name, values in build_hand().items():
        np.testing.assert_allclose(values, kept[name], atol=1e-6, err_msg=name)


# Pose correctives -------------------------------------------------------------------------------


def test_correctives_are_nothing_in_the_flat_hand(hand):
    np.testing.assert_allclose(posed(hand, np.tile(np.eye(3), (16, 1, 1))), hand["v_template"])


def test_a_bent_finger_changes_nothing_far_from_its_joints(hand):
    matrices = bent(index=(0, 0, 80, 100, 60))
    offset = hand["posedirs"] @ (matrices[1:] - np.eye(3)).reshape(-1)
    away = np.linalg.norm(hand["v_template"][:, None] - FINGER_POINTS["index"], axis=2).min(axis=1)
    assert np.linalg.norm(offset, axis=1)[away > 0.055].max() < 4e-4
    assert np.linalg.norm(offset, axis=1).max() < 0.012


@pytest.mark.parametrize(
    ("row", "stations", "floor"),
    [((0, 0, 0, 100, 0), (1, 2), 0.90), ((0, 0, 0, 0, 70), (1.5, 2.5), 0.90)],
)
@pytest.mark.parametrize("finger", FINGERS[1:])
def test_bent_fingers_keep_their_volume(hand, finger, row, stations, floor):
    faces = part(hand, finger, *stations)
    rest, matrices = volume(hand["v_template"], faces), bent(**{finger: row})
    assert abs(volume(posed(hand, matrices), faces) / rest - 1) < 0.045
    assert volume(posed(hand, matrices, correct=False), faces) / rest < floor, "plain skinning"


def test_the_whole_hand_keeps_its_volume(hand):
    rest = volume(hand["v_template"], hand["f"])
    poses = {
        "fist": fingers(0, 0, 86, 104, 64),
        "knuckles": fingers(0, 0, 90, 0, 0),
        "relaxed": fingers(0, 0, 28, 32, 18),
        "opposed": bent(thumb=(46, 20, 26, 10, 0)),
        "thumb": bent(thumb=(0, 0, 0, 55, 70)),
    }
    for name, matrices in poses.items():
        assert abs(volume(posed(hand, matrices), hand["f"]) / rest - 1) < 0.03, name
    for name in ("fist", "knuckles"):
        plain = posed(hand, poses[name], correct=False)
        assert volume(plain, hand["f"]) / rest < 0.95, "plain skinning"


def test_a_bent_finger_folds_without_crossing_itself(hand):
    matrices = bent(middle=(0, 0, 0, 105, 0))
    faces = part(hand, "middle", 0.6, 1.6)
    axes, joint = finger_axes("middle"), FINGER_POINTS["middle"][1]
    half = to_matrix(from_axis_angle(np.deg2rad(52.5) * axes[1, 2])) @ axes[1, 0]
    where = chain(hand["v_template"], "middle")
    near = np.intersect1d(np.unique(faces), np.flatnonzero(where.up < -0.5))
    side = np.sign(where.along[near] - where.starts[1])
    across = [
        ((posed(hand, matrices, correct)[near] - joint) @ half * side)[np.abs(side) > 0].min()
        for correct in (True, False)
    ]
    assert across[0] > -7e-4
    assert across[1] < -2e-3, "plain skinning"


@pytest.mark.parametrize("finger", ["index", "middle", "ring"])
def test_knuckles_rise(hand, finger):
    """The skin over a bent knuckle keeps nearer to the distance from the joint that it has at rest
    than plain skinning lets it."""
    joint, where = FINGER_POINTS[finger][0], chain(hand["v_template"], finger)
    back = (where.up > 0.7) & (np.abs(where.along) < 0.008) & (where.surface < 0.005)
    matrices = bent(**{finger: (0, 0, 85, 0, 0)})
    rest, plain, ours = (
        np.linalg.norm(points[back] - joint, axis=1).mean()
        for points in (
            hand["v_template"],
            posed(hand, matrices, correct=False),
            posed(hand, matrices),
        )
    )
    assert plain < 0.86 * rest
    assert plain + 0.3 * (rest - plain) < ours < 1.08 * rest


def test_flesh_follows_the_bones_and_stretches_less_than_plain_skinning():
    """The elastic solve alone, on a bar that is bent in the middle."""

    def inside(points):
        return (np.abs(points[:, 1:]) < 0.0075).all(axis=1) & (np.abs(points[:, 0]) < 0.021)

    def bone(points):
        return np.where(points[:, 0] < -0.014, 1, np.where(points[:, 0] > 0.014, 2, 0))

    def guess(points, rotation):
        share = np.clip(0.5 + points[:, 0] / 0.012, 0, 1)[:, None, None]
        return np.einsum("vij,vj->vi", np.eye(3) + share * (rotation - np.eye(3)), points)

    low, high = np.array([-0.024, -0.009, -0.009]), np.array([0.024, 0.009, 0.009])
    flesh = Flesh(inside, bone, low, high, 0.003)
    turn = to_matrix(from_axis_angle(np.array([0.0, 0.0, np.deg2rad(80)])))
    still, places = flesh.bend(np.zeros(3), [np.eye(3), turn], guess)
    np.testing.assert_allclose(still, flesh.rest, atol=1e-9)
    bones = bone(flesh.rest)
    np.testing.assert_array_equal(places[bones == 1], flesh.rest[bones == 1])
    np.testing.assert_allclose(places[bones == 2], flesh.rest[bones == 2] @ turn.T, atol=1e-12)

    def strain(points):
        edges = [points[flesh.tets[:, i]] - points[flesh.tets[:, 0]] for i in (1, 2, 3)]
        rest = [flesh.rest[flesh.tets[:, i]] - flesh.rest[flesh.tets[:, 0]] for i in (1, 2, 3)]
        return np.mean([(np.linalg.norm(e, axis=1) / np.linalg.norm(r, axis=1) - 1) ** 2
                        for e, r in zip(edges, rest, strict=True)])  # fmt: skip

    assert strain(places) < 0.7 * strain(guess(flesh.rest, turn))


def test_skin_settles_at_its_volume():
    hand = np.load(HANDS / "MANO_RIGHT.npz")
    vertices, faces = hand["v_template"].astype(float), hand["f"].astype(int)
    fade = np.exp(-np.square((vertices - FINGER_POINTS["middle"][1]) / 0.01).sum(axis=1))
    dented = vertices - 0.3 * fade[:, None] * (vertices - FINGER_POINTS["middle"][1])
    whole = Skin(vertices, faces, fade, np.zeros(778), bony=0.2, kept=1.0)
    settled = whole.settle(dented, [])
    assert volume(dented, faces) < 0.998 * volume(vertices, faces)
    np.testing.assert_allclose(volume(settled, faces), volume(vertices, faces), rtol=1e-6)
    np.testing.assert_array_equal(settled[fade < 0.02], dented[fade < 0.02])


# Shape space ------------------------------------------------------------------------------------


def sized(hand: dict, **units) -> tuple[np.ndarray, np.ndarray]:
    """Vertices and joints at some shape coefficients."""
    betas = np.zeros(10)
    for name, value in units.items():
        betas[SHAPE_NAMES.index(name)] = value
    vertices = hand["v_template"] + hand["shapedirs"] @ betas
    return vertices, hand["J_regressor"] @ vertices


def measures(vertices: np.ndarray, joints: np.ndarray, hand: dict) -> dict[str, float]:
    """What the coefficients are named after [m, m^3]."""
    where = chain(hand["v_template"], "middle")
    ring = np.unique(part(hand, "middle", 0.9, 1.1))
    last = np.unique(part(hand, "middle", 2.3, 2.8))
    palm = (where.along < -0.02) & (where.along > -0.05) & (hand["v_template"][:, 2] < 0.02)
    thumb = vertices[TIP_VERTICES["thumb"]] - joints[13]
    return {
        "length": joints[0, 0] - vertices[TIP_VERTICES["middle"], 0],
        "breadth": np.ptp(joints[[1, 4, 7, 10], 2]),
        "finger": np.linalg.norm(vertices[TIP_VERTICES["middle"]] - joints[4]),
        "palm": joints[0, 0] - joints[4, 0],
        "palm_depth": np.ptp(vertices[palm, 1]),
        "thumb": np.linalg.norm(thumb),
        "girth": np.ptp(vertices[ring, 2]),
        "tip_girth": np.ptp(vertices[last, 2]),
        "volume": volume(vertices, hand["f"]),
    }


GROWS = {
    "size": ("length", "breadth", "finger", "palm", "palm_depth", "thumb", "girth", "volume"),
    "breadth": ("breadth", "girth", "volume"),
    "finger_length": ("length", "finger", "volume"),
    "thickness": ("palm_depth", "volume"),
    "finger_girth": ("girth", "tip_girth", "volume"),
    "palm_length": ("length", "palm", "volume"),
    "thumb": ("thumb", "volume"),
    "knuckles": ("girth",),
    "taper": (),
    "flesh": ("volume", "palm_depth"),
}
STAYS = {
    "breadth": ("length", "palm"),
    "finger_length": ("palm", "breadth", "girth"),
    "thickness": ("length", "breadth"),
    "finger_girth": ("palm", "breadth", "thumb"),
    "palm_length": ("finger", "breadth", "girth"),
    "thumb": ("finger", "palm", "breadth", "girth"),
    "knuckles": ("length", "palm", "breadth"),
    "taper": ("length", "palm", "breadth"),
    "flesh": ("length", "palm", "breadth", "thumb"),
}


@pytest.mark.parametrize("name", SHAPE_NAMES)
def test_shape_coefficients_do_what_their_names_say(hand, name):
    low, rest, high = (measures(*sized(hand, **{name: unit}), hand) for unit in (-1, 0, 1))
    for grows in GROWS[name]:
        assert low[grows] < 0.9985 * rest[grows] < 0.997 * high[grows], grows
    for stays in STAYS.get(name, ()):
        assert abs(high[stays] / rest[stays] - 1) < 0.012, stays
    if name == "taper":
        assert high["tip_girth"] < 0.97 * rest["tip_girth"]


def test_one_unit_is_about_one_deviation_between_people(hand):
    rest = measures(*sized(hand), hand)
    size, breadth = (measures(*sized(hand, **{n: 1}), hand) for n in ("size", "breadth"))
    assert 0.04 < size["length"] / rest["length"] - 1 < 0.055
    assert 0.04 < breadth["breadth"] / rest["breadth"] - 1 < 0.055


@pytest.mark.parametrize("sign", [-2, 2])
@pytest.mark.parametrize("name", SHAPE_NAMES)
def test_joints_stay_inside_the_hand(hand, name, sign):
    vertices, joints = sized(hand, **{name: sign})
    corners = vertices[hand["f"]]
    ring = vertices[border_loops(hand["f"])[0]]
    cap = np.stack([np.broadcast_to(ring.mean(axis=0), ring.shape), np.roll(ring, -1, 0), ring], 1)
    a, b, c = np.moveaxis(np.concatenate([corners, cap])[None] - joints[:, None, None], 2, 0)
    la, lb, lc = (np.linalg.norm(x, axis=2) for x in (a, b, c))
    below = la * lb * lc + (a * b).sum(2) * lc + (b * c).sum(2) * la + (c * a).sum(2) * lb
    angle = 2 * np.arctan2((a * np.cross(b, c)).sum(2), below)
    np.testing.assert_allclose(angle.sum(axis=1) / (4 * np.pi), 1, atol=1e-6)


# Skin, arm, cuffs -------------------------------------------------------------------------------


def test_nails_are_on_the_backs_of_the_finger_ends(hand, detail):
    both = np.stack([hand["v_template"] * FLIP, hand["v_template"]])
    fine = detail.subdivide(both)
    assert fine.shape == (2, 12337, 3)
    np.testing.assert_allclose(fine[LEFT], fine[RIGHT] * FLIP, atol=1e-6)
    nails = fine[RIGHT][detail.nail > 0.5].astype(float)
    for finger in FINGERS:
        where = chain(nails, finger)
        mine = where.surface < 0.003
        assert mine.sum() > 15
        assert where.station[mine].min() > 2.2
        assert where.up[mine].min() > 0.3
    assert np.abs(detail.displacement).max() < 0.0026
    assert 0.4 < detail.albedo.min() < 0.95
    assert 1.05 < detail.albedo.max() < 1.6


def test_other_hands_have_no_detail(tmp_path):
    arrays = dict(np.load(HANDS / "MANO_RIGHT.npz"))
    (tmp_path / "detail.safetensors").write_bytes((HANDS / "detail.safetensors").read_bytes())
    (tmp_path / "MANO_LEFT.npz").write_bytes((HANDS / "MANO_LEFT.npz").read_bytes())
    assert HandDetail.from_pretrained(tmp_path) is None
    np.savez(tmp_path / "MANO_RIGHT.npz", **{**arrays, "f": arrays["f"][::-1]})
    assert HandDetail.from_pretrained(tmp_path) is None
    np.savez(tmp_path / "MANO_RIGHT.npz", **arrays)
    assert HandDetail.from_pretrained(tmp_path) is not None


def test_two_levels_of_subdivision_are_one_after_the_other(hand):
    once, faces = loop_subdivision(hand["f"], 778)
    again, fine = loop_subdivision(faces, once.shape[0])
    both, fine_at_once = loop_subdivision(hand["f"], 778, levels=2)
    np.testing.assert_array_equal(fine, fine_at_once)
    np.testing.assert_allclose((again @ once).toarray(), both.toarray(), atol=1e-7)


def test_the_roll_of_the_hand_spreads_along_the_forearm():
    model = ArmModel.from_pretrained(HANDS)
    along = np.array([0.0, 0.6, 0.8])
    quaternions = np.zeros((2, 2, 16, 4))
    quaternions[..., 0] = 1.0
    for hand in (LEFT, RIGHT):
        first = wrist_rotation(along, [2.0 * hand - 1.0, 0, 0], hand)
        quaternions[0, hand, 0] = first
        quaternions[1, hand, 0] = multiply(from_axis_angle(np.deg2rad(60) * along), first)
    wrists = np.tile([[0.18, -0.14, 0.21], [-0.18, -0.14, 0.21]], (2, 1, 1))
    elbows = wrists - 0.26 * along
    motion = HandMotion(quaternions, wrists, np.ones((2, 2), bool), np.zeros((2, 10)), 24.0)
    still, rolled = model.vertices(motion, elbows)[:, RIGHT].astype(float) - wrists[0, RIGHT]

    def turn(vertices: np.ndarray) -> float:
        a, b = (x[vertices] - (x[vertices] @ along)[:, None] * along for x in (still, rolled))
        return float(np.rad2deg(np.median(np.arctan2(np.cross(a, b) @ along, (a * b).sum(1)))))

    assert abs(turn(model.blend == 0) - 60) < 3
    assert abs(turn(np.abs(model.blend - 0.5) < 0.08) - 30) < 5
    assert abs(turn(model.blend > 0.97)) < 4


def test_the_arms_file_is_small_and_closed():
    arrays = load_file(HANDS / "arm.safetensors")
    assert (HANDS / "arm.safetensors").stat().st_size < 3e6
    assert border_loops(arrays["faces"]) == []
    assert volume(arrays["vertices"].astype(float), arrays["faces"]) > 0


def test_cuffs_hide_the_cut_and_stand_off_the_skin(hand, detail):
    fine = detail.subdivide(np.stack([hand["v_template"] * FLIP, hand["v_template"]]))
    cuffs = Cuffs(detail.smooth_faces)
    for side in (LEFT, RIGHT):
        vertices, faces = cuffs.build(fine[side], side)
        rim = fine[side][border_loops(detail.smooth_faces[side])[0]]
        x = np.abs(vertices[:, 0])
        assert x.min() < np.abs(rim[:, 0]).min() - 0.006
        assert x.max() > np.abs(rim[:, 0]).max() + 0.03
        assert volume(vertices.astype(float), faces) > 0, "outward faces"
        centre = rim.mean(axis=0)
        band = (x > np.abs(centre[0])) & (x < np.abs(centre[0]) + 0.012)
        wide = np.linalg.norm((vertices[band] - centre)[:, 1:], axis=1)
        assert wide.min() > np.linalg.norm((rim - centre)[:, 1:], axis=1).min() + 0.003
