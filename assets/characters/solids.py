"""Signed distances of simple solids and how they blend. Everything is in decimetres, float64."""

import math

from numba import njit


@njit(fastmath=True, error_model="numpy")
def mix(a, b, t):
    return a + (b - a) * t


@njit(fastmath=True, error_model="numpy")
def clamp(x, low, high):
    return min(max(x, low), high)


@njit(fastmath=True, error_model="numpy")
def step(low, high, x):
    """0 below `low`, 1 above `high`, smooth between."""
    t = clamp((x - low) / (high - low), 0.0, 1.0)
    return t * t * (3.0 - 2.0 * t)


@njit(fastmath=True, error_model="numpy")
def bump(x, width):
    return math.exp(-(x * x) / (width * width))


@njit(fastmath=True, error_model="numpy")
def join(a, b, k):
    """Union whose seam is rounded over a width of `k`."""
    h = max(k - abs(a - b), 0.0) / k
    return min(a, b) - 0.25 * k * h * h


@njit(fastmath=True, error_model="numpy")
def carve(a, b, k):
    """`a` without `b`, the rim rounded over a width of `k`."""
    return -join(-a, b, k)


@njit(fastmath=True, error_model="numpy")
def ellipsoid(x, y, z, rx, ry, rz):
    inner = math.sqrt((x / rx) ** 2 + (y / ry) ** 2 + (z / rz) ** 2)
    slope = math.sqrt((x / rx**2) ** 2 + (y / ry**2) ** 2 + (z / rz**2) ** 2)
    return inner * (inner - 1.0) / max(slope, 1e-6)


@njit(fastmath=True, error_model="numpy")
def bone(x, y, z, ax, ay, az, ra, bx, by, bz, rb):
    """A capsule from a to b whose radius changes from `ra` to `rb`."""
    dx, dy, dz = bx - ax, by - ay, bz - az
    px, py, pz = x - ax, y - ay, z - az
    t = clamp((px * dx + py * dy + pz * dz) / (dx * dx + dy * dy + dz * dz), 0.0, 1.0)
    px, py, pz = px - t * dx, py - t * dy, pz - t * dz
    return math.sqrt(px * px + py * py + pz * pz) - mix(ra, rb, t)


@njit(fastmath=True, error_model="numpy")
def lattice(i, j, k):
    """A random number in [0, 1) for every point of the integer lattice."""
    n = (i * 374761393 + j * 668265263 + k * 1274126177) & 0xFFFFFFFF
    n = ((n ^ (n >> 13)) * 1103515245) & 0xFFFFFFFF
    return ((n ^ (n >> 16)) & 0xFFFFFF) / 16777216.0


@njit(fastmath=True, error_model="numpy")
def noise(x, y, z):
    """Smooth value noise in [-1, 1], one feature per unit."""
    fx, fy, fz = math.floor(x), math.floor(y), math.floor(z)
    i, j, k = int(fx), int(fy), int(fz)
    u, v, w = x - fx, y - fy, z - fz
    u, v, w = u * u * (3 - 2 * u), v * v * (3 - 2 * v), w * w * (3 - 2 * w)
    near = mix(
        mix(lattice(i, j, k), lattice(i + 1, j, k), u),
        mix(lattice(i, j + 1, k), lattice(i + 1, j + 1, k), u),
        v,
    )
    far = mix(
        mix(lattice(i, j, k + 1), lattice(i + 1, j, k + 1), u),
        mix(lattice(i, j + 1, k + 1), lattice(i + 1, j + 1, k + 1), u),
        v,
    )
    return 2.0 * mix(near, far, w) - 1.0


@njit(fastmath=True, error_model="numpy")
def fractal(x, y, z):
    """Three octaves of noise."""
    return (
        0.57 * noise(x, y, z)
        + 0.29 * noise(2.03 * x + 7.1, 2.03 * y, 2.03 * z)
        + 0.14 * noise(4.1 * x, 4.1 * y + 3.3, 4.1 * z)
    )
