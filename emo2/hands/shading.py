"""How hands are lit, written once for both backends: a warm key light, a cool fill, a rim light
from behind, light that scatters in skin, and a gloss on the nails.

In: unit normals, linear albedo and *sheen* at each point (0 cloth, `SKIN_SHEEN` skin, 1 nail). Out:
display colours. The camera looks along -z; that it sees every point from its own side is left out,
as it stands far away. `shade` is the numba version; `glsl_constants` gives OpenGL's shader
(shaders/mesh.frag, the same lines in GLSL) the same numbers.
"""

from __future__ import annotations

import numba
import numpy as np

SKIN_SHEEN = 0.4

_F = np.float32


def _unit(x: float, y: float, z: float) -> tuple[float, float, float]:
    length = (x * x + y * y + z * z) ** 0.5
    return x / length, y / length, z / length


KEY_TOWARDS, KEY_RGB = _unit(-0.42, 0.66, 0.78), (0.98, 0.93, 0.865)
FILL_TOWARDS, FILL_RGB = _unit(0.85, 0.05, 0.55), (0.27, 0.295, 0.345)
RIM_TOWARDS, RIM_RGB = _unit(0.35, 0.80, -0.45), (0.42, 0.44, 0.50)
SKY_RGB, GROUND_RGB = (0.255, 0.262, 0.285), (0.165, 0.142, 0.135)
"""Light from all around: from above, from below."""
SCATTER_RGB = (0.34, 0.15, 0.10)
"""How far past the terminator light reaches inside skin: red the farthest."""
SKIN_GLOSS, SKIN_POWER = 0.055, 18.0
NAIL_GLOSS, NAIL_POWER = 0.30, 70.0
SHOULDER = 0.72
"""Above this, highlights are compressed instead of clipped."""
_HALF = _unit(KEY_TOWARDS[0], KEY_TOWARDS[1], KEY_TOWARDS[2] + 1.0)


def glsl_constants() -> dict[str, str]:
    """Every number of this page as GLSL, by the name the shader uses."""
    vectors = {
        "KEY_TOWARDS": KEY_TOWARDS,
        "KEY_LIGHT": KEY_RGB,
        "KEY_HALF": _HALF,
        "FILL_TOWARDS": FILL_TOWARDS,
        "FILL_LIGHT": FILL_RGB,
        "RIM_TOWARDS": RIM_TOWARDS,
        "RIM_LIGHT": RIM_RGB,
        "SKY_LIGHT": SKY_RGB,
        "GROUND_LIGHT": GROUND_RGB,
        "SCATTER": SCATTER_RGB,
    }
    scalars = {
        "SKIN_SHEEN": SKIN_SHEEN,
        "SKIN_GLOSS": SKIN_GLOSS,
        "SKIN_POWER": SKIN_POWER,
        "NAIL_GLOSS": NAIL_GLOSS,
        "NAIL_POWER": NAIL_POWER,
        "SHOULDER": SHOULDER,
    }
    return {name: f"vec3({x:.6f}, {y:.6f}, {z:.6f})" for name, (x, y, z) in vectors.items()} | {
        name: f"{value:.6f}" for name, value in scalars.items()
    }


@numba.njit(cache=True, nogil=True)
def shade(normals, albedo, sheen):
    """(n, 3) float32 display colours in [0, 1] of points with normals (n, 3), linear albedo (n, 3)
    and sheen (n,)."""
    out = np.empty_like(albedo)
    for i in range(len(normals)):
        x, y, z = normals[i, 0], normals[i, 1], normals[i, 2]
        length = np.sqrt(x * x + y * y + z * z)
        inverse = _F(1.0) / max(length, _F(1e-6))
        x, y, z = x * inverse, y * inverse, z * inverse
        key = x * _F(KEY_TOWARDS[0]) + y * _F(KEY_TOWARDS[1]) + z * _F(KEY_TOWARDS[2])
        fill = x * _F(FILL_TOWARDS[0]) + y * _F(FILL_TOWARDS[1]) + z * _F(FILL_TOWARDS[2])
        behind = x * _F(RIM_TOWARDS[0]) + y * _F(RIM_TOWARDS[1]) + z * _F(RIM_TOWARDS[2])
        half = max(x * _F(_HALF[0]) + y * _F(_HALF[1]) + z * _F(_HALF[2]), _F(0.0))
        skin = min(sheen[i] / _F(SKIN_SHEEN), _F(1.0))
        nail = max((sheen[i] - _F(SKIN_SHEEN)) / _F(1 - SKIN_SHEEN), _F(0.0))
        grazing = _F(1.0) - min(max(z, _F(0.0)), _F(1.0))
        rim = grazing * grazing * grazing * max(behind, _F(0.0))
        power = _F(SKIN_POWER) + nail * _F(NAIL_POWER - SKIN_POWER)
        gloss = skin * (_F(SKIN_GLOSS) + nail * _F(NAIL_GLOSS - SKIN_GLOSS)) * half**power
        up = _F(0.5) + _F(0.5) * y
        for c in range(3):
            reach = skin * _F(SCATTER_RGB[c])
            light = (
                _F(KEY_RGB[c]) * max((key + reach) / (_F(1.0) + reach), _F(0.0))
                + _F(FILL_RGB[c]) * max(fill, _F(0.0))
                + _F(GROUND_RGB[c])
                + up * _F(SKY_RGB[c] - GROUND_RGB[c])
            )
            value = (
                albedo[i, c] * light
                + _F(RIM_RGB[c]) * rim * (_F(0.15) + albedo[i, c])
                + _F(KEY_RGB[c]) * gloss
            )
            if value > _F(SHOULDER):
                room = _F(1.0 - SHOULDER)
                value = _F(SHOULDER) + room * np.tanh((value - _F(SHOULDER)) / room)
            out[i, c] = value ** _F(1 / 2.2)
    return out
