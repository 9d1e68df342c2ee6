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
import json
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL, AutoencoderTiny, DDIMScheduler, DiffusionPipeline
from torch import Tensor

from emo2.errors import MissingCheckpoint
from emo2.stage2.conditions import Conditions
from emo2.stage2.guidance_encoder import AudioProjection, GuidanceEncoder
from emo2.stage2.guidance_scale import GuidanceScale
from emo2.stage2.inputs import SIZE_MULTIPLE_PX, check_clip, check_inputs
from emo2.stage2.latents import LinearAutoencoder, mean_latents
from emo2.stage2.loading import check_strictly
from emo2.stage2.processors import Features
from emo2.stage2.reference import ReferenceNet
from emo2.stage2.scene import Scene
from emo2.stage2.unet import BackboneUNet
from emo2.stage2.windows import audio_windows, clips
from emo2.types import AudioFeatures, Frame, GuidanceMaps, OnStep, Portrait, Progress

AUTOENCODERS = (LinearAutoencoder, AutoencoderKL, AutoencoderTiny)
NETWORKS = (ReferenceNet, BackboneUNet, GuidanceEncoder, AudioProjection, *AUTOENCODERS)


class Stage2Pipeline(DiffusionPipeline):
    """The parts of Stage 2 and how a checkpoint wants them used.

    Args:
        reference_net, unet, guidance_encoder, audio_projection, vae, scheduler: the parts.
        clip_length: frames denoised together.
        motion_frames: finished frames carried into the next clip.
        num_inference_steps: default number of denoising steps.
        guidance_scale: default scales of (guidance, reference, audio).
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
            long_side_px=long_side_px,
            leans_on_draft=leans_on_draft,
            residual_gain=residual_gain,
            residual_strength=residual_strength,
            residual_limit=residual_limit,
            shared_noise=shared_noise,
            prior_noise=prior_noise,
        )

    @classmethod
    def from_pretrained(cls, folder: str | Path, **options) -> Stage2Pipeline:
        """Loads a checkpoint folder: every tensor, or an error that names the file."""
        folder = Path(folder)
        index = folder / "model_index.json"
        if not index.is_file():
            raise MissingCheckpoint(
                "checkpoint",
                "Stage 2 needs a folder with model_index.json",
                folder,
                "checkpoints/demo/video is one; `python -m emo2 train video` makes another.",
            )
        by_name = {network.__name__: network for network in NETWORKS}
        for part, described in json.loads(index.read_text()).items():
            if isinstance(described, list) and described[-1] in by_name:
                check_strictly(folder / part, by_name[described[-1]])
        return super().from_pretrained(folder, use_safetensors=True, **options)

    @property
    def clip_length(self) -> int:
        """Frames that are denoised together."""
        return self.config.clip_length

    def film(
        self, scene: Scene, *, seed: int = 0, on_step: OnStep | None = None, **options
    ) -> Iterator[Frame]:
        """A scene's frames: heard by the weight set's own ears, guided by maps. `options` as
        below."""
        guidance = scene.guidance(self.clip_length, self.config.leans_on_draft, on_step)
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
        on_step: OnStep | None = None,
    ) -> Iterator[Frame]:
        """Films `guidance`, one clip at a time; frames come as soon as their clip is done.

        Args:
            portrait: the person.
            features: the film's sound, one row per frame.
            guidance: consecutive stretches of maps of the portrait's size, of any lengths; the film
                has as many frames as they have together.
            seed: the same seed gives the same bytes on the same machine.
            num_inference_steps, guidance_scale: `None` takes the checkpoint's.
            on_step: hears of every denoising step; raising `Cancelled` stops the film there.

        Raises:
            InputError: the inputs do not fit each other or the checkpoint.
        """
        steps = num_inference_steps
        steps = self.config.num_inference_steps if steps is None else steps
        scale = GuidanceScale(*self.config.guidance_scale)
        scale = scale if guidance_scale is None else GuidanceScale.of(guidance_scale)
        check_inputs(portrait, features, steps, self.audio_projection.config.audio_dim)
        return self._film(portrait, features, guidance, seed, steps, scale, on_step)

    @torch.no_grad()
    def _film(
        self,
        portrait: Portrait,
        features: AudioFeatures,
        guidance: Iterable[GuidanceMaps],
        seed: int,
        steps: int,
        scale: GuidanceScale,
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
        # 3. Clip by clip, the last frames of one are the past of the next
        total = math.ceil(features.num_frames / self.clip_length) * steps
        done = itertools.count(1)

        def report() -> None:
            if on_step is not None:
                on_step(Progress("film", next(done), total))

        past: list[Frame] = []
        for clip in clips(guidance, self.clip_length):
            check_clip(clip, portrait, features, self.config.leans_on_draft)
            noise = self.blend_noise(torch.randn(shape, generator=generator), common)
            radius = self.audio_projection.config.radius
            heard = audio_windows(features, clip.start, self.clip_length, radius)
            conditions = self.condition(
                self.maps(clip.guidance, size),
                torch.from_numpy(clip.guidance.confidence.copy())[None],
                torch.from_numpy(heard)[None],
                reference,
                past=self.pictures(past, size)[None] if past else None,
                draft=self._draft(clip.guidance, size),
            )
            latents = self.denoise(noise.to(self.device), conditions, steps, scale, report)
            decoded = self.decode(latents[0].transpose(0, 1))
            frames = [self.compose(decoded[i], clip.guidance, i) for i in range(clip.keep)]
            yield from frames
            past = frames[-self.config.motion_frames :]

    # ---- the parts that training uses too ------------------------------------------------------

    def working_size(self, height_px: int, width_px: int) -> tuple[int, int]:
        """The size (H, W) the network works at: multiples of 16 px, nearly the picture's shape."""
        if self.config.long_side_px is None:
            return height_px, width_px
        shrink = self.config.long_side_px / max(height_px, width_px)
        height, width = (
            max(1, round(side * shrink / SIZE_MULTIPLE_PX)) * SIZE_MULTIPLE_PX
            for side in (height_px, width_px)
        )
        return height, width

    @property
    def latent_stride(self) -> int:
        """Pixels to a latent along each side."""
        if isinstance(self.vae, LinearAutoencoder):
            return self.vae.config.patch_size
        return 2 ** (len(self.vae.config.block_out_channels) - 1)

    def encode(self, pictures: Tensor, chunk: int = 4) -> Tensor:
        """Pictures (N, 3, H, W) in [-1, 1], or differences of such, to latents (N, C, h, w);
        `chunk` at a time so that memory stays small."""
        parts = [mean_latents(self.vae.encode(part)) for part in pictures.split(chunk)]
        latents = torch.cat(parts) * self.vae.config.scaling_factor
        return latents if self._latents_std is None else latents / self._latents_std

    def decode(self, latents: Tensor, chunk: int = 4) -> Tensor:
        """The inverse, `chunk` pictures at a time so that memory stays small."""
        if self._latents_std is not None:
            latents = latents * self._latents_std
        latents = latents / self.vae.config.scaling_factor
        return torch.cat([self.vae.decode(part).sample for part in latents.split(chunk)])

    @property
    def _latents_std(self) -> Tensor | None:
        std = self.vae.config.get("latents_std")
        return None if std is None else torch.tensor(std, device=self.device).view(-1, 1, 1)

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
            maps: (B, K, F, H, W) in [0, 1]: MANO, keypoints and, leaning on a draft, change.
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
        guidance = self.guidance_encoder(maps.to(self.device), confidence.to(self.device))
        tokens = self.audio_projection(heard.to(self.device))
        return Conditions(guidance, tokens, reference, motion, draft)

    def predict(self, noisy: Tensor, timestep: Tensor, conditions: Conditions) -> Tensor:
        """One evaluation of the denoiser: noisy latents (B, C, F, h, w) to what the scheduler's
        `prediction_type` says."""
        if conditions.draft is not None:
            noisy = torch.cat([noisy, conditions.draft], dim=1)
        return self.unet.denoise(
            noisy,
            timestep,
            conditions.audio_tokens,
            conditions.guidance,
            conditions.reference,
            conditions.motion,
        )

    def denoise(
        self,
        latents: Tensor,
        conditions: Conditions,
        steps: int,
        scale: GuidanceScale,
        after_step: Callable[[], None] = lambda: None,
    ) -> Tensor:
        """Noise (B, C, F, h, w) to clean latents in `steps` evaluations; those of classifier-free
        guidance run one after the other, which needs the least memory."""
        scheduler = DDIMScheduler.from_config(self.scheduler.config)  # ours alone: it keeps state
        scheduler.set_timesteps(steps, device=latents.device)
        terms = [(term.weight, conditions.only(term)) for term in scale.terms()]
        for timestep in scheduler.timesteps:
            prediction = sum(w * self.predict(latents, timestep, given) for w, given in terms)
            latents = scheduler.step(prediction, timestep, latents).prev_sample
            after_step()
        return latents

    def maps(self, guidance: GuidanceMaps, size: tuple[int, int]) -> Tensor:
        """Guidance as the encoder takes it, (1, K, F, *size); 7 channels with a draft's change."""
        names = ["mano", "keypoints"] + ["change"] * self.config.leans_on_draft
        shrunk = [shrink(getattr(guidance, name), size) for name in names]
        return torch.cat(shrunk, dim=1).transpose(0, 1)[None]

    def pictures(self, frames: Sequence[Frame], size: tuple[int, int]) -> Tensor:
        """Frames (H, W, 3) uint8 to (N, 3, *size) in [-1, 1] on the pipeline's device."""
        planes = np.stack(frames).transpose(0, 3, 1, 2).astype(np.float32) / 127.5 - 1
        return shrink(planes, size).to(self.device)

    def compose(self, decoded: Tensor, guidance: GuidanceMaps, index: int) -> Frame:
        """Frame `index` of the clip from what was decoded for it, (3, *working size)."""
        picture = F.interpolate(
            decoded[None].float().cpu(), guidance.mano.shape[-2:], mode="bilinear", antialias=True
        )[0]
        if self.config.leans_on_draft:
            residual = self.residual(picture)
            change = torch.from_numpy(guidance.change[index].copy())
            picture = torch.from_numpy(guidance.draft[index].copy()) + change * residual
        else:
            picture = (picture + 1) / 2
        return picture.mul(255).round().clamp(0, 255).byte().permute(1, 2, 0).numpy()

    def residual(self, decoded: Tensor) -> Tensor:
        """What was decoded, as a change of pixels in [0, 1]: of the checkpoint's strength and
        limited."""
        limit = self.config.residual_limit
        share = self.config.residual_strength / (2 * self.config.residual_gain)
        return (decoded * share).clamp(-limit, limit)

    def _draft(self, guidance: GuidanceMaps, size: tuple[int, int]) -> Tensor | None:
        if not self.config.leans_on_draft:
            return None
        return (shrink(guidance.draft, size) * 2 - 1).to(self.device)[None]


def shrink(planes: np.ndarray, size: tuple[int, int]) -> Tensor:
    """(N, C, H, W) to (N, C, *size) by averaging areas."""
    return F.interpolate(torch.from_numpy(planes.copy()), size, mode="area")
