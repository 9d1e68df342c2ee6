"""EMO2 Studio: a portrait and speech become a video of that person speaking and gesturing."""

import os
import tempfile
from pathlib import Path

# numba's compiled kernels (ours and librosa's) go to a folder of this user's own: a cache shared
# between users or machines can crash librosa's onset detection.
os.environ.setdefault(
    "NUMBA_CACHE_DIR", str(Path(tempfile.gettempdir()) / f"emo2-numba-{os.getuid()}")
)

__version__ = "0.1.0"
