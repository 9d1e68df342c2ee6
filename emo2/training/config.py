"""Every number of a training run of Stage 1, in one frozen value that is saved beside the
weights."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class AudioSize:
    """The wav2vec 2.0 encoder. Dropouts are zero: a small network on a small corpus for a short
    time underfits."""

    conv_dim: tuple[int, ...] = (64, 96)
    conv_kernel: tuple[int, ...] = (400, 4)
    conv_stride: tuple[int, ...] = (160, 2)
    hidden_size: int = 128
    num_hidden_layers: int = 2
    num_attention_heads: int = 4
    intermediate_size: int = 256
    num_conv_pos_embeddings: int = 16
    num_conv_pos_embedding_groups: int = 16
    chunk_s: float = 4.0
    """Seconds heard at once by the product: near the training window's 5 s."""
    margin_s: float = 0.5


@dataclass(frozen=True)
class MotionSize:
    """The `MotionDiT`."""

    width: int = 160
    num_layers: int = 4
    num_heads: int = 4
    mlp_ratio: float = 3.0
    patch_size: int = 4
    num_frames: int = 96
    num_context_frames: int = 12
    num_lookahead_frames: int = 12


@dataclass(frozen=True)
class GestureConfig:
    """One run of `python -m emo2 train gesture`."""

    audio: AudioSize = AudioSize()
    motion: MotionSize = MotionSize()
    audio_checkpoint: str | None = None
    """A wav2vec 2.0 to start from and keep frozen: a folder, or a name on the hub; None = train
    the small encoder jointly from raw audio."""
    representation: str = "hands"
    """What is learnt: "hands" (end effectors) or "arms" (whole arms), see
    `stage1.representation`."""
    fps: float = 24.0
    label: str = "style"
    """What the style labels are called after: "style", "speaker" or "both"."""
    seed: int = 0
    steps: int = 3600
    batch_audio: int = 4
    """Stretches of speech per step. Each comes with `batch_motions` different motions, so hearing
    is paid for once."""
    batch_motions: int = 4
    joint_steps: int = 1600
    """Afterwards the encoder is frozen with its averaged weights, and what it hears is computed
    once per clip."""
    batch_frozen: int = 20
    """Stretches of speech per step from then on, with one motion each: hearing costs nothing
    now."""
    learning_rate: float = 1e-3
    weight_decay: float = 0.01
    warmup_steps: int = 100
    cooldown: float = 0.3
    """Share of the steps, at the end, over which the learning rate falls to zero."""
    ema_decay: float = 0.995
    grad_clip: float = 1.0
    accumulate: int = 1
    """Batches per optimiser step and process."""
    mixed_precision: str | None = None
    """"no" or "bf16"; None = bf16 on a GPU, full precision on a CPU, where bf16 is slower."""
    workers: int = 0
    """Processes that draw batches ahead; 0 = the training process itself."""
    distil_steps: int = 2000
    """First the encoder alone learns to tell loudness, flux and a mel spectrum from raw audio."""
    distil_batch: int = 10
    read_out_weight: float = 0.1
    velocity_weight: float = 1.0
    velocity_scale: float = 0.2
    """Frame-to-frame differences of normalised channels are about this large: divided by it they
    weigh like places."""
    geodesic_weight: float = 0.0
    """Of the squared angle [rad^2] between predicted and true joint rotations."""
    min_snr_gamma: float | None = None
    """Min-SNR weighting (Hang et al. 2023): for x0-prediction min(SNR, gamma); None = all noise
    alike. Its weight at pure noise is zero, and only there does the network have to listen:
    `min_snr_floor` keeps the lesson."""
    min_snr_floor: float = 1.0
    """The least that SNR counts as. At 0 the noisiest tenth of all examples has 0.04 % of the
    weight, and a small network was as deaf after 700 steps as at first; at 1 it has 4 %."""
    rerecord: float = 0.5
    """How often a window's sound goes through one more room, microphone and level, new each time,
    while the encoder learns."""
    drop_audio: float = 0.1
    drop_style: float = 0.15
    drop_speed: float = 0.1
    drop_offset: float = 0.2
    drop_context: float = 0.15
    hide_hand: float = 0.1
    keep_some: float = 0.4
    """How often some frames or joints of a window are given."""
    context_noise: float = 0.02
    log_every: int = 25
    monitor_every: int = 200
    save_minutes: float = 3.0


SMALL_MOTION = MotionSize(80, 3, 4, 3.0, 4, 96, 12, 12)
"""For comparisons of several trainings: one takes a quarter of the demo's time."""
FULL_MOTION = MotionSize(512, 24, 8, 4.0, 1, 300, 12, 12)
"""The paper's size: 24 blocks of width 512 over 300 frames."""
SIZES = {
    "demo": GestureConfig(),
    "small": GestureConfig(motion=SMALL_MOTION),
    "full": GestureConfig(
        motion=FULL_MOTION,
        audio_checkpoint="facebook/wav2vec2-base-960h",
        steps=300_000,
        joint_steps=0,
        distil_steps=0,
        batch_frozen=32,
        learning_rate=1e-4,
        warmup_steps=2000,
        ema_decay=0.9999,
        workers=8,
        log_every=100,
        monitor_every=2000,
        save_minutes=15.0,
    ),
}
"""Whole settings by name. The paper tells the network's size and its encoder, wav2vec 2.0; the
rest of "full" is ours and untested at that size."""
