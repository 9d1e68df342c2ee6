"""EchoMimicV2's public weights in this project's blocks: a second kind of Stage 2, driven by our
hands."""

from emo2.stage2.echomimic_v2.pipeline import EchoMimicV2

__all__ = ["EchoMimicV2"]
