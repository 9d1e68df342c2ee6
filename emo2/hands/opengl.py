"""pyrender behind a queue: one off-screen renderer for the whole process, in a thread of its own.

An EGL context belongs to the thread that made it, and deleting one renderer ends the display of all
others in the process. So there is one, it is never deleted, and every caller's mesh goes through
its queue.
"""

from __future__ import annotations

import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from emo2.hands.shading import glsl_constants
from emo2.types import Camera

_SHADERS = Path(__file__).parent / "shaders"


class OpenGLError(RuntimeError):
    """OpenGL or one of its libraries cannot be used here."""


class OpenGLRenderer:
    """Get the one instance with `shared()`; its methods may be called from any thread."""

    _instance: OpenGLRenderer | None = None
    _failure: str | None = None
    _lock = threading.Lock()

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="emo2-opengl")
        self._renderer = None
        self._description = self._thread.submit(self._start).result()

    @classmethod
    def shared(cls) -> OpenGLRenderer:
        """The process's renderer, started on first use; raises OpenGLError, each time the same."""
        with cls._lock:
            if cls._instance is None and cls._failure is None:
                try:
                    cls._instance = cls()
                except Exception as error:  # missing libraries surface as any of a dozen types
                    cls._failure = f"{type(error).__name__}: {error}".splitlines()[0]
            if cls._instance is None:
                raise OpenGLError(cls._failure)
            return cls._instance

    def describe(self) -> str:
        """What draws: platform and device."""
        return self._description

    def render(
        self, mesh, camera: Camera, window: tuple[slice, slice]
    ) -> tuple[np.ndarray, np.ndarray]:
        """A window of the picture: (h, w, 4) uint8, premultiplied, over transparent black; and the
        depth (h, w) float32 [m], 0 where nothing is."""
        return self._thread.submit(self._render, mesh, camera, window).result()

    def _start(self) -> str:
        if sys.platform == "linux":
            os.environ.setdefault("PYOPENGL_PLATFORM", "egl")
        if not hasattr(np, "infty"):
            np.infty = np.inf  # noqa: NPY201 (pyrender 0.1.45 was written for NumPy 1)
        import pyrender
        from OpenGL.GL import GL_RENDERER, glGetString
        from pyrender.shader_program import ShaderProgramCache

        class Programs(ShaderProgramCache):
            """pyrender's shaders replaced by ours, with the numbers of `shading`."""

            def get_program(self, *files, defines=None, **named_files):
                return super().get_program(
                    *files, defines=defines | glsl_constants(), **named_files
                )

        self._pyrender = pyrender
        self._renderer = pyrender.OffscreenRenderer(64, 64)
        self._renderer._renderer._program_cache = Programs(shader_dir=str(_SHADERS))
        self._material = pyrender.MetallicRoughnessMaterial()
        device = glGetString(GL_RENDERER)
        platform = os.environ.get("PYOPENGL_PLATFORM", "native")
        return f"{platform}, {device.decode() if device else 'unknown device'}"

    def _render(self, mesh, camera, window) -> tuple[np.ndarray, np.ndarray]:
        pyrender, (rows, columns) = self._pyrender, window
        primitive = pyrender.Primitive(
            positions=mesh.vertices,
            normals=mesh.normals,
            indices=mesh.faces,
            color_0=np.column_stack([mesh.colours, mesh.sheen]),
            material=self._material,
        )
        scene = pyrender.Scene(bg_color=(0.0, 0.0, 0.0, 0.0))
        scene.add(pyrender.Mesh([primitive]))
        focal = camera.pixels_per_metre * camera.distance_m
        pose = np.eye(4)
        pose[2, 3] = camera.distance_m
        scene.add(
            pyrender.IntrinsicsCamera(
                focal,
                focal,
                camera.origin_px[0] - columns.start,
                camera.origin_px[1] - rows.start,
                znear=0.05,
                zfar=10.0 + camera.distance_m,
            ),
            pose=pose,
        )
        self._renderer.viewport_width = columns.stop - columns.start
        self._renderer.viewport_height = rows.stop - rows.start
        return self._renderer.render(scene, flags=pyrender.RenderFlags.RGBA)
