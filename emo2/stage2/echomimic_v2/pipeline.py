"""EchoMimicV2 (arXiv 2411.10061) as a Stage 2: its published weights, our blocks, our hands.

    portrait's square -> VAE -> ReferenceNet, once -> features by layer ------.
    sound ------------> Whisper-tiny, all layers ---> 50 tokens a frame ------+-> BackboneUNet, DDIM
    hands ------------> skeletons ------------------> PoseEncoder ------------'   -> VAE -> frames

Two modes. `exact` is the original's sampling: windows on a ring, the whole film step by step, plain
averages, colours cut off. `better`, the default, has windows from the first frame to the last that
fade into one another, sends frames while later ones are still noise (`sampling.wave`), rounds, and
returns the portrait's frame instead of the square. The networks are the same to the last digit.

The published weights are fetched and converted with `python -m emo2 weights get echomimic_v2`.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from diffusers import AutoencoderKL, DDIMScheduler, DiffusionPipeline
from torch import Tensor

from emo2.errors import MissingCheckpoint
from emo2.features.whisper import SpeechTokens, WhisperListener
from emo2.motion.formats.echomimic_person import person_of
from emo2.stage2.echomimic_v2.inputs import check_room, check_settings
from emo2.stage2.echomimic_v2.performance import Frameback, Hands
from emo2.stage2.echomimic_v2.pose_encoder import PoseEncoder
from emo2.stage2.echomimic_v2.pose_maps import draw_hands
from emo2.stage2.echomimic_v2.sampling import original_scheduler, wave, whole
from emo2.stage2.echomimic_v2.state_dicts import StateDict, build, configs, merged, plain
from emo2.stage2.echomimic_v2.windows import Window, Windows
from emo2.stage2.loading import check_parts
from emo2.stage2.preflight import FilmPlan
from emo2.stage2.processors import Features
from emo2.stage2.reference import ReferenceNet
from emo2.stage2.scene import Scene
from emo2.stage2.unet import BackboneUNet
from emo2.types import Frame, OnStep, Progress

NETWORKS = (ReferenceNet, BackboneUNet, PoseEncoder, AutoencoderKL)
REMEDY = "python -m emo2 weights get echomimic_v2 fetches and converts it."


class EchoMimicV2(DiffusionPipeline):
    """The parts, and how a weight set wants them used.

    Args:
        reference_net, unet, pose_encoder, vae, scheduler: the networks; `vae` may be None where
            only noise is predicted.
        side_px: side of the square that the networks see.
        num_inference_steps, guidance_scale: 30 and 2.5; the accelerated weights: 6 and 1.0.
        mode: "better" or "exact".
        noise_limit: the first noise is cut off at so many standard deviations.
        context_frames, context_overlap, context_shift: see `Windows`.
    """

    model_cpu_offload_seq = "reference_net->pose_encoder->unet->vae"
    _optional_components = ["vae"]  # noqa: RUF012  diffusers reads it from the class

    def __init__(
        self,
        reference_net: ReferenceNet,
        unet: BackboneUNet,
        pose_encoder: PoseEncoder,
        vae: AutoencoderKL | None,
        scheduler: DDIMScheduler,
        side_px: int = 768,
        num_inference_steps: int = 30,
        guidance_scale: float = 2.5,
        mode: str = "better",
        noise_limit: float = 1.5,
        context_frames: int = 12,
        context_overlap: int = 3,
        context_shift: int = 3,
    ) -> None:
        super().__init__()
        self.register_modules(
            reference_net=reference_net,
            unet=unet,
            pose_encoder=pose_encoder,
            vae=vae,
            scheduler=scheduler,
        )
        self.register_to_config(
            side_px=side_px,
            num_inference_steps=num_inference_steps,
            guidance_scale=guidance_scale,
            mode=mode,
            noise_limit=noise_limit,
            context_frames=context_frames,
            context_overlap=context_overlap,
            context_shift=context_shift,
        )
        self.windows = Windows(context_frames, context_overlap, context_shift)
        self.listener: WhisperListener | None = None

    @classmethod
    def from_state_dicts(
        cls,
        reference: StateDict,
        denoiser: StateDict,
        motion: StateDict | None,
        pose: StateDict,
        *,
        unet_config: Mapping[str, Any] | None = None,
        vae: AutoencoderKL | None = None,
    ) -> EchoMimicV2:
        """The networks from the original's four state dicts, of any width and type.

        Args:
            reference, denoiser, motion, pose: `reference_unet.pth`, `denoising_unet.pth`,
                `motion_module.pth`, `pose_encoder.pth`, loaded. Names may begin with `module.`;
                position codes are ignored; `denoiser` may hold the temporal modules, too, and
                `motion` be None then. Their tensors are used, not copied.
            unet_config: `norm_num_groups`, `attention_head_dim` (the number of heads) and
                `motion_module_kwargs` where they are not the published 32, 8 and 8. What shapes
                tell is read off them.

        Raises:
            MissingCheckpoint: tensors are missing, unexpected or of the wrong shape.
            InputError: `unet_config` does not fit.
        """
        given = configs(denoiser, motion, pose, unet_config)
        both = "denoiser and motion"
        return cls(
            build(ReferenceNet, given[ReferenceNet], plain(reference), "reference"),
            build(BackboneUNet, given[BackboneUNet], merged(denoiser, motion), both),
            build(PoseEncoder, given[PoseEncoder], plain(pose), "pose"),
            vae,
            original_scheduler(),
        )

    @classmethod
    def from_pretrained(
        cls, folder: str | Path, *, dtype: torch.dtype = torch.float32, **options
    ) -> EchoMimicV2:
        """Loads a converted folder: every tensor, or an error that names the file."""
        folder = Path(folder)
        index = folder / "model_index.json"
        if not index.is_file():
            rule = "EchoMimicV2 needs a folder with model_index.json"
            raise MissingCheckpoint("checkpoint", rule, folder, REMEDY)
        check_parts(folder, NETWORKS)
        pipe = super().from_pretrained(folder, use_safetensors=True, dtype=dtype, **options)
        pipe.listener = WhisperListener.from_pretrained(folder / "whisper")
        return pipe

    @staticmethod
    def dtype_on(device: torch.device) -> torch.dtype:
        """float16 on cards, as the original; float32 elsewhere."""
        return torch.float32 if device.type == "cpu" else torch.float16

    def plan(self, size: tuple[int, int], fps: float, offload: str = "none") -> FilmPlan:
        """How a film of `size` (H, W) will be made and what that takes. Raises `InputError` where
        it does not fit."""
        return check_room(self, size, offload, self.unet.dtype)

    def save_pretrained(self, folder: str | Path, **options) -> None:
        """Write the folder that `from_pretrained` reads."""
        super().save_pretrained(folder, **options)
        if self.listener is not None:
            self.listener.save_pretrained(Path(folder) / "whisper")

    # ---- one evaluation ------------------------------------------------------------------------

    @torch.no_grad()
    def predict_noise(
        self,
        latents: Tensor,
        timestep: int | Tensor,
        reference_latents: Tensor,
        pose_maps: Tensor,
        audio_tokens: Tensor,
        guidance_scale: float = 1.0,
    ) -> Tensor:
        """What the original network returns for one window.

        Args:
            latents: (1, 4, T, h, w), noisy.
            timestep: 0 to 999.
            reference_latents: (1, 4, h, w) of the portrait, without noise.
            pose_maps: (1, 3, T, H, W) in [0, 1], H = 8 h.
            audio_tokens: (1, T, 50, 384).
            guidance_scale: above 1: e(nothing) + scale x (e(all) - e(nothing)), where `nothing` is
                without the portrait, with zeros for tokens and for pose features. Else e(all).

        Returns:
            (1, 4, T, h, w), of the type of `latents`. Networks narrower than `latents` are widened
            to their type first, so that float64 in is float64 throughout.
        """
        given, dtype = latents.dtype, torch.promote_types(self.unet.dtype, latents.dtype)
        if dtype != self.unet.dtype:
            self.to(dtype)
        latents, reference_latents, pose_maps, tokens = (
            tensor.to(self._execution_device, dtype)
            for tensor in (latents, reference_latents, pose_maps, audio_tokens)
        )
        reference = self.reference_net.extract(reference_latents)
        guidance = self.pose_encoder.clip(pose_maps)
        predicted = self.predict(latents, timestep, reference, guidance, tokens[0], guidance_scale)
        return predicted.to(given)

    def predict(
        self,
        latents: Tensor,
        timestep: int | Tensor,
        reference: Features,
        guidance: Tensor,
        tokens: Tensor,
        scale: float,
    ) -> Tensor:
        """The same from what is encoded already: features by layer, pose features (1, E, T, h, w),
        tokens (T, K, D)."""
        timestep = torch.as_tensor(timestep, device=latents.device)
        told = self.unet.denoise(latents, timestep, tokens, guidance, reference)
        if scale <= 1:
            return told
        nothing = torch.zeros_like(tokens), torch.zeros_like(guidance)
        untold = self.unet.denoise(latents, timestep, *nothing)
        return untold + scale * (told - untold)

    # ---- a film --------------------------------------------------------------------------------

    def film(
        self,
        scene: Scene,
        *,
        seed: int = 0,
        on_step: OnStep | None = None,
        mode: str | None = None,
        **options,
    ) -> Iterator[Frame]:
        """A scene's frames, of the portrait's size; in `exact` mode the square ones. `options` as
        below."""
        person = person_of(scene.portrait)
        hands = Hands.of(scene.motion, scene.hand_model, person)
        tokens = self.listener(scene.audio, scene.motion.fps)
        mode = mode or self.config.mode
        squares = self(
            person.reference, tokens, hands, seed=seed, on_step=on_step, mode=mode, **options
        )
        if mode == "exact":
            return squares
        return map(Frameback(scene.portrait.image, person), squares)

    def __call__(
        self,
        reference: Frame,
        tokens: SpeechTokens,
        hands: Hands,
        *,
        seed: int = 0,
        num_inference_steps: int | None = None,
        guidance_scale: float | None = None,
        mode: str | None = None,
        on_step: OnStep | None = None,
    ) -> Iterator[Frame]:
        """Square frames (S, S, 3), as many as `hands` has.

        Args:
            reference: (S', S', 3) the portrait's square.
            tokens: what is heard about each frame.
            hands: as shares of that square.
            seed: the same seed gives the same bytes on the same machine.
            num_inference_steps, guidance_scale, mode: `None` takes the checkpoint's.
            on_step: hears of every window of every step; raising `Cancelled` stops there.

        Raises:
            InputError: a setting is out of range.
        """
        steps = (
            self.config.num_inference_steps if num_inference_steps is None else num_inference_steps
        )
        scale = self.config.guidance_scale if guidance_scale is None else guidance_scale
        mode = self.config.mode if mode is None else mode
        check_settings(steps, scale, mode)
        return self._film(reference, tokens, hands, seed, steps, scale, mode == "exact", on_step)

    @torch.no_grad()
    def _film(
        self,
        reference: Frame,
        tokens: SpeechTokens,
        hands: Hands,
        seed: int,
        steps: int,
        scale: float,
        exact: bool,
        on_step: OnStep | None,
    ) -> Iterator[Frame]:
        # 1. The portrait is looked at once
        features = self.reference_net.extract(self.encode(reference))
        # 2. Noise comes from the CPU, so that a seed means the same on every device
        generator = torch.Generator("cpu").manual_seed(seed)
        scheduler = DDIMScheduler.from_config(self.scheduler.config)  # ours alone: it keeps state
        scheduler.set_timesteps(steps, device=self._execution_device)
        schedule = self.windows.closed if exact else self.windows.opened
        total = sum(len(schedule(step, hands.num_frames)) for step in range(steps))
        done = itertools.count(1)

        def noise(frames: int = 1) -> Tensor:
            side = self.config.side_px // self.latent_stride
            shape = (1, self.unet.config.in_channels, frames, side, side)
            dtype = self.unet.dtype if exact else torch.float32
            drawn = torch.randn(shape, generator=generator, dtype=dtype)
            limit = self.config.noise_limit
            return drawn.clamp(-limit, limit).to(self._execution_device, self.unet.dtype)

        # 3. Every window sees its frames' hands and sound
        def predict(latents: Tensor, timestep: Tensor, window: Window) -> Tensor:
            guidance = self.pose_encoder.clip(self.pose_maps(hands, window))
            heard = tokens(window).to(self._execution_device, self.unet.dtype)
            predicted = self.predict(latents, timestep, features, guidance, heard, scale)
            if on_step is not None:
                on_step(Progress("film", next(done), total))
            return predicted

        # 4. The film at once, or frame by frame
        if exact:
            latents = whole(noise(hands.num_frames), predict, scheduler, schedule)
            frames = latents[0].transpose(0, 1).split(1)
        else:
            frames = wave(
                lambda: noise()[:, :, 0],
                hands.num_frames,
                predict,
                scheduler,
                schedule,
                self.windows.weights,
            )
        for frame in frames:
            yield self.picture(frame, rounded=not exact)

    @property
    def latent_stride(self) -> int:
        """Pixels to a latent along each side."""
        return 2 ** (len(self.vae.config.block_out_channels) - 1)

    def encode(self, reference: Frame) -> Tensor:
        """The portrait's square, resized to ours, to latents (1, 4, h, w): the posterior's mean."""
        side = self.config.side_px
        if reference.shape[0] != side:
            reference = cv2.resize(reference, (side, side), interpolation=cv2.INTER_AREA)
        picture = torch.from_numpy(reference.astype(np.float32) / 255) * 2 - 1
        picture = picture.permute(2, 0, 1)[None].to(self._execution_device, self.vae.dtype)
        return self.vae.encode(picture).latent_dist.mean * self.vae.config.scaling_factor

    def pose_maps(self, hands: Hands, window: Window) -> Tensor:
        """(1, 3, F, S, S) in [0, 1]."""
        side = self.config.side_px
        drawn = [draw_hands(hands.points[n], hands.scores[n], side, side) for n in window]
        maps = torch.from_numpy(np.stack(drawn)).to(self._execution_device)
        return maps.permute(3, 0, 1, 2)[None].to(self.unet.dtype) / 255

    def picture(self, latents: Tensor, *, rounded: bool) -> Frame:
        """One frame's latents (1, 4, h, w) to (S, S, 3); the original cuts colours off where we
        round them."""
        decoded = self.vae.decode(latents / self.vae.config.scaling_factor).sample[0]
        colours = (decoded / 2 + 0.5).clamp(0, 1).float() * 255
        colours = colours.round() if rounded else colours
        return colours.byte().permute(1, 2, 0).cpu().numpy()
