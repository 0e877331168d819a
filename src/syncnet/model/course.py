"""The settings of a course of training."""

from dataclasses import asdict, dataclass, field
from typing import Any

from syncnet.model.loss import LossConfig
from syncnet.model.network import SyncNetConfig
from syncnet.model.pairs import PairsConfig


@dataclass(frozen=True)
class TrainConfig:
    """Everything that fixes a course of training, apart from the data. Saved in the checkpoint."""

    network: SyncNetConfig = field(default_factory=SyncNetConfig)
    pairs: PairsConfig = field(default_factory=PairsConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    steps: int = 4000
    minutes: float | None = None  # if set, the schedule follows the clock instead of the steps
    seed: int = 0
    lr: float = 1e-3
    teacher_lr: float = 0.3  # factor on the learning rate of layers that started from the teacher
    weight_decay: float = 0.05
    warmup: int = 200
    final_lr: float = 0.01  # of the peak, where the cosine ends
    clip_norm: float = 1.0
    accumulate: int = 1
    average_decay: float = 0.998
    freeze_blocks: int = 0  # leading blocks of the picture trunk that do not learn
    frozen_norms: bool = False  # picture norms keep the statistics measured at the start (faster)
    calibrate_batches: int = 10
    held_out: float = 0.06
    held_out_salt: str = ""
    eval_clips: int = 120
    eval_minutes: float = 10.0
    eval_steps: int | None = None  # if set, instead of eval_minutes
    save_minutes: float = 3.0
    patience: int | None = None  # evaluations without a better one before stopping
    workers: int = 1
    compute: str = "auto"  # auto, cpu, cuda
    bf16: bool = True
    tensorboard: bool = True

    def to_dict(self) -> dict[str, Any]:
        """As JSON would have it: tuples become lists."""
        plain: dict[str, Any] = _plain(asdict(self))
        return plain


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    return [_plain(v) for v in value] if isinstance(value, list | tuple) else value
