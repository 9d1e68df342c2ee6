"""Stage 2: a portrait, sound and guidance to frames (paper, section 3.3 and Fig. 3).

    portrait ------> ReferenceNet ----> reference features ---.
    last 12 frames > ReferenceNet ----> motion features ------+
    sound ---------> AudioProjection -> audio tokens ---------+-> BackboneUNet, a few DDIM steps
    MANO + keypoint maps, confidence -> GuidanceEncoder ------'   -> 24 frames, then the next 24

A checkpoint may lean on a draft: then the draft renderer's frame is the partial-body map, the
latents hold a residual, and the film is draft + change mask x residual, limited in amplitude. A
network that says nothing leaves the draft as it is.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from pathlib import Path

import torch
from diffusers import AutoencoderKL, AutoencoderTiny, DDIMScheduler, DiffusionPipeline
from torch import Tensor

from emo2.stage2.ahead import ahead
from emo2.stage2.conditions import Conditions
from emo2.stage2.devices import choose_dtype
from emo2.stage2.guidance_encoder import AudioProjection, GuidanceEncoder
from emo2.stage2.guidance_scale import GuidanceScale
from emo2.stage2.inputs import check_guidance, check_inputs
from emo2.stage2.latents import AUTOENCODERS, LinearAutoencoder
from emo2.stage2.loading import check_parts
from emo2.stage2.pictures import PicturesMixin
from emo2.stage2.processors import Features
from emo2.stage2.reference import ReferenceNet
from emo2.stage2.sampling import Sampling
from emo2.stage2.scene import Scene
from emo2.stage2.stretches import Stretch, shrink, to_unit
from emo2.stage2.unet import BackboneUNet
from emo2.stage2.windows import Clip, audio_windows, clips, pieces
from emo2.types import AudioFeatures, Frame, GuidanceMaps, OnStep, Portrait, Progress

NETWORKS = (ReferenceNet, BackboneUNet, GuidanceEncoder, AudioProjection, *AUTOENCODERS)
STRETCH_FRAMES = 4
"""Guidance is drawn and made small this many frames at a time."""


class Stage2Pipeline(PicturesMixin, DiffusionPipeline):
    """The parts of Stage 2 and how a checkpoint wants them used.

    Args:
        reference_net, unet, guidance_encoder, audio_projection, vae, scheduler: the parts.
        clip_length: frames denoised together.
        motion_frames: finished frames carried into the next clip.
        num_inference_steps: default number of denoising steps.
        guidance_scale: default scales of (guidance, reference, audio).
        guidance_interval: default noise levels (lowest, highest) at which these scales hold, 0 =
            clean, 1 = pure noise; elsewhere every scale is 1, which takes one evaluation.
        long_side_px: the network's working size; `None` works at the portrait's.
        leans_on_draft: the film is the draft plus a residual; needs `draft` and `change` maps.
        residual_gain: residuals are multiplied by this before they are diffused.
        residual_strength: the share of the predicted residual that is applied.
        residual_limit: the largest change of a pixel, as a share of the range from black to white.
        shared_noise: share of the noise's variance that all frames of a film have in common: less
            flicker from few steps.
        prior_noise: standard deviation of the noise a film starts from. 0 starts from its mean: for
            checkpoints whose answer follows from their conditions, and is given in one step.
    """

    def __init__(
        self,
        reference_net: ReferenceNet,
        unet: BackboneUNet,
        guidance_encoder: GuidanceEncoder,
        audio_projection: AudioProjection,
        vae: AutoencoderKL | AutoencoderTiny | LinearAutoencoder,
        scheduler: DDIMScheduler,
        clip_length: int = 24,
        motion_frames: int = 12,
        num_inference_steps: int = 30,
        guidance_scale: tuple[float, float, float] = (1.0, 2.5, 2.5),
        guidance_interval: tuple[float, float] = (0.0, 1.0),
        long_side_px: int | None = None,
        leans_on_draft: bool = False,
        residual_gain: float = 1.0,
        residual_strength: float = 1.0,
        residual_limit: float = 1.0,
        shared_noise: float = 0.0,
        prior_noise: float = 1.0,
    ) -> None:
        super().__init__()
        self.register_modules(
            reference_net=reference_net,
            unet=unet,
            guidance_encoder=guidance_encoder,
            audio_projection=audio_projection,
            vae=vae,
            scheduler=scheduler,
        )
        self.register_to_config(
            clip_length=clip_length,
            motion_frames=motion_frames,
            num_inference_steps=num_inference_steps,
            guidance_scale=list(guidance_scale),
            guidance_interval=list(guidance_interval),
            long_side_px=long_side_px,
            leans_on_draft=leans_on_draft,
            residual_gain=residual_gain,
            residual_strength=residual_strength,
            residual_limit=residual_limit,
            shared_noise=shared_noise,
            prior_noise=prior_noise,
        )

    # When networks take turns on a small device, this is the order (diffusers' name).
    model_cpu_offload_seq = "reference_net->guidance_encoder->audio_projection->unet->vae"

    @classmethod
    def from_pretrained(
        cls, folder: str | Path, *, dtype: torch.dtype = torch.float32, **options
    ) -> Stage2Pipeline:
        """Loads a checkpoint folder: every tensor, or an error that names the file. The autoencoder
        comes in float32: linear latents stay in it."""
        check_parts(folder, NETWORKS)
        dtypes = {"default": dtype, "vae": torch.float32}
        return super().from_pretrained(Path(folder), use_safetensors=True, dtype=dtypes, **options)

    dtype_on = staticmethod(choose_dtype)

    @property
    def clip_length(self) -> int:
        """Frames that are denoised together."""
        return self.config.clip_length

    def plan(self, size: tuple[int, int], fps: float, offload: str = "none"):
        """How a film of `size` (H, W) will be made and what that takes: a `FilmPlan`. Raises
        `InputError` where it does not fit."""
        from emo2.stage2.preflight import plan_film

        return plan_film(self, size, fps, offload=offload)

    def film(
        self, scene: Scene, *, seed: int = 0, on_step: OnStep | None = None, **options
    ) -> Iterator[Frame]:
        """A scene's frames: heard by the weight set's own ears, guided by maps. `options` as
        below."""
        guidance = scene.guidance(STRETCH_FRAMES, self.config.leans_on_draft, on_step)
        heard = scene.hear(scene.audio)
        return self(scene.portrait, heard, guidance, seed=seed, on_step=on_step, **options)

    def __call__(
        self,
        portrait: Portrait,
        features: AudioFeatures,
        guidance: Iterable[GuidanceMaps],
        *,
        seed: int = 0,
        num_inference_steps: int | None = None,
        guidance_scale: float | GuidanceScale | None = None,
        guidance_interval: tuple[float, float] | None = None,
        batched_guidance: bool = False,
        on_step: OnStep | None = None,
    ) -> Iterator[Frame]:
        """Films `guidance`, one clip at a time; frames come as soon as their clip is done.

        Args:
            portrait: the person.
            features: the film's sound, one row per frame.
            guidance: consecutive stretches of maps of the portrait's size, of any lengths; the film
                has as many frames as they have together.
            seed: the same seed gives the same bytes on the same machine.
            num_inference_steps, guidance_scale, guidance_interval: `None` takes the checkpoint's.
            batched_guidance: the evaluations of one step run as one batch, which is faster on a GPU
                that has room for it; else one after the other.
            on_step: hears of every denoising step; raising `Cancelled` stops the film there.

        Raises:
            InputError: the inputs do not fit each other or the checkpoint.
        """
        sampling = Sampling.of(
            self.config, num_inference_steps, guidance_scale, guidance_interval, batched_guidance
        )
        check_inputs(portrait, features, self.audio_projection.config.audio_dim)
        return self._film(portrait, features, guidance, seed, sampling, on_step)

    @torch.no_grad()
    def _film(
        self,
        portrait: Portrait,
        features: AudioFeatures,
        guidance: Iterable[GuidanceMaps],
        seed: int,
        sampling: Sampling,
        on_step: OnStep | None,
    ) -> Iterator[Frame]:
        # 1. The portrait is looked at once
        size = self.working_size(*portrait.image.shape[:2])
        reference = self.reference_net.extract(self.encode(self.pictures([portrait.image], size)))
        # 2. Noise comes from the CPU, so that a seed means the same on every device
        generator = torch.Generator("cpu").manual_seed(seed)
        channels = self.vae.config.latent_channels
        shape = (1, channels, self.clip_length, *(side // self.latent_stride for side in size))
        common = torch.randn((*shape[:2], 1, *shape[3:]), generator=generator)
        total = math.ceil(features.num_frames / self.clip_length) * sampling.steps
        done = itertools.count(1)

        def report() -> None:
            if on_step is not None:
                on_step(Progress("film", next(done), total))

        # 3. The next clip's guidance is drawn while this one is denoised
        stretches = self._stretches(guidance, portrait, features)
        stretches = ahead(stretches, math.ceil(self.clip_length / STRETCH_FRAMES))
        # 4. Clip by clip, the last frames of one are the past of the next
        past: list[Frame] = []
        with closing(stretches):
            for clip in clips(stretches, self.clip_length):
                noise = self.blend_noise(torch.randn(shape, generator=generator), common)
                conditions = self._conditions(clip, features, reference, past, size)
                noise = noise.to(self._execution_device)
                latents = sampling.run(self.predict, self.scheduler, noise, conditions, report)
                frames = []
                for index, latent in enumerate(latents[0].transpose(0, 1)[: clip.keep]):
                    decoded = self.decode(latent[None])[0]
                    frames.append(self.compose(decoded, clip.guidance, index))
                    yield frames[-1]
                past = frames[-self.config.motion_frames :]

    def _stretches(self, guidance, portrait: Portrait, features) -> Iterator[Stretch]:
        size = self.working_size(*portrait.image.shape[:2])
        start, leans = 0, self.config.leans_on_draft
        for maps in pieces(guidance, STRETCH_FRAMES):
            check_guidance(maps, start, portrait, features, leans)
            start += maps.num_frames
            yield Stretch.of(maps, self.maps(maps, size), size, leans)

    def _conditions(
        self,
        clip: Clip[Stretch],
        features: AudioFeatures,
        reference: Features,
        past: list[Frame],
        size: tuple[int, int],
    ) -> Conditions:
        seen, radius = clip.guidance, self.audio_projection.config.radius
        small = seen.small_draft
        draft = None if small is None else to_unit(torch.from_numpy(small))[None] * 2 - 1
        return self.condition(
            torch.from_numpy(seen.maps).transpose(0, 1)[None],
            torch.from_numpy(seen.confidence.copy())[None],
            torch.from_numpy(audio_windows(features, clip.start, self.clip_length, radius))[None],
            reference,
            past=self.pictures(past, size)[None] if past else None,
            draft=draft,
        )

    # ---- the parts that training uses too ------------------------------------------------------

    def blend_noise(self, own: Tensor, common: Tensor) -> Tensor:
        """What a film starts from: noise of which `shared_noise` is the same in every frame."""
        share = self.config.shared_noise
        noise = math.sqrt(share) * common + math.sqrt(1 - share) * own
        return self.config.prior_noise * noise

    def condition(
        self,
        maps: Tensor,
        confidence: Tensor,
        heard: Tensor,
        reference: Features | None,
        past: Tensor | None = None,
        draft: Tensor | None = None,
    ) -> Conditions:
        """Encodes what a clip is conditioned on.

        Args:
            maps: (B, K, F, H, W) in [0, 1] or uint8: MANO, keypoints and a leant-on draft's change.
            confidence: (B, F, 2).
            heard: (B, F, 2 radius + 1, D) audio features about each frame.
            reference: the portrait's features.
            past: (B, M, 3, H, W) in [-1, 1]: the motion frames.
            draft: (B, F, 3, H, W) in [-1, 1].
        """
        motion = None
        if past is not None:
            seen = self.reference_net.extract(self.encode(past.flatten(0, 1)))
            motion = {layer: x.unflatten(0, past.shape[:2]) for layer, x in seen.items()}
        if draft is not None:
            latents = self.encode(draft.flatten(0, 1))
            draft = latents.unflatten(0, draft.shape[:2]).transpose(1, 2)
        guidance = self.guidance_encoder(maps, confidence)
        tokens = self.audio_projection(heard.to(self._execution_device, self.unet.dtype))
        return Conditions(guidance, tokens, reference, motion, draft)

    def predict(self, noisy: Tensor, timestep: Tensor, conditions: Conditions) -> Tensor:
        """One evaluation of the denoiser: noisy latents (B, C, F, h, w) to what the scheduler's
        `prediction_type` says."""
        if conditions.draft is not None:
            noisy = torch.cat([noisy, conditions.draft.to(noisy.dtype)], dim=1)
        predicted = self.unet.denoise(
            noisy.to(self.unet.dtype),
            timestep,
            conditions.audio_tokens,
            conditions.guidance,
            conditions.reference,
            conditions.motion,
        )
        return predicted.to(noisy.dtype)

    def denoise(
        self,
        latents: Tensor,
        conditions: Conditions,
        steps: int,
        scale: GuidanceScale,
        after_step: Callable[[], None] = lambda: None,
    ) -> Tensor:
        """Noise (B, C, F, h, w) to clean latents in `steps` steps, guided in all of them."""
        sampling = Sampling(steps, scale)
        return sampling.run(self.predict, self.scheduler, latents, conditions, after_step)

    def maps(self, guidance: GuidanceMaps, size: tuple[int, int]) -> Tensor:
        """Guidance as the encoder takes it, (1, K, F, *size); 7 channels with a draft's change."""
        names = ["mano", "keypoints"] + ["change"] * self.config.leans_on_draft
        shrunk = [shrink(getattr(guidance, name), size) for name in names]
        return torch.cat(shrunk, dim=1).transpose(0, 1)[None]
