"""The free hand, the hand layer, handshapes, the arm mesh and the rasteriser."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from emo2.errors import InputError, MissingCheckpoint
from emo2.hands.arm import ArmModel
from emo2.hands.model import CHUNK_FRAMES, HandModel
from emo2.hands.raster import rasterise, to_pixels, vertex_normals
from emo2.hands.shapes import SHAPES, finger_quaternions, handshape, wrist_rotation
from emo2.hands.skeleton import (
    LEFT,
    PARENTS,
    REST_JOINTS,
    RIGHT,
    WRIST,
)
from emo2.hands.subdivision import loop_subdivision
from emo2.motion.rotations import mirror, rotate, to_matrix
from emo2.types import Camera, HandMotion

HANDS = Path(__file__).parents[1] / "checkpoints" / "demo" / "hands"
CAMERA = Camera((128.0, 100.0), 380.0, 256, 224)
FLIP = np.array([-1.0, 1.0, 1.0])


@pytest.fixture(scope="module")
def hand_model() -> HandModel:
    return HandModel.from_pretrained(HANDS)


@pytest.fixture(scope="module")
def arm_model() -> ArmModel:
    return ArmModel.from_pretrained(HANDS)


def random_motion(frames: int, seed: int = 0) -> HandMotion:
    """Hands in front of the chest in random but human handshapes and any orientation."""
    random = np.random.default_rng(seed)
    quaternions = np.zeros((frames, 2, 16, 4))
    names = list(SHAPES)
    for t in range(frames):
        for hand in (LEFT, RIGHT):
            a, b = random.choice(names, 2)
            angles = 0.6 * SHAPES[a] + 0.4 * SHAPES[b]
            quaternions[t, hand] = finger_quaternions(angles, hand)
            quaternions[t, hand, 0] = wrist_rotation(
                random.normal(size=3), random.normal(size=3), hand
            )
    centre = np.array([[0.18, -0.05, 0.2], [-0.18, -0.05, 0.2]])
    return HandMotion(
        quaternions,
        centre + random.uniform(-0.04, 0.04, (frames, 2, 3)),
        np.ones((frames, 2), bool),
        random.uniform(-1, 1, (2, 10)),
        24.0,
    )


def still(names: tuple[str, str], fingers=(0, 1, 0), palm=(0, 0, 1), wrists=None) -> HandMotion:
    """One frame: a named handshape for each hand, the given way round."""
    quaternions = np.stack([handshape(name, hand) for hand, name in enumerate(names)])[None]
    for hand in (LEFT, RIGHT):
        quaternions[0, hand, 0] = wrist_rotation(fingers, palm, hand)
    wrists = np.array([[0.16, -0.05, 0.1], [-0.16, -0.05, 0.1]]) if wrists is None else wrists
    return HandMotion(
        quaternions, np.asarray(wrists)[None], np.ones((1, 2), bool), np.zeros((2, 10)), 24.0
    )


def swapped(motion: HandMotion) -> HandMotion:
    """The motion in a mirror: left and right change places."""
    return HandMotion(
        mirror(motion.quaternions[:, ::-1]),
        motion.translation_m[:, ::-1] * FLIP,
        motion.visible[:, ::-1],
        motion.betas[::-1],
        motion.fps,
    )


# The files ----------------------------------------------------------------------------------


def test_missing_files_name_the_command(tmp_path):
    for model in (HandModel, ArmModel):
        with pytest.raises(MissingCheckpoint, match=r"python -m emo2\.hands\.template"):
            model.from_pretrained(tmp_path)


# The hand layer -----------------------------------------------------------------------------


def own_skinning(hand: dict, quaternions: np.ndarray, betas: np.ndarray) -> np.ndarray:
    """MANO's forward pass in NumPy: (16, 4) rotations to (778, 3), wrist at its rest place."""
    matrices = to_matrix(quaternions.astype(np.float64))
    shaped = hand["v_template"] + hand["shapedirs"] @ betas
    joints = hand["J_regressor"] @ shaped
    posed = shaped + hand["posedirs"] @ (matrices[1:] - np.eye(3)).reshape(-1)
    worlds = []
    for j, parent in enumerate(PARENTS):
        local = np.eye(4)
        local[:3, :3] = matrices[j]
        local[:3, 3] = joints[j] - (joints[parent] if j else 0)
        worlds.append(worlds[parent] @ local if j else local)
    rest = np.tile(np.eye(4), (16, 1, 1))
    rest[:, :3, 3] = -joints
    mixed = np.einsum("vj,jab->vab", hand["weights"], np.stack(worlds) @ rest)
    return np.einsum("vab,vb->va", mixed[:, :3, :3], posed) + mixed[:, :3, 3]


def test_vertices_equal_our_own_mathematics(hand_model):
    motion = random_motion(3)
    vertices = hand_model.vertices(motion)
    for h, name in enumerate(("MANO_LEFT", "MANO_RIGHT")):
        hand = {k: v.astype(np.float64) for k, v in np.load(HANDS / f"{name}.npz").items()}
        for t in range(3):
            ours = own_skinning(hand, motion.quaternions[t, h], motion.betas[h])
            root = hand["J_regressor"][0] @ (
                hand["v_template"] + hand["shapedirs"] @ motion.betas[h]
            )
            ours += motion.translation_m[t, h] - root
            np.testing.assert_allclose(vertices[t, h], ours, atol=2e-6)


def test_the_wrist_joint_is_where_the_motion_has_it(hand_model):
    motion = random_motion(4)
    np.testing.assert_allclose(hand_model.joints(motion)[:, :, 0], motion.translation_m, atol=1e-6)


def test_joints_end_with_the_tip_vertices(hand_model):
    motion = random_motion(2)
    tips = hand_model.vertices(motion)[:, :, [744, 320, 443, 554, 671]]
    np.testing.assert_array_equal(hand_model.joints(motion)[:, :, 16:], tips)


def test_a_mirrored_motion_gives_mirrored_hands(hand_model):
    motion = random_motion(3)
    np.testing.assert_allclose(
        hand_model.vertices(swapped(motion)),
        hand_model.vertices(motion)[:, ::-1] * FLIP,
        atol=2e-6,
    )


def test_a_stretch_equals_the_same_frames_of_the_whole(hand_model):
    motion = random_motion(CHUNK_FRAMES + 6)
    whole = hand_model.vertices(motion)
    assert whole.shape == (CHUNK_FRAMES + 6, 2, 778, 3)
    np.testing.assert_allclose(hand_model.vertices(motion, 60, 68), whole[60:68], atol=1e-6)
    assert hand_model.vertices(motion, 5, 5).shape == (0, 2, 778, 3)


def test_loading_prints_nothing(capsys):
    HandModel.from_pretrained(HANDS)
    assert capsys.readouterr().out == ""


def test_subdivision_keeps_planes_and_closes_no_holes(hand_model):
    faces = hand_model.faces[RIGHT]
    operator, smooth_faces = loop_subdivision(faces, 778)
    assert smooth_faces.shape == (4 * 1538, 3)
    np.testing.assert_allclose(operator @ np.ones(778), 1, atol=1e-6)
    smooth = hand_model.subdivide(hand_model.vertices(random_motion(1)))
    assert smooth.shape == (1, 2, operator.shape[0], 3)
    halves = smooth_faces[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2)
    _, uses = np.unique(np.sort(halves, axis=1), axis=0, return_counts=True)
    assert (uses == 1).sum() == 32


# Handshapes and wrists ----------------------------------------------------------------------

directions = st.tuples(*[st.floats(-1, 1) for _ in range(3)]).map(np.array)


@given(directions, directions, st.sampled_from([LEFT, RIGHT]))
@settings(max_examples=60, deadline=None)
def test_wrist_rotation_points_fingers_and_palm(fingers, palm, hand):
    assume(np.linalg.norm(np.cross(fingers, palm)) > 1e-2)
    turn = wrist_rotation(fingers, palm, hand)
    flat_fingers = np.array([1.0 if hand == LEFT else -1.0, 0, 0])
    along = fingers / np.linalg.norm(fingers)
    np.testing.assert_allclose(rotate(turn, flat_fingers), along, atol=1e-9)
    facing = rotate(turn, np.array([0.0, -1.0, 0.0]))
    assert facing @ palm > 0
    assert abs(facing @ along) < 1e-9


def test_thumbs_point_inwards_when_palms_face_the_camera(hand_model):
    joints = hand_model.joints(still(("flat", "flat")))[0]
    assert joints[LEFT, 16, 0] < joints[LEFT, 0, 0]
    assert joints[RIGHT, 16, 0] > joints[RIGHT, 0, 0]


def test_identity_is_the_t_pose(hand_model):
    motion = still(("flat", "flat"), fingers=(-1, 0, 0), palm=(0, -1, 0))
    np.testing.assert_allclose(motion.quaternions[0, RIGHT, 0], [1, 0, 0, 0], atol=1e-7)
    joints = hand_model.joints(motion)[0, RIGHT]
    np.testing.assert_allclose(joints[:16] - joints[0], REST_JOINTS - WRIST, atol=1e-5)


def test_palm_along_the_fingers_is_refused():
    with pytest.raises(InputError, match="palm"):
        wrist_rotation([0, 1, 0], [0, -2, 0], LEFT)
    with pytest.raises(InputError, match="relaxed"):
        handshape("spock", RIGHT)


def test_handshapes_are_unit_and_mirror():
    for name in SHAPES:
        right = handshape(name, RIGHT)
        np.testing.assert_allclose(np.linalg.norm(right, axis=-1), 1, atol=1e-12)
        np.testing.assert_allclose(handshape(name, LEFT), mirror(right), atol=1e-12)
    np.testing.assert_array_equal(handshape("flat", LEFT), np.tile([1.0, 0, 0, 0], (16, 1)))


def test_handshapes_do_what_their_names_say(hand_model):
    def pose(name):
        joints = hand_model.joints(still((name, name)))[0, RIGHT]
        return joints - joints[0]

    palm = pose("flat")[[1, 4, 7, 10]].mean(axis=0) * 0.6
    reach = {name: np.linalg.norm(pose(name)[16:], axis=1) for name in SHAPES}
    assert np.linalg.norm(pose("fist")[17:] - palm, axis=1).max() < 0.05, "fist is closed"
    assert np.linalg.norm(pose("ok")[16] - pose("ok")[17]) < 0.022, "thumb meets index"
    assert np.linalg.norm(pose("pinch")[16] - pose("pinch")[17]) < 0.022
    assert reach["point"][1] > 0.98 * reach["flat"][1], "the index is straight"
    assert reach["point"][2:].max() < 0.6 * reach["flat"][2:].min(), "the others are not"
    assert np.all(reach["fist"][1:] < reach["cup"][1:])
    assert np.all(reach["cup"][1:] < reach["relaxed"][1:])
    assert np.all(reach["relaxed"][1:] < reach["flat"][1:])
    spread = {n: np.linalg.norm(pose(n)[17] - pose(n)[20]) for n in ("open", "flat")}
    assert spread["open"] > 1.15 * spread["flat"]


# The arm ------------------------------------------------------------------------------------


def elbows_of(motion: HandMotion) -> np.ndarray:
    return motion.translation_m + np.array([[0.1, -0.2, -0.12], [-0.1, -0.2, -0.12]])


def test_the_arm_is_one_closed_mesh(arm_model):
    faces = arm_model.faces[RIGHT]
    halves = faces[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2)
    edges, uses = np.unique(np.sort(halves, axis=1), axis=0, return_counts=True)
    assert np.all(uses == 2)
    count = len(arm_model.blend)
    assert count - len(edges) + len(faces) == 2
    assert 0 == arm_model.blend.min() < arm_model.blend.max() == 1
    assert 0 <= arm_model.nail.min() < 0.1 < 0.9 < arm_model.nail.max() <= 1
    assert 0.01 < (arm_model.nail > 0.5).mean() < 0.1


def test_the_arms_hand_is_the_layers_hand(arm_model, hand_model):
    motion = random_motion(4)
    arms = arm_model.vertices(motion, elbows_of(motion))
    tips = hand_model.joints(motion)[:, :, 16:]
    away = np.linalg.norm(arms[:, :, None] - tips[:, :, :, None], axis=-1).min(axis=-1)
    assert away.max() < 0.003


def test_the_arm_ends_at_the_elbow_however_far_it_is(arm_model):
    motion = random_motion(3)
    for stretch in (0.7, 1.0, 1.4):
        elbows = motion.translation_m + stretch * (elbows_of(motion) - motion.translation_m)
        arms = arm_model.vertices(motion, elbows)
        end = arms[:, :, arm_model.blend == 1.0].mean(axis=2)
        assert np.linalg.norm(end - elbows, axis=-1).max() < 0.04


def test_a_mirrored_motion_gives_mirrored_arms(arm_model):
    motion = random_motion(2)
    arms = arm_model.vertices(motion, elbows_of(motion))
    other = arm_model.vertices(swapped(motion), elbows_of(motion)[:, ::-1] * FLIP)
    np.testing.assert_allclose(other, arms[:, ::-1] * FLIP, atol=2e-6)


def test_a_bent_wrist_keeps_its_volume(arm_model):
    straight = still(("flat", "flat"), fingers=(0, 1, 0))
    elbows = straight.translation_m - np.array([0, 0.26, 0])
    volumes = []
    for angle in (0.0, 40.0, 70.0):
        fingers = (0, np.cos(np.deg2rad(angle)), -np.sin(np.deg2rad(angle)))
        motion = still(("flat", "flat"), fingers=fingers, palm=(0, 0.5, 1))
        arms = arm_model.vertices(motion, elbows)[0, RIGHT].astype(np.float64)
        corners = arms[arm_model.faces[RIGHT]] - arms.mean(axis=0)
        cross = np.cross(corners[:, 1], corners[:, 2])
        volumes.append(np.einsum("fi,fi->", corners[:, 0], cross) / 6)
    assert min(volumes) > 0.95 * volumes[0]


def test_arms_and_elbows_must_match(arm_model):
    motion = random_motion(3)
    with pytest.raises(ValueError, match="elbows_m"):
        arm_model.vertices(motion, elbows_of(motion)[:2])


# The rasteriser -----------------------------------------------------------------------------


def test_a_triangle_covers_its_area_and_interpolates():
    triangle = np.array([[10.0, 10, 2], [90, 20, 2], [30, 80, 2]])
    for winding in ([[0, 1, 2]], [[2, 1, 0]]):
        raster = rasterise(triangle, winding, triangle[:, :2], 100, 100, samples=4)
        assert raster.alpha.sum() == pytest.approx(2700, rel=0.01)
        rows, columns = np.nonzero(raster.alpha == 1)
        points = np.stack([columns + raster.left + 0.5, rows + raster.top + 0.5], axis=1)
        np.testing.assert_allclose(raster.attributes[rows, columns], points, atol=1e-3)
        assert raster.depth[rows, columns] == pytest.approx(2.0)
        assert np.isinf(raster.depth[raster.alpha == 0]).all()


def test_shared_edges_leave_no_gaps():
    grid = np.stack(np.meshgrid(np.linspace(5, 45, 9), np.linspace(5, 45, 9)), -1).reshape(-1, 2)
    grid = grid + np.random.default_rng(0).uniform(-1, 1, grid.shape) * (
        (grid > 5) & (grid < 45)
    ).all(axis=1, keepdims=True)
    quads = [
        (r * 9 + c, r * 9 + c + 1, r * 9 + c + 9, r * 9 + c + 10)
        for r in range(8)
        for c in range(8)
    ]
    faces = [f for a, b, c, d in quads for f in ((a, b, c), (b, d, c))]
    vertices = np.column_stack([grid, np.ones(len(grid))])
    raster = rasterise(vertices, faces, np.ones((81, 1)), 50, 50)
    assert raster.alpha.shape == (40, 40)
    assert np.all(raster.alpha == 1)
    np.testing.assert_allclose(raster.attributes, 1, atol=1e-5)


def test_nearer_surfaces_hide_farther_ones():
    square = np.array([[0.0, 0], [20, 0], [20, 20], [0, 20]])
    far = np.column_stack([square, np.full(4, 3.0)])
    near = np.column_stack([square[:, 0] * 0.5, square[:, 1], np.full(4, 1.0)])
    faces = np.array([[0, 1, 2], [0, 2, 3]])
    for first, second in ((far, near), (near, far)):
        raster = rasterise(
            np.concatenate([first, second]),
            np.concatenate([faces, faces + 4]),
            np.concatenate([first[:, 2:], second[:, 2:]]),
            20,
            20,
        )
        np.testing.assert_allclose(raster.attributes[:, :10], 1)
        np.testing.assert_allclose(raster.attributes[:, 10:], 3)


def test_meshes_outside_the_picture_give_an_empty_raster():
    triangle = np.array([[-30.0, 5, 1], [-10, 5, 1], [-20, 15, 1]])
    picture = np.zeros((20, 20, 3), np.float32)
    for vertices, faces in ((triangle, [[0, 1, 2]]), (np.zeros((0, 3)), np.zeros((0, 3), int))):
        raster = rasterise(vertices, faces, np.ones((len(vertices), 3)), 20, 20)
        raster.over(picture, raster.attributes)
    assert not picture.any()


def test_normals_of_a_sphere_point_outwards():
    octahedron = np.concatenate([np.eye(3), -np.eye(3)])
    faces = np.array(
        [[0, 1, 2], [1, 3, 2], [3, 4, 2], [4, 0, 2], [1, 0, 5], [3, 1, 5], [4, 3, 5], [0, 4, 5]]
    )
    np.testing.assert_allclose(vertex_normals(octahedron, faces), octahedron, atol=1e-6)


def test_pixels_agree_with_the_camera():
    points = np.random.default_rng(0).uniform(-0.3, 0.3, (20, 3))
    pixels = to_pixels(points, CAMERA)
    np.testing.assert_allclose(pixels[:, :2], CAMERA.project(points), atol=1e-3)
    np.testing.assert_allclose(pixels[:, 2], CAMERA.distance_m - points[:, 2], atol=1e-6)
