"""The whole person as one distance: head, neck, torso, arms, hands, hair and clothes."""

import math

from characters.head import eyeball, face
from characters.solids import bone, bump, carve, clamp, ellipsoid, fractal, join, mix, noise, step
from numba import njit

NOTHING, SKIN, EYE, HAIR, TOP, TRIM, JACKET, NAIL, METAL = range(9)
HEAD_DROP = (
    0.20  # a shorter neck and a larger head than real bodies have: friendlier, easier to see
)
HEAD_SCALE = 1.12
AFRO, SWEPT, BOB = range(3)
CREW, HENLEY, BLAZER = range(3)


@njit(fastmath=True, error_model="numpy")
def to_head(x, y, z, pose):
    """A point in the head's own frame: turned about y, tilted about z, from the top of the neck."""
    yaw, tilt = pose[0], pose[1]
    y += 0.9 + HEAD_DROP
    c, s = math.cos(tilt), math.sin(tilt)
    x, y = c * x + s * y, -s * x + c * y
    c, s = math.cos(yaw), math.sin(yaw)
    x, z = c * x - s * z, s * x + c * z
    return x / HEAD_SCALE, y / HEAD_SCALE - 0.9, z / HEAD_SCALE


@njit(fastmath=True, error_model="numpy")
def hair(x, y, z, style):
    """Distance to the hair, in the head's frame, displaced by its strands."""
    s = abs(x)
    if style == AFRO:
        d = ellipsoid(x, y - 0.52, z + 0.26, 1.22, 1.08, 1.12)
        d = join(d, ellipsoid(s - 0.62, y + 0.02, z + 0.30, 0.52, 0.66, 0.70), 0.3)
        front = ellipsoid(x, y + 0.12, z - 0.95, 0.86, 0.88, 0.95)
        d = carve(d, front, 0.16)
        d = carve(d, ellipsoid(x, y + 1.35, z - 0.1, 0.9, 0.7, 0.9), 0.2)
        if d < 0.3:
            curls = fractal(7.0 * x, 7.0 * y, 7.0 * z)
            d -= 0.075 * curls + 0.03 * noise(22 * x, 22 * y, 22 * z)
        return d
    if style == SWEPT:
        d = ellipsoid(x, y - 0.36, z + 0.20, 0.865, 0.92, 0.99)
        quiff = bone(x, y, z, 0.30, 0.97, 0.36, 0.24, -0.36, 0.99, 0.42, 0.20)
        d = join(d, quiff, 0.4)
        d = join(d, ellipsoid(s - 0.70, y - 0.12, z + 0.02, 0.12, 0.42, 0.42), 0.12)
        ragged = 0.0
        if d < 0.25:
            sweep = 2.2 * x + 1.1 * noise(1.6 * x, 1.6 * y, 1.6 * z)
            across = 9.0 * (y - 0.3 * s) + 6.0 * z + 2.0 * x
            locks = noise(sweep, across, 2.0 * z)
            fine = noise(2 * sweep, 3.7 * across, 9.0 * z)
            d -= 0.024 * locks + 0.012 * fine
            ragged = 0.03 * noise(16 * x, 7 * y, 16 * z)
        # hairline: high over the forehead, temples, above the ears, nape
        forehead = ellipsoid(x, y - 0.03, z - 1.02, 0.66, 0.70 + 0.05 * x, 0.62)
        d = carve(d, forehead + ragged, 0.08)
        d = carve(d, ellipsoid(s - 0.62, y + 0.55, z - 0.52, 0.55, 0.62, 0.52) + ragged, 0.06)
        d = carve(d, ellipsoid(s - 0.95, y + 0.35, z + 0.05, 0.30, 0.40, 0.24), 0.05)
        return carve(d, ellipsoid(x, y + 1.10, z + 0.10, 1.2, 0.62, 1.5), 0.06)
    # a bob with a fringe: a shell that hangs to the chin
    d = ellipsoid(x, y - 0.34, z + 0.18, 0.93, 0.93, 1.05)
    fall = max(ellipsoid(x, y + 0.20, z + 0.24, 1.03, 1.45, 0.98), -(y + 1.13 - 0.10 * z))
    d = join(d, fall, 0.2)
    d = carve(d, ellipsoid(x, y + 0.46, z - 0.86, 0.655, 0.995, 0.98), 0.07)
    d = carve(d, ellipsoid(x, y + 1.2, z - 0.1, 0.58, 1.1, 0.62), 0.1)
    fringe = ellipsoid(x, y - 0.30, z - 0.02, 0.82, 0.78, 0.905)
    fringe = max(fringe, -(y - 0.44 + 0.22 * s * s - 0.008 * math.sin(31 * x)))
    fringe = max(fringe, 0.2 - z)
    d = join(d, fringe, 0.06)
    if d < 0.25:
        around = math.atan2(x, z + 0.25)
        strands = noise(17.0 * around, 0.9 * y, 0.4 * z + 3)
        fine = noise(60.0 * around, 1.6 * y, 0.7 * z)
        d -= 0.020 * strands + 0.007 * fine
    return d


@njit(fastmath=True, error_model="numpy")
def neck(x, y, z, b):
    r = b[1]
    d = bone(x, y, z, 0, -0.75, -0.28, r * 0.97, 0, -1.95, -0.34, r * 1.08)
    muscle = bone(math.sqrt(x * x + 0.01), y, z, 0.50, -0.75, -0.18, 0.10, 0.10, -2.02, 0.13, 0.085)
    d = join(d, muscle, 0.16)
    if b[5] > 0:
        d = join(d, ellipsoid(x, y + 1.35, z - 0.12, 0.10, 0.16, 0.09), 0.18)
    return d


@njit(fastmath=True, error_model="numpy")
def torso(x, y, z, b):
    wide, chest, waist, bust = b[0], b[2], b[3], b[4]
    s = math.sqrt(x * x + 0.05)  # a mirror without a crease
    d = ellipsoid(x, y + 3.15, z + 0.25, 1.42 * chest, 1.35, 0.86 * chest)
    slope = bone(s, y, z, 0.18, -1.72, -0.36, 0.42, wide - 0.25, -2.34, -0.30, 0.30)
    d = join(d, slope, 0.5)
    d = join(d, ellipsoid(s - wide + 0.12, y + 2.62, z + 0.28, 0.36, 0.42, 0.40), 0.5)
    d = join(d, ellipsoid(x, y + 4.75, z + 0.25, 1.18 * waist, 1.5, 0.74 * waist), 0.7)
    d = join(d, ellipsoid(x, y + 6.45, z + 0.25, 1.42 * waist, 1.3, 0.92 * waist), 0.7)
    if bust > 0:
        d = join(d, ellipsoid(s - 0.52, y + 3.35, z - 0.42, 0.46, 0.46, 0.40 * bust), 0.45)
    else:
        d = join(d, ellipsoid(s - 0.55, y + 3.0, z - 0.40, 0.62, 0.48, 0.25), 0.5)
    if y > -2.6:  # collar bones
        d = join(d, bone(s, y, z, 0.14, -2.13, 0.24, 0.05, 1.2, -2.02, -0.02, 0.06), 0.16)
    return d


@njit(fastmath=True, error_model="numpy")
def arms(x, y, z, limbs, k):
    """Both upper arms and forearms: rows of `limbs` as `bone` takes them."""
    d = 1e9
    for i in range(limbs.shape[0]):
        c = limbs[i]
        part = bone(x, y, z, c[0], c[1], c[2], c[3], c[4], c[5], c[6], c[7])
        d = join(d, part, k)
    return d


@njit(fastmath=True, error_model="numpy")
def hand(x, y, z, bones, fingers):
    """One hand: bones of the palm (`fingers` 0) melt together, fingers (1..5) stay apart."""
    palm, d, finger, current = 1e9, 1e9, 1e9, 0
    for i in range(bones.shape[0]):
        c = bones[i]
        part = bone(x, y, z, c[0], c[1], c[2], c[3], c[4], c[5], c[6], c[7])
        if fingers[i] == 0:
            palm = join(palm, part, 0.16)
            continue
        if fingers[i] != current:
            d = join(d, finger, 0.015)
            finger, current = part, fingers[i]
        else:
            finger = join(finger, part, 0.05)
    return join(palm, join(d, finger, 0.015), 0.10)


@njit(fastmath=True, error_model="numpy")
def folds(x, y, z, amount):
    """Creases of cloth: long soft waves that pull towards the arm pits and gather at the waist."""
    s = math.sqrt(x * x + 0.1)
    pull = noise(1.1 * x + 0.8 * y, 0.55 * y - 0.7 * s, 1.3 * z + 4)
    gather = noise(1.6 * x + 9, 2.6 * y + 0.5 * math.sin(2 * x), 1.2 * z)
    wave = noise(0.9 * x + 1.3 * y + 3, 0.9 * y - 0.9 * s, 0.9 * z)
    ridge = 1.0 - math.sqrt(wave * wave + 0.03)
    low = step(-3.4, -5.2, y)
    crease = noise(3.4 * x + 2.6 * y, 1.3 * y - 1.6 * s, 1.5 * z)
    pinch = step(0.9, 2.0, s) * step(-3.2, -4.4, y)
    return amount * (
        0.034 * pull
        + 0.020 * gather * (0.35 + low)
        + 0.050 * ridge * ridge
        + 0.040 * crease * pinch
    )


@njit(fastmath=True, error_model="numpy")
def above_neckline(x, y, z, height, tilt, dip):
    """Positive where the neck is bare: within an oval about it, above a plane that falls."""
    plane = y - height - tilt * (z + 0.25) + dip * step(-0.3, 0.2, z) * bump(x, 0.5)
    return join(0.8 * plane, -ellipsoid(x, 0.0, z + 0.22, 0.72, 1.0, 0.85), 0.12)


@njit(fastmath=True, error_model="numpy")
def scene(x, y, z, person):
    """Distance to the person and what is there."""
    f, b, limbs, sleeves, left, right, fingers, pose, kinds, hands, _nails = person
    best, what = 1e9, NOTHING
    hx, hy, hz = to_head(x, y, z, pose)
    from_head = math.sqrt(hx * hx + (hy - 0.1) ** 2 + (hz + 0.1) ** 2) - 1.65
    head = 1e9
    if from_head < 0.4:
        head = HEAD_SCALE * face(hx, hy, hz, f)
        eye = HEAD_SCALE * eyeball(hx, hy, hz)
        if eye < best:
            best, what = eye, EYE
        if kinds[2]:
            hoop = math.hypot(math.hypot(hy + 0.70, hz + 0.02) - 0.17, abs(hx) - 0.80) - 0.022
            if hoop < best:
                best, what = hoop, METAL
        locks = HEAD_SCALE * hair(hx, hy, hz, kinds[0])
        if locks < best:
            best, what = locks, HAIR
    else:
        best = from_head
    skin = join(head, neck(x, y, z, b), 0.22)
    trunk = torso(x, y, z, b)
    skin = join(skin, trunk, 0.30)
    for i in range(2):
        hc = hands[i]
        near = math.sqrt((x - hc[0]) ** 2 + (y - hc[1]) ** 2 + (z - hc[2]) ** 2) - 1.35
        if near < 0.3:
            h = hand(x, y, z, left if i == 0 else right, fingers)
            skin = join(skin, h, 0.06)
        else:
            skin = min(skin, near)
    if limbs.shape[0] > 0:
        skin = join(skin, arms(x, y, z, limbs, 0.10), 0.20)
    if skin < best:
        best, what = skin, SKIN
    # clothes
    if y < -0.6:
        cloth = join(trunk, arms(x, y, z, sleeves, 0.12), 0.30) - b[6]
        if cloth < 0.3:
            cloth -= folds(x, y, z, b[7])
        kind = kinds[1]
        hem = y + 6.30 + 0.05 * math.sin(2.1 * x) + 0.05 * z
        trousers = max(trunk - 0.06 - folds(x, y, z, 0.4), hem - 0.04)
        if y < -5.9 and trousers < best:
            best, what = trousers, TRIM if kind == BLAZER else JACKET
        if kind == BLAZER:
            bare = y + 1.50 + 0.16 * z  # the roll-neck ends under the chin
            roll = bone(x, y, z, 0, -1.40, -0.24, b[1] + 0.09, 0, -2.1, -0.32, b[1] + 0.22)
            roll -= 0.012 * math.sin(64 * math.atan2(x, z + 0.25))
            top = carve(carve(join(roll, trunk - 0.05, 0.10), -bare, 0.08), y + 5.6, 0.06)
            # open in a deep V whose edges are doubled by the lapels
            edge = mix(0.14, 0.66, clamp((y + 4.95) / 2.9, 0, 1)) - 0.5 * step(-4.9, -5.3, y)
            beside = abs(x) - edge if z > -0.2 else 1.0
            width = mix(0.04, 0.52, clamp((y + 4.8) / 2.2, 0, 1))
            width -= 0.30 * step(-2.55, -2.48, y - 0.25 * (abs(x) - 0.9))
            coat = cloth - 0.05
            if z > -0.2:
                coat -= 0.055 * step(width + 0.02, width - 0.02, beside) * step(-4.9, -4.7, y)
            coat = carve(coat, beside, 0.05)
            coat = carve(coat, -above_neckline(x, y, z, -1.66, -0.35, 0.0), 0.05)
            coat = carve(coat, hem + 0.15, 0.06)
            if coat < best:
                best, what = coat, JACKET
            rim = ellipsoid(x - 0.04, y + 5.12, z - b[8], 0.09, 0.09, 0.05)
        else:
            neckline = above_neckline(x, y, z, -1.66, -0.36, 0.30)
            top = carve(cloth, -neckline, 0.03)
            top = carve(top, hem, 0.06)
            rim = -join(-(cloth - 0.035), 0.065 - abs(neckline + 0.05), 0.04)
            if kind == HENLEY and z > 0:
                strip = max(abs(x) - 0.14, abs(y + 2.95) - 0.72)
                top -= 0.035 * step(0.03, -0.03, strip)
                for i in range(3):
                    button = math.hypot(x, y + 2.52 + 0.42 * i) - 0.052
                    rim = min(rim, -join(-button, 0.062 - cloth, 0.03))
        if top < best:
            best, what = top, TOP
        if rim < best:
            best, what = rim, TRIM
    return best, what
