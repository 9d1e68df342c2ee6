"""What colours a person has: skin, lips, brows, lashes, eyes, nails, and the wall behind them.

`look` holds linear RGB and weights in the rows that `make_characters.paint` lays out.
"""

import math

from characters.head import EYE_X, EYE_Y, eye_opening, lips
from characters.solids import bump, clamp, fractal, mix, noise, step
from numba import njit


@njit(fastmath=True, error_model="numpy")
def brow_mask(s, y, z, weight):
    """0..1: hairs of an eyebrow, denser in its middle, tapering outwards."""
    if z < 0.2 or s < 0.08 or s > 0.68:
        return 0.0
    t = (s - 0.13) / 0.48
    centre = 0.172 + 0.088 * math.sin(math.pi * clamp(0.12 + 0.62 * t, 0, 1))
    half = 0.046 * weight * (1.0 - 0.75 * clamp(t, 0, 1) ** 1.6) + 0.004
    across = (y - centre) / half + 0.12 * noise(38 * s, 4 * y, 1.0)
    lean = mix(1.25, 0.10, clamp(t, 0, 1))  # hairs rise at the nose, lie flat at the temple
    u, v = s * math.cos(lean) + y * math.sin(lean), y * math.cos(lean) - s * math.sin(lean)
    hairs = 0.86 + 0.55 * noise(9 * u, 75 * v, 3.0)
    ends = step(-0.02, 0.12, t) * step(1.05, 0.85, t)
    return clamp(step(1.15, 0.35, abs(across)) * hairs * ends * 1.25, 0.0, 1.0)


@njit(fastmath=True, error_model="numpy")
def skin_paint(hx, hy, hz, x, y, z, f, look, out):
    """Albedo of skin into `out[0:3]`, gloss into `out[3]`; `look` as `make_characters.paint`."""
    s = abs(hx)
    r, g, b = look[0, 0], look[0, 1], look[0, 2]
    gloss = 0.30
    mottle = 1.0 + 0.035 * fractal(5 * x, 5 * y, 5 * z) + 0.03 * noise(38 * x, 38 * y, 38 * z)
    on_face = hy > -1.25 and hz > -0.35
    if on_face:
        blush = 0.55 * bump(math.hypot(s - 0.44, 1.3 * (hy + 0.30)), 0.26) * step(0.2, 0.5, hz)
        blush += 0.45 * bump(math.hypot(s, hy + 0.44), 0.16) * step(0.7, 0.9, hz)
        blush += 0.5 * step(0.72, 0.82, s)
        blush += 0.22 * bump(math.hypot(s, hy + 1.0), 0.2)
        blush = clamp(blush, 0, 0.75)
        r, g, b = mix(r, look[1, 0], blush), mix(g, look[1, 1], blush), mix(b, look[1, 2], blush)
        shade = 0.12 * bump(math.hypot(s - 0.30, 1.6 * (hy + 0.12)), 0.16) * step(0.4, 0.6, hz)
        shade += (
            0.25
            * bump(math.hypot(s - EYE_X, 1.5 * (hy - 0.13)), 0.14)
            * step(0.4, 0.6, hz)
            * look[6, 1]
        )
        mottle *= 1.0 - shade
        gloss += 0.12 * bump(s, 0.3) * step(-0.6, 0.4, hy)
    r, g, b = r * mottle, g * mottle, b * mottle
    if on_face and look[6, 2] > 0 and hz > 0.4:
        spots = (
            noise(21 * hx, 21 * hy, 21 * hz)
            - 0.60
            + 0.25 * bump(math.hypot(s - 0.3, hy + 0.25), 0.4)
        )
        k = look[6, 2] * 0.35 * step(0.0, 0.18, spots) * bump(hy + 0.22, 0.35)
        r, g, b = r * (1 - 0.45 * k), g * (1 - 0.75 * k), b * (1 - 0.9 * k)
    if on_face and look[6, 0] > 0:  # a beard, cropped short
        line = 0.30 - 0.42 * step(0.15, 0.72, s)
        low = step(-0.42 - 0.10 * step(0.5, 0.2, s) - line * 0.2, -0.62, hy)
        strip = low * step(0.06, 0.16, s) + bump(hy + 0.60, 0.075) * step(0.34, 0.20, s)
        strip += step(-0.86, -0.94, hy) * step(0.22, 0.1, s)
        strip += (
            step(0.52, 0.62, s) * step(0.05, -0.2, hy) * step(0.05, 0.25, hz) * step(0.75, 0.68, s)
        )
        strip *= step(-1.20, -1.02, hy)
        place = lips(hx, hy, f[5] * 1.10, f[6] * 1.25, f[7] * 1.25, f[8])
        if -1.0 < place < 1.0 and hz > 0.5:
            strip = 0.0
        hairs = 0.85 + 0.40 * noise(60 * hx, 26 * hy, 60 * hz)
        k = clamp(strip, 0, 1) * clamp(hairs, 0.25, 1) * look[6, 0]
        r, g, b = mix(r, look[3, 0], k), mix(g, look[3, 1], k), mix(b, look[3, 2], k)
        gloss *= 1 - 0.6 * k
    if hz > 0.45 and on_face:
        place = lips(hx, hy, f[5], f[6], f[7], f[8])
        if -1.35 < place < 1.35:
            k = step(1.30, 0.82, abs(place))
            k *= 0.92 - 0.10 * noise(50 * hx, 8 * hy, 0)
            deep = 1.0 - 0.25 * step(0.35, 0.0, abs(place)) - 0.12 * step(0.0, 0.4, place)
            r = mix(r, look[2, 0] * deep, k)
            g = mix(g, look[2, 1] * deep, k)
            b = mix(b, look[2, 2] * deep, k)
            gloss = mix(gloss, 0.62, k)
        k = brow_mask(s, hy, hz, look[5, 0]) * 0.92
        r, g, b = mix(r, look[3, 0], k), mix(g, look[3, 1], k), mix(b, look[3, 2], k)
        gloss *= 1 - k
        edge = eye_opening(s - EYE_X, hy - EYE_Y, f[9], f[10], f[11])
        ex, ey = s - EYE_X, hy - EYE_Y - f[11] * (s - EYE_X)
        if edge < 0.10:
            upper = step(-0.02, 0.02, ey)
            crease = 1.0 - 0.42 * upper * bump(edge - 0.062, 0.012) * step(0.26, 0.16, abs(ex))
            r, g, b = r * crease, g * crease * crease**0.3, b * crease * crease**0.4
            outward = step(-0.12, 0.20, ex)
            lash = upper * step(0.012 + 0.026 * outward * look[5, 1], 0.002, edge)
            lash += (1 - upper) * 0.45 * step(0.012, 0.0, edge) * look[5, 1]
            wing = (
                step(0.17, 0.20, ex)
                * step(0.28, 0.22, ex)
                * bump(ey - 0.5 * (ex - 0.17) - 0.012, 0.016)
            )
            lash = clamp(lash + wing * max(look[5, 1] - 0.4, 0) * 1.6, 0, 1) * 0.93
            rosy = (1 - upper) * bump(edge - 0.004, 0.012) * (1 - 0.6 * look[5, 1])
            r, g, b = mix(r, look[1, 0], rosy), mix(g, look[1, 1], rosy), mix(b, look[1, 2], rosy)
            r, g, b = mix(r, 0.012, lash), mix(g, 0.009, lash), mix(b, 0.008, lash)
            gloss *= 1 - 0.8 * lash
    out[0], out[1], out[2], out[3] = r, g, b, gloss


@njit(fastmath=True, error_model="numpy")
def palm_paint(x, y, z, nx, ny, nz, hands, look, out):
    """The inside of a hand: pink, and much lighter than the rest where the skin is dark."""
    for i in range(2):
        h = hands[i]
        if (x - h[0]) ** 2 + (y - h[1]) ** 2 + (z - h[2]) ** 2 > 1.7:
            continue
        length = math.sqrt(h[3] ** 2 + h[4] ** 2 + h[5] ** 2)
        inside = step(0.05, -0.45, (nx * h[3] + ny * h[4] + nz * h[5]) / length)
        for c in range(3):
            pink = mix(look[1, c], (0.72, 0.42, 0.30)[c], 0.55)
            out[c] = mix(out[c], pink, 0.45 * inside)


@njit(fastmath=True, error_model="numpy")
def nail_paint(x, y, z, nx, ny, nz, nails, look, out):
    """Fingertips: a little redder, and on their backs a nail."""
    for i in range(nails.shape[0]):
        n = nails[i]
        px, py, pz, radius = x - n[0], y - n[1], z - n[2], n[9]
        d = math.sqrt(px * px + py * py + pz * pz)
        if d > 0.5:
            continue
        for c in range(3):
            out[c] = mix(out[c], look[1, c], 0.35 * step(0.45, 0.1, d))
        if nx * n[6] + ny * n[7] + nz * n[8] < 0.35:
            continue
        along = px * n[3] + py * n[4] + pz * n[5]
        up = px * n[6] + py * n[7] + pz * n[8]
        across = math.sqrt(max(d * d - along * along - up * up, 0.0))
        oval = (abs(along / (1.15 * radius)) ** 2.6 + abs(across / (0.74 * radius)) ** 2.6) ** 0.385
        k = step(1.0, 0.86, oval)
        rim = 1.0 - 0.25 * bump(oval - 1.02, 0.10)
        tip = step(0.75 * radius, 1.0 * radius, along)
        for c in range(3):
            nail = mix(mix(look[0, c], look[1, c], 0.55), (0.95, 0.78, 0.72)[c], 0.22 + 0.35 * tip)
            out[c] = mix(out[c] * rim, nail, 0.8 * k)
        out[3] = mix(out[3], 0.8, k)


@njit(fastmath=True, error_model="numpy")
def eye_paint(hx, hy, hz, f, look, out):
    """Sclera, iris, pupil; a catchlight in `out[4]`."""
    side = 1.0 if hx > 0 else -1.0
    x, y = hx - side * EYE_X, hy - EYE_Y
    gaze_x = -0.010 * side
    radius = math.hypot(x - gaze_x, y - 0.004)
    iris = 0.116
    k = step(iris + 0.006, iris - 0.006, radius)
    r, g, b = 0.70, 0.67, 0.65
    red = step(0.12, 0.21, abs(x)) * 0.5
    r, g, b = mix(r, 0.72, red), mix(g, 0.50, red), mix(b, 0.45, red)
    angle = math.atan2(y, x - gaze_x)
    fibres = (
        0.75
        + 0.45 * noise(9 * angle, 14 * radius, side)
        + 0.2 * noise(24 * angle, 30 * radius, side)
    )
    light = 0.75 + 1.1 * step(0.06, -0.09, y)
    tone = fibres * light * (1.0 - 0.80 * step(iris * 0.78, iris, radius))
    r, g, b = (
        mix(r, look[4, 0] * tone, k),
        mix(g, look[4, 1] * tone, k),
        mix(b, look[4, 2] * tone, k),
    )
    pupil = step(0.053, 0.045, radius)
    r, g, b = mix(r, 0.006, pupil), mix(g, 0.006, pupil), mix(b, 0.007, pupil)
    lid = eye_opening(side * x, y, f[9], f[10], f[11])
    slanted = y - f[11] * side * x
    cast = step(-0.075, 0.0, lid) * step(-0.02, 0.05, slanted)
    dim = 1.0 - 0.62 * cast - 0.18 * step(-0.02, 0.0, lid)
    out[0], out[1], out[2], out[3] = r * dim, g * dim, b * dim, 0.0
    spark = step(0.026, 0.017, math.hypot(x + 0.033, y - 0.036))
    spark += 0.30 * step(0.016, 0.008, math.hypot(x - 0.040, y + 0.034))
    out[4] = spark


@njit(fastmath=True, error_model="numpy")
def backdrop(u, v, look, out):
    """A wall out of focus, with a pool of light behind the person; u, v in [-1, 1]."""
    glow = math.exp(-0.75 * ((u - 0.15) ** 2 + (v - 0.30) ** 2))
    drift = 0.03 * fractal(0.9 * u, 0.9 * v, 1.0)
    for c in range(3):
        out[5 + c] = mix(look[11, c], look[10, c], clamp(glow + drift, 0, 1)) * 0.95
