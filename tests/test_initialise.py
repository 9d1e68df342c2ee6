"""Checkpoints of others into our networks: every tensor lands where it should, or a reason says why
not. True shapes on the meta device; values and forward passes at toy width."""

from __future__ import annotations

import math
import re
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL, AutoencoderTiny, MotionAdapter, UNet2DConditionModel
from diffusers.loaders.single_file_utils import DIFFUSERS_TO_LDM_MAPPING
from safetensors.torch import save_file
from torch import Tensor
from transformers import Wav2Vec2Config, Wav2Vec2FeatureExtractor, Wav2Vec2ForCTC

from emo2.errors import InputError
from emo2.stage2.pipeline import Stage2Pipeline
from emo2.training.autoencoders import open_vae
from emo2.training.initialise import (
    backbone_from_sd,
    initialise,
    reference_from_sd,
    sd_tensors,
    temporal_from_animatediff,
)
from emo2.training.listening import open_encoder
from emo2.training.video_model import FULL, VideoSize, build_networks, build_pipeline

WIDTHS = (8, 16, 16, 16)
TOY = VideoSize(
    block_out_channels=WIDTHS,
    levels=(True, True, True, False),
    layers_per_block=2,
    norm_num_groups=4,
    attention_heads=2,
    cross_attention_dim=12,
    guidance_channels=4,
    guidance_widths=(4, 4, 4, 4),
    motion_frames=3,
    long_side_px=None,
    leans_on_draft=False,
)
THEIRS = {
    ".attn1.": ".attention_blocks.0.",
    ".attn2.": ".attention_blocks.1.",
    ".norm1.": ".norms.0.",
    ".norm2.": ".norms.1.",
    ".norm3.": ".ff_norm.",
}


def stock_unet(widths=WIDTHS, groups=4, heads=2, text=12) -> UNet2DConditionModel:
    """Stable Diffusion 1.5's class and layout."""
    return UNet2DConditionModel(
        block_out_channels=widths,
        norm_num_groups=groups,
        attention_head_dim=heads,
        cross_attention_dim=text,
    )


def animatediff_of(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """A motion adapter's tensors by the names of AnimateDiff's own files."""
    out = {}
    for name, tensor in tensors.items():
        name = re.sub(r"(motion_modules\.\d+)\.", r"\1.temporal_transformer.", name)
        for ours, theirs in THEIRS.items():
            name = name.replace(ours, theirs)
        if name.endswith(".pos_embed.pe"):  # there, each of the two attention layers has it
            for n in range(2):
                out[name.replace("pos_embed", f"attention_blocks.{n}.pos_encoder")] = tensor.clone()
        else:
            out[name] = tensor
    return out


def adapter_of(widths=WIDTHS, groups=4, heads=2, frames=32, middle=True) -> MotionAdapter:
    return MotionAdapter(
        widths,
        motion_norm_num_groups=groups,
        motion_num_attention_heads=heads,
        motion_max_seq_length=frames,
        use_motion_mid_block=middle,
    )


def full(kind: str, **options):
    with torch.device("meta"):
        if kind == "unet":
            return UNet2DConditionModel(cross_attention_dim=768, attention_head_dim=8)
        if kind == "motion":
            return adapter_of((320, 640, 1280, 1280), 32, 8, **options)
        return build_networks(replace(FULL, **options), 4, 768)


# ---- true shapes ---------------------------------------------------------------------------------


def test_true_shapes_of_stable_diffusion():
    theirs = full("unet").state_dict()
    assert len(theirs) == 686
    reference, backbone, *_ = full("ours")
    into_reference = reference_from_sd(reference, theirs, "sd")
    assert len(into_reference.landed) == len(reference.state_dict()) == 570
    assert not into_reference.fresh
    assert len(into_reference.unused) == 686 - 570 == 116
    into_backbone = backbone_from_sd(backbone, theirs, "sd")
    assert len(into_backbone.landed) == 686
    assert not into_backbone.unused
    assert all(".attn1.processor." in name for name in into_backbone.fresh)
    assert len(into_backbone.fresh) == 16 * 3  # two projections and a bias a layer
    spatial = [name for name in backbone.state_dict() if ".motion_modules." not in name]
    assert {*into_backbone.landed, *into_backbone.fresh} == set(spatial)
    assert "48 fresh: motion frames' own projections" in str(into_backbone)


def test_audio_of_another_width_starts_fresh_and_is_named():
    theirs = full("unet").state_dict()
    _, backbone, *_ = full("ours", cross_attention_dim=384)
    landing = backbone_from_sd(backbone, theirs, "sd")
    audio = [name for name in landing.fresh if ".attn2.to_" in name]
    assert len(audio) == 32
    assert set(audio) == set(landing.unused)
    assert {landing.fresh[name] for name in audio} == {
        "audio tokens are of another width than text"
    }
    assert len(landing.landed) == 686 - 32


@pytest.mark.parametrize(("frames", "middle", "learned"), [(24, False, 520), (32, True, 546)])
def test_true_shapes_of_animatediff(frames, middle, learned):
    """v1 (24 frames) and v3 have no module in the middle, v2 has."""
    theirs = animatediff_of(full("motion", frames=frames, middle=middle).state_dict())
    assert "down_blocks.0.motion_modules.0.temporal_transformer.norm.weight" in theirs
    _, backbone, *_ = full("ours")
    landing = temporal_from_animatediff(backbone, theirs, "mm")
    assert len(landing.landed) == learned
    assert len(landing.unused) == len(theirs) - learned == learned // 26 * 2
    fresh = {name for name in landing.fresh if not name.endswith(".pe")}
    assert len(fresh) == (0 if middle else 26)
    assert all(name.startswith("mid_block.motion_modules.0.") for name in fresh)
    temporal = {name for name in backbone.state_dict() if ".motion_modules." in name}
    assert {*landing.landed, *landing.fresh} == temporal


# ---- values --------------------------------------------------------------------------------------


def tagged(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Every tensor filled with a number of its own; positions stay."""
    return {
        name: tensor if ".pos_embed." in name else torch.full_like(tensor, 1.0 + number)
        for number, (name, tensor) in enumerate(tensors.items())
    }


def test_each_value_is_where_it_belongs():
    torch.manual_seed(0)
    theirs = tagged(stock_unet().state_dict())
    motion = tagged(adapter_of().state_dict())
    reference, backbone, *_ = build_networks(TOY, 4, 6)
    before = {name: tensor.clone() for name, tensor in backbone.state_dict().items()}
    reference_from_sd(reference, theirs, "sd")
    backbone_from_sd(backbone, theirs, "sd")
    temporal_from_animatediff(backbone, animatediff_of(motion), "mm")
    for name, tensor in reference.state_dict().items():
        assert torch.equal(tensor, theirs[name]), name
    for name, tensor in backbone.state_dict().items():
        if name == "conv_in.weight":
            assert torch.equal(tensor[:, :4], theirs[name])
            assert torch.equal(tensor[:, 4:], before[name][:, 4:])
        elif ".processor." in name or name.endswith(".pe"):
            assert torch.equal(tensor, before[name]), name
        else:
            source = motion if ".motion_modules." in name else theirs
            assert torch.equal(tensor, source[name]), name


def test_a_draft_s_latents_start_at_zero():
    _, backbone, *_ = build_networks(replace(TOY, leans_on_draft=True), 4, 6)
    theirs = stock_unet().state_dict()
    guidance = backbone.conv_in.weight[:, 8:].clone()
    backbone_from_sd(backbone, theirs, "sd")
    assert torch.equal(backbone.conv_in.weight[:, :4], theirs["conv_in.weight"])
    assert not backbone.conv_in.weight[:, 4:8].any()
    assert torch.equal(backbone.conv_in.weight[:, 8:], guidance)


# ---- the same pictures ---------------------------------------------------------------------------


def initialised(size: VideoSize = TOY, seed: int = 0):
    torch.manual_seed(seed)
    theirs = stock_unet()
    _, backbone, encoder, _ = build_networks(size, 4, 6)
    backbone_from_sd(backbone, theirs.state_dict(), "sd")
    return theirs, backbone, encoder


@torch.no_grad()
@pytest.mark.parametrize("fusion", ["concat", "add"])
def test_from_stable_diffusion_alone_each_frame_is_its_picture(fusion):
    size = replace(TOY, guidance_fusion=fusion, guidance_channels=8 if fusion == "add" else 4)
    theirs, backbone, encoder = initialised(size)
    latents, tokens = torch.randn(2, 4, 3, 16, 8), torch.randn(2 * 3, 5, 12)
    maps, confidence = torch.rand(2, 6, 3, 128, 64), torch.rand(2, 3, 2)
    guidance = encoder(maps, confidence)
    step = torch.tensor(321)
    ours = backbone.denoise(latents, step, tokens, guidance)
    pictures = latents.transpose(1, 2).flatten(0, 1)
    wanted = theirs(pictures, step, tokens).sample.unflatten(0, (2, 3)).transpose(1, 2)
    assert wanted.std() > 0.1
    torch.testing.assert_close(ours, wanted, rtol=1e-5, atol=1e-5)


def test_guidance_can_be_learnt_from_there():
    """Its columns of conv_in and its encoder's last layer must not both be zero."""
    _, backbone, encoder = initialised()
    guidance = encoder(torch.rand(1, 6, 2, 64, 64), torch.rand(1, 2, 2))
    inputs = torch.randn(1, 4, 2, 8, 8), torch.tensor(9), torch.randn(2, 5, 12), guidance
    backbone.denoise(*inputs).square().mean().backward()
    assert encoder.maps.conv_out.weight.grad.abs().max() > 0
    assert encoder.confidence.grad.abs().max() > 0


def temporal_module(x: Tensor, w: dict[str, Tensor], heads: int, groups: int) -> Tensor:
    """AnimateDiff's temporal transformer, one block, restated: x (F, C, h, w) of one film."""
    frames, channels = x.shape[:2]
    normal = F.group_norm(x, groups, w["norm.weight"], w["norm.bias"], eps=1e-6)  # frame by frame
    hidden = F.linear(normal.permute(2, 3, 0, 1), w["proj_in.weight"], w["proj_in.bias"])
    rate = torch.exp(torch.arange(0, channels, 2) * (-math.log(10000.0) / channels))
    angle = torch.arange(frames)[:, None] * rate
    places = torch.stack([angle.sin(), angle.cos()], dim=-1).flatten(1)
    block = "transformer_blocks.0."
    for n in range(2):
        attention = f"{block}attention_blocks.{n}."
        y = layer_norm(hidden, w, f"{block}norms.{n}.") + places
        q, k, v = (
            F.linear(y, w[f"{attention}to_{x}.weight"]).unflatten(-1, (heads, -1)).transpose(2, 3)
            for x in "qkv"
        )
        scores = (q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1])).softmax(-1)
        mixed = (scores @ v).transpose(2, 3).flatten(3)
        out = f"{attention}to_out.0."
        hidden = hidden + F.linear(mixed, w[f"{out}weight"], w[f"{out}bias"])
    y = layer_norm(hidden, w, f"{block}ff_norm.")
    value, gate = F.linear(
        y, w[f"{block}ff.net.0.proj.weight"], w[f"{block}ff.net.0.proj.bias"]
    ).chunk(2, dim=-1)
    y = F.linear(value * F.gelu(gate), w[f"{block}ff.net.2.weight"], w[f"{block}ff.net.2.bias"])
    out = F.linear(hidden + y, w["proj_out.weight"], w["proj_out.bias"])
    return x + out.permute(2, 3, 0, 1)


def layer_norm(x: Tensor, w: dict[str, Tensor], name: str) -> Tensor:
    return F.layer_norm(x, x.shape[-1:], w[f"{name}weight"], w[f"{name}bias"])


@torch.no_grad()
@pytest.mark.parametrize(
    "place", ["down_blocks.1.motion_modules.0", "up_blocks.3.motion_modules.2"]
)
def test_temporal_modules_do_animatediff_s_sums(place):
    torch.manual_seed(1)
    theirs = animatediff_of(adapter_of(frames=24, middle=False).state_dict())
    _, backbone, *_ = build_networks(TOY, 4, 6)
    temporal_from_animatediff(backbone, theirs, "mm")
    begin = f"{place}.temporal_transformer."
    weights = {k.removeprefix(begin): v for k, v in theirs.items() if k.startswith(begin)}
    weights = {k.replace(".temporal_transformer", ""): v for k, v in weights.items()}
    assert len(weights) == 28  # 26 learned, two tables of positions
    x = torch.randn(7, len(weights["norm.weight"]), 4, 6) * torch.rand(7, 1, 1, 1) * 3
    ours = backbone.get_submodule(place)(x, num_frames=7)
    wanted = temporal_module(x, weights, heads=2, groups=4)
    assert (wanted - x).std() > 0.05
    torch.testing.assert_close(ours, wanted, rtol=1e-5, atol=1e-5)


@torch.no_grad()
def test_without_a_module_in_the_middle_it_is_silent():
    _, backbone, *_ = build_networks(TOY, 4, 6)
    temporal_from_animatediff(backbone, animatediff_of(adapter_of(middle=False).state_dict()), "mm")
    x = torch.randn(3, 16, 4, 4)
    assert torch.equal(backbone.mid_block.motion_modules[0](x, num_frames=3), x)


# ---- files ---------------------------------------------------------------------------------------


def ldm_names(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """A UNet's tensors by the names of Stable Diffusion's original files."""
    top = {ours: theirs for ours, theirs in DIFFUSERS_TO_LDM_MAPPING["unet"]["layers"].items()}
    inside = {
        "norm1": "in_layers.0", "conv1": "in_layers.2", "time_emb_proj": "emb_layers.1",
        "norm2": "out_layers.0", "conv2": "out_layers.3", "conv_shortcut": "skip_connection",
    }  # fmt: skip
    out = {}
    for name, tensor in tensors.items():
        if name not in top:
            kind, *path = name.split(".")
            if kind == "mid_block":
                index = {("attentions", "0"): 1, ("resnets", "0"): 0, ("resnets", "1"): 2}
                place, rest = f"middle_block.{index[path[0], path[1]]}", path[2:]
                is_resnet = path[0] == "resnets"
            else:
                block, what, number, *rest = path
                down, is_resnet = kind == "down_blocks", what == "resnets"
                at = int(block) * 3 + (1 + int(number) if down else int(number))
                slot = 0 if is_resnet else 1
                if what == "downsamplers":
                    place, rest = f"input_blocks.{int(block) * 3 + 3}.0.op", rest[1:]
                elif what == "upsamplers":
                    last = 1 if int(block) == 0 else 2
                    place = f"output_blocks.{int(block) * 3 + 2}.{last}.conv"
                    rest = rest[1:]
                else:
                    place = f"{'in' if down else 'out'}put_blocks.{at}.{slot}"
            if is_resnet:
                rest = [inside[rest[0]], *rest[1:]]
            name = ".".join([place, *rest])
        else:
            name = top[name]
        out[f"model.diffusion_model.{name}"] = tensor
    return out


def test_an_original_single_file_is_read(tmp_path):
    theirs = tagged(stock_unet().state_dict())
    original = ldm_names(theirs)
    assert len(original) == len(theirs)
    others = {"first_stage_model.encoder.conv_in.weight": torch.zeros(1)}
    save_file(original | others, tmp_path / "v1-5.safetensors")
    read = sd_tensors(tmp_path / "v1-5.safetensors")
    assert read.keys() == theirs.keys()
    assert all(torch.equal(read[name], theirs[name]) for name in theirs)


@pytest.mark.parametrize("form", ["pipeline", "unet", "half", "pickle"])
def test_a_diffusers_folder_is_read(tmp_path, form):
    theirs = stock_unet()
    folder = tmp_path / "unet" if form == "pipeline" else tmp_path
    options = {"half": {"variant": "fp16"}, "pickle": {"safe_serialization": False}}.get(form, {})
    theirs.save_pretrained(folder, **options)
    read = sd_tensors(tmp_path)
    assert all(torch.equal(read[name], tensor) for name, tensor in theirs.state_dict().items())


@pytest.mark.parametrize("wrap", ["plain", "state_dict", "module", "half", "whole unet"])
def test_animatediff_s_files_are_read(tmp_path, wrap):
    torch.manual_seed(0)
    adapter = adapter_of()
    tensors = animatediff_of(adapter.state_dict())
    if wrap == "module":
        tensors = {f"module.{name}": tensor for name, tensor in tensors.items()}
    if wrap == "half":
        tensors = {name: tensor.half() for name, tensor in tensors.items()}
    if wrap == "whole unet":
        tensors |= stock_unet().state_dict()
    content = tensors if wrap == "plain" else {"epoch": 3, "state_dict": tensors}
    torch.save(content, tmp_path / "mm.ckpt")
    pipeline = build_pipeline(TOY, small_vae(), 6)
    (landing,) = initialise(pipeline, animatediff=tmp_path / "mm.ckpt")
    assert len(landing.landed) == 546
    name = "up_blocks.2.motion_modules.1.transformer_blocks.0.attn2.to_v.weight"
    wanted = adapter.state_dict()[name]
    torch.testing.assert_close(pipeline.unet.state_dict()[name], wanted, rtol=1e-3, atol=1e-3)
    strange = {why for why in landing.unused.values() if "positions" not in why}
    assert len(strange) == (wrap == "whole unet")


def test_a_motion_adapter_s_folder_is_read(tmp_path):
    adapter_of(middle=False).save_pretrained(tmp_path)
    pipeline = build_pipeline(TOY, small_vae(), 6)
    (landing,) = initialise(pipeline, animatediff=tmp_path)
    assert len(landing.landed) == 520


def test_what_has_no_place_or_no_source_is_named():
    theirs = stock_unet().state_dict()
    reference, backbone, *_ = build_networks(TOY, 4, 6)
    with pytest.raises(InputError, match="no place for surprise"):
        backbone_from_sd(backbone, {**theirs, "surprise": torch.zeros(1)}, "sd")
    name = "mid_block.resnets.0.conv1.weight"
    with pytest.raises(InputError, match=f"nothing for {name}"):
        reference_from_sd(reference, {k: v for k, v in theirs.items() if k != name}, "sd")
    with pytest.raises(InputError, match=r"no place for \S+ \(16,.* for \(8,"):
        reference_from_sd(reference, stock_unet((16, 16, 16, 16)).state_dict(), "sd")
    motion = animatediff_of(adapter_of().state_dict())
    lost = "down_blocks.2.motion_modules.1.temporal_transformer.proj_in.bias"
    with pytest.raises(InputError, match=r"nothing for down_blocks.2.motion_modules.1.proj_in"):
        temporal_from_animatediff(backbone, {k: v for k, v in motion.items() if k != lost}, "mm")
    place = next(name for name in motion if name.endswith(".pe"))
    with pytest.raises(InputError, match="sinusoids"):
        temporal_from_animatediff(backbone, {**motion, place: motion[place] + 0.1}, "mm")


class Harmful:
    def __reduce__(self):
        return print, ("this must not run",)


@pytest.mark.parametrize("damage", ["code", "cut", "empty", "table", "missing", "suffix"])
def test_unreadable_files_are_refused(tmp_path, damage, capsys):
    path = tmp_path / ("mm.txt" if damage == "suffix" else "mm.ckpt")
    if damage == "code":
        torch.save({"state_dict": {"a": torch.zeros(1), "b": Harmful()}}, path)
    elif damage == "table":
        torch.save({"a": 1}, path)
    elif damage != "missing":
        torch.save(animatediff_of(adapter_of().state_dict()), path)
        if damage in ("cut", "empty"):
            path.write_bytes(path.read_bytes()[: 4000 if damage == "cut" else 0])
    pipeline = build_pipeline(TOY, small_vae(), 6)
    with pytest.raises(InputError, match="--from-animatediff"):
        initialise(pipeline, animatediff=path)
    assert "must not run" not in capsys.readouterr().out


# ---- autoencoders and sound ----------------------------------------------------------------------


def small_vae() -> AutoencoderKL:
    """Stable Diffusion's layout at toy width."""
    return AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        block_out_channels=(4, 4, 4, 4),
        norm_num_groups=2,
    )


def tiny_vae() -> AutoencoderTiny:
    return AutoencoderTiny(
        encoder_block_out_channels=(4, 4, 4, 4),
        decoder_block_out_channels=(4, 4, 4, 4),
        num_encoder_blocks=(1, 1, 1, 1),
        num_decoder_blocks=(1, 1, 1, 1),
    )


@torch.no_grad()
@pytest.mark.parametrize("make", [small_vae, tiny_vae])
def test_both_autoencoders_work_in_the_pipeline(tmp_path, make):
    torch.manual_seed(0)
    made = make()
    made.save_pretrained(tmp_path / "sd" / "vae")
    vae = open_vae(tmp_path / "sd")
    assert not any(p.requires_grad for p in vae.parameters())
    pipeline = build_pipeline(TOY, vae, 6)
    assert pipeline.latent_stride == 8
    pictures = torch.rand(6, 3, 32, 16) * 2 - 1
    latents = pipeline.encode(pictures)
    assert latents.shape == (6, 4, 4, 2)
    encoded = made.eval().encode(pictures)
    if make is tiny_vae:
        torch.testing.assert_close(latents, encoded.latents)
    else:
        torch.testing.assert_close(latents, encoded.latent_dist.mean * 0.18215)
    decoded = pipeline.decode(latents)
    assert decoded.shape == pictures.shape
    scale = 1.0 if make is tiny_vae else 0.18215
    torch.testing.assert_close(decoded, made.decode(latents / scale).sample)
    pipeline.save_pretrained(tmp_path / "film")
    again = Stage2Pipeline.from_pretrained(tmp_path / "film")
    assert type(again.vae) is type(made)
    torch.testing.assert_close(again.encode(pictures), latents)


OLD_NAMES = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}


def test_an_autoencoder_with_its_first_names_is_read(tmp_path):
    """sd-vae-ft-mse was saved before diffusers called its attention's layers to_q, to_k, ..."""
    made = small_vae()
    made.save_pretrained(tmp_path)
    old = {}
    for name, tensor in made.state_dict().items():
        for new, first in OLD_NAMES.items():
            name = name.replace(f".attentions.0.{new}.", f".attentions.0.{first}.")
        old[name] = tensor.contiguous()
    assert sum(".query." in name for name in old) == 4
    save_file(old, tmp_path / "diffusion_pytorch_model.safetensors", {"format": "pt"})
    vae = open_vae(tmp_path)
    for name, tensor in vae.state_dict().items():
        assert torch.equal(tensor, made.state_dict()[name]), name


def test_true_shapes_of_the_autoencoders():
    with torch.device("meta"):
        learned = AutoencoderKL(
            down_block_types=("DownEncoderBlock2D",) * 4,
            up_block_types=("UpDecoderBlock2D",) * 4,
            block_out_channels=(128, 256, 512, 512),
            layers_per_block=2,
        )
        tiny = AutoencoderTiny()
    assert (len(learned.state_dict()), len(tiny.state_dict())) == (248, 134)
    assert round(sum(p.numel() for p in learned.parameters()) / 1e6, 1) == 83.7
    assert round(sum(p.numel() for p in tiny.parameters()) / 1e6, 2) == 2.45


@pytest.mark.parametrize("damage", ["lost", "other class", "no folder"])
def test_autoencoders_that_do_not_fit_are_refused(tmp_path, damage):
    if damage == "lost":
        made = small_vae()
        made.save_pretrained(tmp_path)
        tensors = {k: v for k, v in made.state_dict().items() if k != "quant_conv.bias"}
        save_file(tensors, tmp_path / "diffusion_pytorch_model.safetensors", {"format": "pt"})
    elif damage == "other class":
        stock_unet().save_pretrained(tmp_path)
    with pytest.raises(InputError, match="--vae"):
        open_vae(tmp_path)


@pytest.mark.parametrize("names", ["new", "first"])
def test_a_speech_recogniser_s_encoder_lands_whole(tmp_path, names):
    """wav2vec2-base-960h is a Wav2Vec2ForCTC with weight norm's first names; its head is left."""
    torch.manual_seed(0)
    config = Wav2Vec2Config(
        hidden_size=8, num_hidden_layers=2, num_attention_heads=2, intermediate_size=16,
        conv_dim=(4, 4), conv_kernel=(10, 3), conv_stride=(5, 2), num_feat_extract_layers=2,
        num_conv_pos_embeddings=4, num_conv_pos_embedding_groups=2,
    )  # fmt: skip
    theirs = Wav2Vec2ForCTC(config)
    theirs.save_pretrained(tmp_path)
    Wav2Vec2FeatureExtractor(return_attention_mask=False).save_pretrained(tmp_path)
    if names == "first":
        first = {"parametrizations.weight.original0": "weight_g"}
        first["parametrizations.weight.original1"] = "weight_v"
        renamed = {}
        for name, tensor in theirs.state_dict().items():
            for new, old in first.items():
                name = name.replace(new, old)
            renamed[name] = tensor.contiguous()
        assert sum("weight_g" in name for name in renamed) == 1
        save_file(renamed, tmp_path / "model.safetensors", {"format": "pt"})
    encoder = open_encoder(str(tmp_path))
    ours = encoder.model.state_dict()
    assert ours.keys() == theirs.wav2vec2.state_dict().keys()
    for name, tensor in theirs.wav2vec2.state_dict().items():
        assert torch.equal(ours[name], tensor), name
