"""A picture of a person in, a `Portrait` out: found, framed for the film, measured.

picture -> find_person -> choose_framing -> (extend) -> matte, colours, camera -> Portrait
"""

from __future__ import annotations

import numpy as np

from emo2.errors import InputError
from emo2.features import appearance
from emo2.features.detectors import detectors
from emo2.features.extend import extend_frame
from emo2.features.framing import choose_framing, fit_camera, lowered_shoulders
from emo2.features.person import CHIN, find_person
from emo2.types import Portrait

SMALLEST_SIDE_PX = 64
"""Pictures smaller than this hold no face that could speak."""


def analyse_portrait(image: np.ndarray, *, max_side_px: int = 640) -> Portrait:
    """Frame `image` (H, W, 3) uint8 RGB around its person and measure what the later stages need.

    The frame's long side is at most `max_side_px`, both its sides are multiples of 16. Raises
    InputError where the picture shows no face.
    """
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise InputError(
            "portrait",
            "must be an (H, W, 3) uint8 RGB array",
            f"{image.dtype} {image.shape}",
            "Load it with emo2.media.load_image.",
        )
    if min(image.shape[:2]) < SMALLEST_SIDE_PX:
        raise InputError(
            "portrait",
            f"both sides must be at least {SMALLEST_SIDE_PX} pixels",
            f"{image.shape[1]} x {image.shape[0]}",
            "Use a larger picture.",
        )
    person = lowered_shoulders(find_person(image, detectors()))
    framing = choose_framing(person, image.shape, max_side_px)
    camera = fit_camera(person, framing)
    face, shoulders, elbows, wrists, hands = (
        framing.place(points)
        for points in (person.face, person.shoulders, person.elbows, person.wrists, person.hands)
    )
    notes = list(person.notes)
    frame = framing.cut(image)
    x0, y0, x1, y1 = known = framing.known(image.shape)
    metre_px = camera.pixels_per_metre
    matte = np.zeros(frame.shape[:2], np.float32)
    coarse = framing.cut(person.mask)
    matte[y0:y1, x0:x1] = appearance.refine_matte(frame[y0:y1, x0:x1], coarse[y0:y1, x0:x1])
    skin = appearance.face_skin_lab(appearance.to_lab(frame), face)
    if known != (0, 0, framing.width, framing.height):
        frame, matte = extend_frame(frame, matte, known, shoulders, skin, metre_px)
        notes.append("the picture ends close to the person: the frame was extended around it")
    lab = appearance.to_lab(frame)
    middle = shoulders.mean(axis=0)
    guess, towards = None, wrists
    if person.arms_guess is not None:
        guess = framing.place(person.arms_guess)
        # Arms that hang out of the picture show their forearms all the same.
        hangs = np.isnan(wrists[:, :1]) & (guess[:, 1, 1:] > framing.height)
        towards = np.where(hangs, guess[:, 1], wrists)
    sleeve = appearance.sleeve_rgb(lab, skin, matte, shoulders, elbows, metre_px)
    cloth = appearance.to_lab(sleeve.reshape(1, 1, 3) * 255)[0, 0]
    arms = shoulders, elbows, towards, hands
    return Portrait(
        image=frame,
        face_landmarks=face,
        shoulders=shoulders,
        neck=middle + 0.2 * (face[CHIN, :2] - middle),
        elbows=elbows,
        wrists=wrists,
        hands=hands,
        person_mask=matte,
        skin_rgb=appearance.skin_rgb(lab, face, hands),
        sleeve_rgb=sleeve,
        bare_forearms=appearance.bare_forearms(lab, skin, cloth, matte, arms, metre_px),
        camera=camera,
        source_box=framing.source_box,
        notes=tuple(notes),
        arms_guess=guess,
    )
