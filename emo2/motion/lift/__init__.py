"""Two dimensions to three: hands seen in a picture over time become a `HandMotion`."""

from emo2.motion.lift.fit import Lifted, lift
from emo2.motion.lift.measure import FitQuality
from emo2.motion.lift.track import Track

__all__ = ["FitQuality", "Lifted", "Track", "lift"]
