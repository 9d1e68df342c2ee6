"""A head: skull, face, ears, lids and eyes as one distance. Its middle is the origin."""

import math

from characters.solids import bone, bump, carve, clamp, ellipsoid, join, step
from numba import njit

EYE_X, EYE_Y, EYE_Z, EYE_R = 0.345, 0.0, 0.64, 0.195
LID_W = 0.215  # half the width of the opening
MOUTH_Y = -0.755


@njit(fastmath=True, error_model="numpy")
def mouth_line(x, half, smile):
    """Height of the line between the lips."""
    t = x / half
    return MOUTH_Y + smile * (t * t - 0.15) - 0.012 * bump(x, 0.05)


@njit(fastmath=True, error_model="numpy")
def lips(x, y, half, upper, lower, smile):
    """Where in the lips a point lies: -1..0 in the lower, 0..1 in the upper, +-2 outside."""
    t = abs(x) / half
    if t >= 1.0:
        return 2.0
    line = mouth_line(x, half, smile)
    if y > line:
        bow = 1.0 - 0.20 * bump(x, 0.045) + 0.10 * bump(abs(x) - 0.075, 0.06)
        edge = upper * (1.0 - t**1.7) * bow
        return min((y - line) / max(edge, 1e-4), 2.0)
    edge = lower * math.sqrt(1.0 - t * t) * (1.0 - 0.25 * t * t)
    return max((y - line) / max(edge, 1e-4), -2.0)


@njit(fastmath=True, error_model="numpy")
def eye_opening(x, y, upper, lower, slant):
    """2-D distance to the almond between the lids, negative inside; x outwards from its middle."""
    y = y - slant * x
    ru = (LID_W * LID_W + upper * upper) / (2.0 * upper)
    rl = (LID_W * LID_W + lower * lower) / (2.0 * lower)
    # The upper lid is highest towards the nose, the lower one lowest towards the temple.
    du = math.hypot(x + 0.02 * step(-0.2, 0.0, y), y - upper + ru) - ru
    dl = math.hypot(x - 0.02, y + lower - rl) - rl
    return max(du, dl)


@njit(fastmath=True, error_model="numpy")
def eyeball(x, y, z):
    return math.sqrt((abs(x) - EYE_X) ** 2 + (y - EYE_Y) ** 2 + (z - EYE_Z) ** 2) - EYE_R


@njit(fastmath=True, error_model="numpy")
def face(x, y, z, f):
    """Distance to the skin of the head; `f` is a row of `people.FACE`."""
    jaw, chin, cheek, nose_w, nose_l = f[0], f[1], f[2], f[3], f[4]
    mouth, upper_lip, lower_lip, smile = f[5], f[6], f[7], f[8]
    lid_u, lid_l, slant, brow = f[9], f[10], f[11], f[12]
    s = abs(x)
    d = ellipsoid(x, y - 0.30, z + 0.14, 0.77, 0.85, 0.95)
    d = join(d, ellipsoid(x, y + 0.12, z - 0.17, 0.63, 0.86, 0.66), 0.25)
    d = join(d, ellipsoid(x, y + 0.66, z - 0.20, 0.50 * jaw, 0.47, 0.55), 0.28)
    d = join(d, bone(s, y, z, 0.60 * jaw, -0.45, -0.02, 0.13, 0.22 * jaw, -1.0, 0.45, 0.13), 0.25)
    d = join(d, ellipsoid(x, y + 0.99, z - 0.58, 0.20 * chin, 0.155, 0.16), 0.22)
    d = join(d, ellipsoid(s - 0.38, y + 0.30, z - 0.50, 0.23, 0.24, 0.23 * cheek), 0.26)
    smooth = math.sqrt(x * x + 0.012)  # no crease where the two halves meet
    d = join(
        d, bone(smooth, y, z, 0.14, 0.20, 0.72, 0.07 * brow, 0.5, 0.26, 0.56, 0.07 * brow), 0.2
    )
    d = join(d, ellipsoid(x, y + 0.74, z - 0.66, 0.34, 0.24, 0.20), 0.18)
    d = carve(d, ellipsoid(s - EYE_X - 0.01, y - 0.0, z - 0.93, 0.25, 0.155, 0.22), 0.16)
    # nose: bridge, tip, wings, nostrils
    tip_z = 1.0 + nose_l
    d = join(d, bone(x, y, z, 0, 0.10, 0.70, 0.060, 0, -0.36, tip_z - 0.07, 0.085 * nose_w), 0.13)
    tip = 0.45 + 0.55 * nose_w
    tip_d = ellipsoid(x, y + 0.41, z - tip_z + 0.035, 0.108 * nose_w, 0.092 * tip, 0.10 * tip)
    d = join(d, tip_d, 0.10)
    d = join(
        d, ellipsoid(s - 0.115 * nose_w, y + 0.445, z - 0.855, 0.075 * nose_w, 0.075, 0.10), 0.07
    )
    nostril = ellipsoid(s - 0.062 * nose_w, y + 0.525, z - 0.90, 0.036 * nose_w, 0.035, 0.055)
    d = carve(d, nostril, 0.035)
    # lids: a shell over the eyeball, open where the almond is
    ball = eyeball(x, y, z)
    side = 1.0
    opening = eye_opening((s - EYE_X) * side, y - EYE_Y, lid_u, lid_l, slant)
    lid = ball - 0.026 - 0.010 * bump(y - EYE_Y - lid_u * 1.0, 0.03)
    d = join(d, lid, 0.12)
    if z > 0.5:
        d = carve(d, max(opening, 0.55 - z), 0.022)
    # lips, groove under the nose, fold under the lower lip
    if z > 0.3:
        front = step(0.45, 0.7, z)
        place = lips(x, y, mouth, upper_lip, lower_lip, smile)
        if -1.0 < place < 1.0:
            full = 0.050 if place > 0 else 0.062
            taper = 1.0 - (s / mouth) ** 2.5
            d -= front * full * taper * math.sqrt(math.sin(math.pi * abs(place) ** 0.75) + 1e-6)
        line = mouth_line(clamp(x, -mouth, mouth), mouth, smile)
        d += front * 0.030 * bump(y - line, 0.016) * (1.0 - step(mouth * 0.85, mouth * 1.12, s))
        d += front * 0.012 * bump(s - mouth * 1.05, 0.05) * bump(y - line, 0.05)
        d += front * 0.020 * bump(x, 0.05) * bump(y + 0.61, 0.07)
        d += front * 0.030 * bump(x, 0.20) * bump(y + 0.895, 0.05)
    # ears
    ex, ey, ez = s - 0.775, y + 0.12, z + 0.10
    if ex * ex + ey * ey + ez * ez < 0.5:
        turned = ex * 0.85 - ez * 0.45, ex * 0.45 + ez * 0.85
        ear = ellipsoid(turned[0], ey, turned[1], 0.085, 0.30 + 0.06 * ey, 0.19)
        ear = carve(
            ear, ellipsoid(turned[0] - 0.085, ey - 0.03, turned[1] - 0.02, 0.06, 0.20, 0.11), 0.05
        )
        d = join(d, ear, 0.07)
    return d
