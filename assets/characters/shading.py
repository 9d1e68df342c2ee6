"""Rays and light: from distances and paint to a picture."""

import math

import numpy as np
from characters.body import EYE, HAIR, JACKET, NOTHING, SKIN, TOP, scene, to_head
from characters.paint import backdrop, eye_paint, nail_paint, palm_paint, skin_paint
from characters.solids import clamp, fractal, mix, noise
from numba import njit, prange

CAMERA = (0.0, -2.62, 36.0)
FRAME_HEIGHT = 9.1  # decimetres in the plane z = 0
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
            palm_paint(px, py, pz, nx, ny, nz, person[9], look, out)
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


@njit(parallel=True, fastmath=True, error_model="numpy")
def render(height, width, offset_y, offset_x, wanted, person, look):
    """One ray for every `wanted` pixel: (H, W, 3) linear light, 0 elsewhere."""
    image = np.zeros((height, width, 3))
    scale = FRAME_HEIGHT / height
    for row in prange(height):
        out = np.zeros(8)
        for column in range(width):
            if not wanted[row, column]:
                continue
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
            else:
                u, v = tx * 2 / FRAME_HEIGHT, (ty - CAMERA[1]) * 2 / FRAME_HEIGHT
                backdrop(u, v, look, out)
            for c in range(3):
                image[row, column, c] = out[5 + c]
    return image
