"""What the bones of a humanoid are called in other people's files: VRM, Mixamo, BEAT, Rokoko, VRoid
Studio, Unreal, Rigify, Biped, SMPL-X."""

from __future__ import annotations

import re
from collections.abc import Sequence

from emo2.errors import InputError
from emo2.hands.skeleton import FIRST_JOINT
from emo2.motion.formats.vrm_skeleton import BONES, JOINT_BONES, SIDES

UP_FROM, UP_TO = ("hips", "spine", "chest"), ("neck", "head", "upperChest")
"""The first of each that a file has tell which way its trunk points."""
_FINGER_WORDS = {
    "thumb": ("Thumb", "Metacarpal", "Proximal", "Distal"),
    "index": ("Index", "Proximal", "Intermediate", "Distal"),
    "middle": ("Middle", "Proximal", "Intermediate", "Distal"),
    "ring": ("Ring", "Proximal", "Intermediate", "Distal"),
    "pinky": ("Little", "Proximal", "Intermediate", "Distal"),
}


def needed_bones(bones: dict[str, int], argument: str, path: object) -> list[str]:
    """The names out of `bones` that `retarget` uses. Raises `InputError` where hands or shoulders
    are missing."""
    wanted = [f"{side}{part}" for side in SIDES for part in ("UpperArm", "Hand")]
    missing = [name for name in wanted if name not in bones]
    for ends in (UP_FROM, UP_TO):
        found = [name for name in ends if name in bones]
        wanted += found[:1]
        missing += [] if found else [" or ".join(ends)]
    if missing:
        raise InputError(
            argument,
            "the skeleton must have two hands, upper arms and a spine under names of VRM, Mixamo, "
            "BEAT, Rokoko, VRoid, Unreal, Rigify, Biped or SMPL-X",
            f"{path} without {', '.join(missing)}",
            "Rename its bones as VRM 1.0 calls them.",
        )
    fingers = [BONES[k].name for k in JOINT_BONES[:, 1:].ravel()]
    optional = [*(f"{side}LowerArm" for side in SIDES), *fingers]
    return wanted + [name for name in optional if name in bones]


def find_bones(names: Sequence[str]) -> dict[str, int]:
    """VRM 1.0's names -> positions in `names`, by the naming that fits most of them."""
    plain: dict[str, int] = {}
    for k, name in enumerate(names):
        plain.setdefault(_plain(name), k)
    found = [
        {bone: plain[alias] for bone, alias in naming.items() if alias in plain}
        for naming in _NAMINGS
    ]
    return max(found, key=len)


def _plain(name: str) -> str:
    """Lower-case letters and digits, without a namespace or a rig's prefix."""
    name = re.split(r"[:|]", name)[-1].lower()
    name = re.sub(r"^(mixamorig\d*|def-|org-|j_bip_c_|j_bip_(?=[lr]_))", "", name)
    return re.sub(r"[^a-z0-9]", "", name)


def _naming(trunk: str, arm: Sequence[str], fingers: dict[str, Sequence[str]]) -> dict[str, str]:
    """VRM's names -> plain aliases. `{side}` is the long name, `{s}` the letter."""
    aliases = dict(zip(("hips", "spine", "chest", "neck", "head"), trunk.split(), strict=True))
    for side in SIDES:
        words = {"side": side, "s": side[0]}
        for part, pattern in zip(("UpperArm", "LowerArm", "Hand"), arm, strict=True):
            aliases[side + part] = pattern.format(**words)
        for finger, patterns in fingers.items():
            word, *segments = _FINGER_WORDS[finger]
            for segment, pattern in zip(segments, patterns, strict=True):
                aliases[side + word + segment] = pattern.format(**words)
    return aliases


def _numbered(pattern: str, words: dict[str, str] | None = None) -> dict[str, list[str]]:
    """Finger patterns whose segments are counted 1, 2, 3."""
    words = words or {finger: finger for finger in FIRST_JOINT}
    return {
        finger: [pattern.replace("<f>", word).replace("<n>", str(n)) for n in (1, 2, 3)]
        for finger, word in words.items()
    }


def _vrm(thumb: Sequence[str]) -> dict[str, list[str]]:
    fingers = {f: ("proximal", "intermediate", "distal") for f in _FINGER_WORDS} | {"thumb": thumb}
    return {
        f: [f"{{side}}{_FINGER_WORDS[f][0].lower()}{segment}" for segment in segments]
        for f, segments in fingers.items()
    }


_ROKOKO = {
    finger: [f"{{side}}finger{n}{segment}" for segment in segments]
    for n, (finger, segments) in enumerate(
        {
            "thumb": ("metacarpal", "proximal", "distal"),
            **{f: ("proximal", "medial", "distal") for f in ("index", "middle", "ring", "pinky")},
        }.items(),
        start=1,
    )
}
_BIPED = {
    finger: [f"{{side}}finger{n}{joint}" for joint in ("", "1", "2")]
    for n, finger in enumerate(("thumb", "index", "middle", "ring", "pinky"))
}
_LONG_ARM = ("{side}upperarm", "{side}lowerarm", "{side}hand")
_MIXAMO_ARM = ("{side}arm", "{side}forearm", "{side}hand")
_JOINTS_ARM = ("{side}shoulder", "{side}elbow", "{side}wrist")
_LITTLE = {finger: "little" if finger == "pinky" else finger for finger in FIRST_JOINT}
_RIGIFY = {finger: finger if finger == "thumb" else f"f{finger}" for finger in FIRST_JOINT}
_NAMINGS = (
    _naming("hips spine chest neck head", _LONG_ARM, _vrm(("metacarpal", "proximal", "distal"))),
    _naming("hips spine chest neck head", _LONG_ARM, _vrm(("proximal", "intermediate", "distal"))),
    # Mixamo, BEAT, our BVH; Rokoko's Newton skeleton differs in the fingers.
    _naming("hips spine spine1 neck head", _MIXAMO_ARM, _numbered("{side}hand<f><n>")),
    _naming("hips spine spine1 neck head", _MIXAMO_ARM, _ROKOKO),
    # VRoid Studio, Unreal's mannequin, Blender's Rigify.
    _naming(
        "hips spine chest neck head",
        ("{s}upperarm", "{s}lowerarm", "{s}hand"),
        _numbered("{s}<f><n>", _LITTLE),
    ),
    _naming(
        "pelvis spine01 spine02 neck01 head",
        ("upperarm{s}", "lowerarm{s}", "hand{s}"),
        _numbered("<f>0<n>{s}"),
    ),
    _naming(
        "spine spine001 spine003 spine004 spine006",
        ("upperarm{s}", "forearm{s}", "hand{s}"),
        _numbered("<f>0<n>{s}", _RIGIFY),
    ),
    # Named by joints: 3ds Max's Biped as BVH, and SMPL-X.
    _naming("hips chest chest2 neck head", _JOINTS_ARM, _BIPED),
    _naming("pelvis spine1 spine2 neck head", _JOINTS_ARM, _numbered("{side}<f><n>")),
)
