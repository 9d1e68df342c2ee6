"""Rays, light and paint: from distances to a picture."""

import math

import numpy as np
from characters.body import EYE, HAIR, JACKET, NOTHING, SKIN, TOP, scene, to_head
from characters.head import EYE_X, EYE_Y, eye_opening, lips
from characters.solids import bump, clamp, fractal, mix, noise, step
from numba import njit, prange

CAMERA = (0.0, -2.2, 36.0)
FRAME_HEIGHT = 8.3  # decimetres in the plane z = 0
KEY = (-0.60, 0.52, 0.608)
FILL = (0.75, 0.10, 0.65)
RIM = (0.62, 0.42, -0.66)
RIM_2 = (-0.75, 0.30, -0.59)


@njit(fastmath=True, error_model="numpy")
def normal(x, y, z, person):
    e = 0.005
    a, _ = scene(x + e, y - e, z - e, person)
    b, _ = scene(x - e, y - e, z + e, person)
    c, _ = scene(x - e, y + e, z - e, person)
    d, _ = scene(x + e, y + e, z + e, person)
    nx, ny, nz = a - b - c + d, -a - b + c + d, -a + b - c + d
    length = math.sqrt(nx * nx + ny * ny + nz * nz) + 1e-12
    return nx / length, ny / length, nz / length


@njit(fastmath=True, error_model="numpy")
def shadow(x, y, z, lx, ly, lz, softness, person):
    """Share of a large lamp that is seen from here."""
    seen, t = 1.0, 0.06
    for _ in range(26):
        d, _what = scene(x + t * lx, y + t * ly, z + t * lz, person)
        seen = min(seen, 0.5 + 0.5 * softness * d / t)
        if seen <= 0.0 or t > 4.5:
            break
        t += clamp(d, 0.04, 0.35)
    seen = max(seen, 0.0)
    return seen * seen * (3 - 2 * seen)


@njit(fastmath=True, error_model="numpy")
def openness(x, y, z, nx, ny, nz, person):
    """How much of the sky is seen: 1 in the open, 0 in a crease."""
    closed, weight = 0.0, 1.0
    for i in range(5):
        h = 0.03 + 0.13 * i
        d, _ = scene(x + h * nx, y + h * ny, z + h * nz, person)
        closed += weight * max(h - d, 0.0)
        weight *= 0.72
    return clamp(1.0 - 1.15 * closed, 0.0, 1.0)


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
        hairs = 0.62 + 0.45 * noise(60 * hx, 26 * hy, 60 * hz)
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
def shade(px, py, pz, what, vx, vy, vz, person, look, out):
    """Colour of a point into `out[5:8]`."""
    f, pose, kinds = person[0], person[7], person[8]
    nx, ny, nz = normal(px, py, pz, person)
    hx, hy, hz = to_head(px, py, pz, pose)
    out[4] = 0.0
    sheen, tx, ty, tz = 0.0, 0.0, 0.0, 0.0
    if what == SKIN:
        skin_paint(hx, hy, hz, px, py, pz, f, look, out)
        if py < -3.0:
            nail_paint(px, py, pz, nx, ny, nz, person[10], look, out)
    elif what == EYE:
        eye_paint(hx, hy, hz, f, look, out)
    elif what == HAIR:
        tone = 1.0 + 0.35 * noise(9 * hx, 9 * hy, 9 * hz)
        out[0], out[1], out[2], out[3] = (
            look[3, 0] * tone,
            look[3, 1] * tone,
            look[3, 2] * tone,
            0.0,
        )
        if kinds[0] == 1:
            tx, ty, tz = 0.85, 0.25, -0.45
        else:
            tx, ty, tz = 0.0, 1.0, 0.0
    else:
        row = 7 if what == TOP else (9 if what == JACKET else 8)
        knit = 1.0
        if what == JACKET:
            weave = noise(95 * px, 40 * py, 60 * pz)
            knit = 1.0 + 0.05 * weave
            sheen = 0.25
        elif kinds[1] == 0:
            rows = 30.0 * py
            wale = 30.0 * math.atan2(px, pz + 2.2) * 2.2
            stitch = math.sin(2 * math.pi * (rows * 0.5 + 0.5 * abs(math.sin(wale))))
            knit = 1.0 + 0.075 * stitch + 0.05 * fractal(3 * px, 3 * py, 3 * pz)
            sheen = 0.22
        else:
            knit = (
                1.0
                + 0.04 * noise(70 * px, 70 * py, 70 * pz)
                + 0.05 * fractal(3 * px, 3 * py, 3 * pz)
            )
            sheen = 0.30
        out[0], out[1], out[2], out[3] = (
            look[row, 0] * knit,
            look[row, 1] * knit,
            look[row, 2] * knit,
            0.10,
        )
    ao = openness(px, py, pz, nx, ny, nz, person)
    ox, oy, oz = px + 0.02 * nx, py + 0.02 * ny, pz + 0.02 * nz
    key_seen = shadow(ox, oy, oz, KEY[0], KEY[1], KEY[2], 5.0, person)
    key = nx * KEY[0] + ny * KEY[1] + nz * KEY[2]
    fill = nx * FILL[0] + ny * FILL[1] + nz * FILL[2]
    fill = clamp(0.45 + 0.55 * fill, 0, 1)
    sky = 0.5 + 0.5 * ny
    facing = clamp(nx * vx + ny * vy + nz * vz, 0, 1)
    grazing = (1 - facing) ** 3.0
    rim = max(nx * RIM[0] + ny * RIM[1] + nz * RIM[2], 0.0) + 0.7 * max(
        nx * RIM_2[0] + ny * RIM_2[1] + nz * RIM_2[2], 0.0
    )
    if what == EYE:
        key, key_seen, ao = 0.75, mix(key_seen, 1.0, 0.5), mix(ao, 1.0, 0.6)
    for c in range(3):
        if what == SKIN:
            # light that travels under the skin: the terminator is wide in red, narrow in blue
            wrap = (0.42, 0.20, 0.14)[c]
            lit = clamp((key + wrap) / (1 + wrap), 0, 1) ** 1.15
            seen = key_seen ** (0.72, 0.95, 1.0)[c]
            dark = ao ** (0.75, 1.05, 1.15)[c]
        else:
            lit = clamp((key + 0.12) / 1.12, 0, 1)
            seen, dark = key_seen, ao
        warm = (1.28, 1.17, 1.03)[c] * 1.62
        cool = (0.80, 0.92, 1.08)[c] * 0.34
        above = (0.90, 0.97, 1.06)[c] * 0.36
        bounce = (1.05, 0.92, 0.80)[c] * 0.16
        light = warm * lit * seen + dark * (cool * fill + above * sky + bounce * (1 - sky))
        light += (1.0, 0.98, 0.95)[c] * 0.85 * rim * dark * (0.25 + 0.75 * grazing)
        out[5 + c] = out[c] * light
    kx, ky, kz = KEY[0] + vx, KEY[1] + vy, KEY[2] + vz
    length = math.sqrt(kx * kx + ky * ky + kz * kz)
    kx, ky, kz = kx / length, ky / length, kz / length
    if what == HAIR:
        dot = tx * nx + ty * ny + tz * nz
        shift = 0.10 * noise(20 * hx, 5 * hy, 20 * hz)
        tx, ty, tz = (
            tx - dot * nx + shift * nx,
            ty - dot * ny + shift * ny,
            tz - dot * nz + shift * nz,
        )
        length = math.sqrt(tx * tx + ty * ty + tz * tz) + 1e-9
        th = (tx * kx + ty * ky + tz * kz) / length
        strand = math.sqrt(max(1 - th * th, 0))
        shine = 0.16 * strand**90 + 0.09 * strand**18
        if kinds[0] == 0:
            shine *= 0.30
        shine *= (0.25 + 0.75 * key_seen) * ao * clamp(0.3 + key, 0, 1)
        for c in range(3):
            out[5 + c] += (
                shine * mix(1.0, out[c] * 6, 0.45) + 0.05 * grazing * ao + 0.28 * rim * grazing * ao
            )
    else:
        nh = clamp(nx * kx + ny * ky + nz * kz, 0, 1)
        fresnel = 0.04 + 0.5 * (1 - facing) ** 5
        gloss = out[3] * (0.30 * nh**22 + 0.14 * nh**70 * (1 if what == SKIN else 0))
        gloss = gloss * (fresnel / 0.04) ** 0.5 * key_seen * (0.2 + 0.8 * ao)
        for c in range(3):
            out[5 + c] += gloss + sheen * grazing * (0.15 + 0.5 * out[c]) * ao + 1.6 * out[4]


@njit(fastmath=True, error_model="numpy")
def backdrop(u, v, look, out):
    """A wall out of focus, with a pool of light behind the person; u, v in [-1, 1]."""
    glow = math.exp(-0.75 * ((u - 0.15) ** 2 + (v - 0.30) ** 2))
    drift = 0.03 * fractal(0.9 * u, 0.9 * v, 1.0)
    for c in range(3):
        out[5 + c] = mix(look[11, c], look[10, c], clamp(glow + drift, 0, 1)) * 0.95


@njit(parallel=True, fastmath=True, error_model="numpy")
def render(height, width, offset_y, offset_x, person, look):
    """One ray a pixel: (H, W, 3) linear light, and (H, W) decimetres to the person or 1e9."""
    image, depth = np.empty((height, width, 3)), np.full((height, width), 1e9)
    scale = FRAME_HEIGHT / height
    for row in prange(height):
        out = np.zeros(8)
        for column in range(width):
            tx = (column + offset_x - width / 2) * scale
            ty = CAMERA[1] - (row + offset_y - height / 2) * scale
            dx, dy, dz = tx - CAMERA[0], ty - CAMERA[1], -CAMERA[2]
            length = math.sqrt(dx * dx + dy * dy + dz * dz)
            dx, dy, dz = dx / length, dy / length, dz / length
            t, what, hit = 32.0, NOTHING, False
            for _ in range(110):
                px, py, pz = CAMERA[0] + t * dx, CAMERA[1] + t * dy, CAMERA[2] + t * dz
                d, what = scene(px, py, pz, person)
                if d < 0.0025:
                    hit = what != NOTHING
                    break
                t += 0.72 * d
                if t > 39.5:
                    break
            if hit:
                shade(px, py, pz, what, -dx, -dy, -dz, person, look, out)
                depth[row, column] = t
            else:
                u, v = tx * 2 / FRAME_HEIGHT, (ty - CAMERA[1]) * 2 / FRAME_HEIGHT
                backdrop(u, v, look, out)
            for c in range(3):
                image[row, column, c] = out[5 + c]
    return image, depth
