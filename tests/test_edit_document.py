"""Edits as JSON: documents over a base, what is refused and how, and numbers that another evaluator
must reach, too."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from motions import same, smooth_motion

from emo2.errors import InputError
from emo2.hands.shapes import SHAPES
from emo2.motion.edit import (
    OPERATIONS,
    MotionDocument,
    apply,
    evaluate,
    load,
    load_operations,
    save,
    validated,
)
from emo2.motion.edit.presets import PRESETS
from emo2.motion.hashing import motion_hash
from emo2.motion.rotations import angle_between
from emo2.provenance import recipe
from emo2.types import HandMotion

GOLDEN = json.loads((Path(__file__).parent / "golden" / "edits.json").read_text())
BASE = smooth_motion(60)
EDITS = (
    {"op": "amplitude", "start": 10, "stop": 40, "factor": 1.4},
    {"op": "key", "frame": 30, "place": [0.2, 0.0, 0.3], "hands": "left"},
    {"op": "rest", "start": 45},
)


def test_a_document_is_evaluated_the_same_every_time(tmp_path):
    document = MotionDocument.over(BASE, EDITS)
    edited = evaluate(document, BASE)
    assert same(edited, apply(BASE, EDITS))
    again = load(save(document, tmp_path / "new" / "edits.json"))
    assert again == document
    assert again.to_json() == document.to_json()
    assert same(evaluate(again, BASE), edited)
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["edits.json"]
    assert load_operations(tmp_path / "new" / "edits.json") == document.operations


def test_undo_is_a_shorter_list():
    document = MotionDocument.over(BASE, EDITS)
    undone = MotionDocument(document.base_hash, document.operations[:-1])
    assert same(evaluate(undone, BASE), apply(BASE, EDITS[:-1]))
    nothing = MotionDocument(document.base_hash, document.operations[:0])
    assert evaluate(nothing, BASE) is BASE


def test_an_edited_motion_tells_what_was_done_to_it():
    document = MotionDocument.over(BASE, EDITS[:1])
    once = evaluate(document, BASE)
    assert once.meta["seed"] == BASE.meta["seed"]
    assert once.meta["edits"] == [
        {"base": motion_hash(BASE), "operations": [dict(document.operations[0])]}
    ]
    twice = evaluate(MotionDocument.over(once, EDITS[2:]), once)
    assert [record["base"] for record in twice.meta["edits"]] == [
        motion_hash(BASE),
        motion_hash(once),
    ]
    json.dumps(twice.meta)


def test_another_base_is_refused():
    document = MotionDocument.over(BASE, EDITS)
    with pytest.raises(InputError, match=motion_hash(BASE)):
        evaluate(document, smooth_motion(60, seed=1))
    anywhere = MotionDocument(None, EDITS)
    assert evaluate(anywhere, smooth_motion(60, seed=1)).num_frames == 60


def test_recipes_and_documents_know_a_motion_by_the_same_name():
    assert recipe.motion_hash is motion_hash
    moved = HandMotion(
        BASE.quaternions, BASE.translation_m + 1e-6, BASE.visible, BASE.betas, BASE.fps
    )
    assert motion_hash(moved) != motion_hash(BASE)


def test_defaults_are_written_out():
    (op,) = MotionDocument(None, ({"op": "height", "metres": 1 / 4},)).operations
    assert op == {
        "op": "height", "start": 0, "fade": 12, "hands": ["left", "right"], "metres": 0.25,
    }  # fmt: skip
    assert validated([op]) == (op,)


def test_equal_documents_have_equal_text():
    first = MotionDocument(None, ({"hands": ["right", "left"], "fade": 6.0, "op": "smooth"},))
    second = MotionDocument(None, ({"op": "smooth", "fade": 6, "hands": ["left", "right"]},))
    assert first.to_json() == second.to_json()


numbers = st.floats(allow_nan=False, allow_infinity=False, width=32)


@settings(deadline=None, max_examples=60, derandomize=True)
@given(st.data())
def test_any_valid_operation_survives_json(data):
    operation = OPERATIONS[data.draw(st.sampled_from(sorted(OPERATIONS)))]
    given_values = {"op": operation.name}
    for p in operation.all_parameters.values():
        value = {
            "number": lambda p=p: data.draw(st.floats(p.low, p.high if p.high else 1e3)),
            "integer": lambda p=p: data.draw(st.integers(int(p.low), int(p.high or 999))),
            "boolean": lambda: data.draw(st.booleans()),
            "choice": lambda p=p: data.draw(st.sampled_from(p.choices)),
            "hands": lambda: data.draw(st.sampled_from([["left"], ["right"], ["right", "left"]])),
            "place": lambda: data.draw(st.lists(st.floats(-1, 1), min_size=3, max_size=3)),
            "turn": lambda: [1.0, *data.draw(st.lists(numbers, min_size=3, max_size=3))],
            "shape": lambda: data.draw(st.sampled_from(["ok", [[1, 0, 0, 0]] * 16])),
        }[p.kind]()
        if p.required or data.draw(st.booleans()):
            given_values[p.name] = value
    document = MotionDocument("0" * 16, (given_values,))
    assert MotionDocument.from_json(document.to_json()) == document


def test_the_page_can_build_its_controls():
    facts = json.loads(json.dumps([operation.facts() for operation in OPERATIONS.values()]))
    for operation in facts:
        assert operation["label"]
        assert operation["help"].endswith(".")
        for parameter in operation["parameters"]:
            assert parameter["label"]
            assert parameter["help"].endswith(".")
            if parameter["kind"] in ("number", "integer"):
                assert parameter["low"] is not None
            if parameter["kind"] == "choice":
                assert parameter["choices"]


def test_presets_are_operations():
    for preset in PRESETS.values():
        assert validated(preset.operations)
        assert preset.help.endswith(".")


WRONG = {
    "unknown operation": ({"op": "explode"}, r"operations\[1\].op.*explode.*amplitude"),
    "no operation": ({"factor": 2}, r"operations\[1\].*\"op\""),
    "not an object": ("smooth", r"operations\[1\]"),
    "unknown parameter": ({"op": "speed", "fade": 3}, r"operations\[1\] \(speed\).fade.*factor"),
    "missing": ({"op": "key"}, r"operations\[1\] \(key\).frame"),
    "not a number": ({"op": "height", "metres": "high"}, r"\(height\).metres.*finite number"),
    "NaN": ({"op": "height", "metres": float("nan")}, r"\(height\).metres.*finite number"),
    "infinite": ({"op": "offset", "dx": float("inf")}, r"\(offset\).dx"),
    "true is no number": ({"op": "height", "metres": True}, r"\(height\).metres"),
    "out of range": ({"op": "amplitude", "factor": 9}, r"\(amplitude\).factor.*0.1 to 4.*got 9"),
    "half a frame": ({"op": "hold", "frame": 2.5}, r"\(hold\).frame.*whole number"),
    "no such hand": ({"op": "hide", "hands": ["third"]}, r"\(hide\).hands.*left.*third"),
    "no hand": ({"op": "hide", "hands": []}, r"\(hide\).hands"),
    "short place": ({"op": "key", "frame": 3, "place": [0, 1]}, r"\(key\).place.*three"),
    "far place": ({"op": "key", "frame": 3, "place": [0, 1, 9]}, r"\(key\).place.*-2 to 2"),
    "no rotation": ({"op": "key", "frame": 3, "wrist": [0, 0, 0, 0]}, r"\(key\).wrist"),
    "unknown shape": ({"op": "key", "frame": 3, "shape": "paw"}, r"\(key\).shape.*point"),
    "bad rows": ({"op": "key", "frame": 3, "shape": [[1, 0, 0, 0]] * 15}, r"\(key\).shape"),
    "unknown style": ({"op": "style", "style": "rude"}, r"\(style\).style.*calmer"),
    "span beyond": ({"op": "rest", "start": 70}, r"\(rest\).span.*60 frames.*70"),
    "empty span": ({"op": "rest", "start": 9, "stop": 9}, r"\(rest\).span"),
    "backward span": ({"op": "trim", "start": 9, "stop": 4}, r"\(trim\).span"),
    "negative start": ({"op": "rest", "start": -1}, r"\(rest\).start"),
    "frame beyond": ({"op": "key", "frame": 60}, r"\(key\).frame.*60"),
    "hold beyond": ({"op": "hold", "frame": 60}, r"\(hold\).frame"),
    "no room": ({"op": "paste", "start": 50, "from_start": 0, "from_stop": 20}, r"\(paste\).start"),
    "far nudge": ({"op": "nudge", "frames": 30}, r"\(nudge\).frames.*quarter"),
    "far sound": ({"op": "snap", "onset_s": 90}, r"\(snap\).onset_s.*inside the span"),
    "no seam": ({"op": "seam", "frame": 60}, r"\(seam\).frame"),
    "no rate": ({"op": "resample", "fps": 0}, r"\(resample\).fps"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_said_with_the_place(name):
    wrong, said = WRONG[name]
    with pytest.raises(InputError, match=said) as caught:
        apply(BASE, [{"op": "show"}, wrong])
    assert "\n" not in str(caught.value)


def test_nothing_is_run_before_everything_is_checked():
    with pytest.raises(InputError, match="explode"):
        apply(BASE, [{"op": "key", "frame": 60}, {"op": "explode"}])


def test_snapping_hands_that_lie_still_is_refused():
    still = apply(BASE, [{"op": "hold", "fade": 0}])
    with pytest.raises(InputError, match="must hold a stroke"):
        apply(still, [{"op": "snap", "onset_s": 1.0}])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "must be JSON"),
        ("", "must be JSON"),
        ("[" * 100_000, "must be JSON"),
        ("3", "must be a list"),
        ("{}", "emo2-motion-edits"),
        ('{"format":"emo2-motion-edits","version":2,"operations":[]}', "version 1"),
        ('{"format":"emo2-motion-edits","version":1,"base":3,"operations":[]}', "fingerprint"),
        ('{"format":"emo2-motion-edits","version":1,"base":null}', "must be a list"),
        (
            '{"format":"emo2-motion-edits","version":1,"base":null,"operations":{}}',
            "must be a list",
        ),
        ('[{"op":"height","metres":NaN}]', "finite number"),
        ('[{"op":"height","metres":1e999}]', "finite number"),
        ("[1]", r"operations\[0\]"),
    ],
)
def test_wrong_files_are_refused(tmp_path, text, said):
    path = tmp_path / "edits.json"
    path.write_text(text)
    with pytest.raises(InputError, match=said):
        load(path)


def test_files_that_hold_no_text_are_refused(tmp_path):
    path = tmp_path / "edits.json"
    path.write_bytes(b"\xff\xfe\x00\x01")
    with pytest.raises(InputError, match="must be JSON"):
        load(path)
    with pytest.raises(InputError, match="existing"):
        load(tmp_path / "none.json")
    path.write_text("[" + " " * (5 << 20) + "]")
    with pytest.raises(InputError, match="smaller"):
        load(path)


def golden_base() -> HandMotion:
    base = GOLDEN["base"]
    return HandMotion(
        quaternions=np.array(base["quaternions"]),
        translation_m=np.array(base["translation_m"]),
        visible=np.array(base["visible"]),
        betas=np.zeros((2, 10)),
        fps=base["fps"],
    )


@pytest.mark.parametrize("case", GOLDEN["cases"], ids=lambda case: case["name"])
def test_golden_numbers(case, monkeypatch):
    """A JavaScript evaluator of the same operations is held to these, too."""
    for name, angles_deg in GOLDEN["handshapes_deg"].items():
        monkeypatch.setitem(SHAPES, name, np.array(angles_deg))
    edited = apply(golden_base(), case["operations"])
    assert edited.num_frames == case["num_frames"]
    frames, joints = case["frames"], GOLDEN["joints"]
    np.testing.assert_allclose(edited.translation_m[frames], case["translation_m"], atol=2e-5)
    turns = angle_between(
        edited.quaternions[frames][:, :, joints].astype(float), np.array(case["quaternions"])
    )
    assert turns.max() < 1e-4
    assert edited.visible[frames].tolist() == case["visible"]


def test_golden_cases_cover_the_registry():
    named = {op["op"] for case in GOLDEN["cases"] for op in case["operations"]}
    assert named == set(OPERATIONS)
