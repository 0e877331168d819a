"""The training loop, to be read in a sitting: draw a batch, ask the loss, step, average, now and then look and save."""

import contextlib
import ctypes
import json
import math
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.utils.data import DataLoader

from syncnet.errors import InputError
from syncnet.model import checkpoint
from syncnet.model.accuracy import Accuracy, measure
from syncnet.model.loss import LossConfig, SyncLoss
from syncnet.model.network import ConvNorm, SyncNet, SyncNetConfig, start_from_teacher
from syncnet.model.pairs import Batch, Pairs, PairsConfig, split_speakers, standardised_crops
from syncnet.model.shards import Clip, read_manifests


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


class Learner(nn.Module):
    """Network and loss as one module, so that several devices can share its gradients."""

    def __init__(self, config: TrainConfig) -> None:
        super().__init__()
        self.model = SyncNet(config.network)
        self.loss = SyncLoss(config.loss)

    def forward(self, batch: Batch) -> Tensor:
        video, audio = self.model(standardised_crops(batch.crops), batch.mfcc, batch.mask)
        loss: Tensor = self.loss(video, audio, batch.mask, batch.audio_times)
        return loss


def rate(progress: float, step: int, config: TrainConfig) -> float:
    """Learning-rate factor at `progress` (0 to 1) of the course: linear warm-up by steps, then a cosine."""
    warm = min(1.0, (step + 1) / max(1, config.warmup))
    cosine = 0.5 * (1.0 + math.cos(math.pi * min(1.0, progress)))
    return warm * (config.final_lr + (1.0 - config.final_lr) * cosine)


def parameter_groups(learner: Learner, from_teacher: set[str], config: TrainConfig) -> list[dict[str, Any]]:
    """Parameters by learning-rate factor and weight decay (norms, biases and the loss's own do not decay)."""
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in learner.named_parameters():
        if not parameter.requires_grad:
            continue
        factor = config.teacher_lr if name.removeprefix("model.") in from_teacher else 1.0
        decay = config.weight_decay if parameter.ndim > 1 else 0.0
        groups.setdefault((factor, decay), []).append(parameter)
    return [{"params": p, "factor": f, "weight_decay": d, "lr": config.lr * f} for (f, d), p in groups.items()]


class WeightAverage:
    """Exponential moving average of a model's weights and norm statistics; young averages forget faster."""

    def __init__(self, model: SyncNet, decay: float) -> None:
        self.decay = decay
        self.state = {k: v.detach().clone() for k, v in model.state_dict().items()}

    @torch.no_grad()
    def update(self, model: SyncNet, step: int) -> None:
        decay = min(self.decay, (step + 1) / (step + 10))
        floats, now = [], []
        for name, value in model.state_dict().items():
            if value.is_floating_point():
                floats.append(self.state[name])
                now.append(value)
            else:
                self.state[name].copy_(value)
        torch._foreach_lerp_(floats, now, 1.0 - decay)


@torch.no_grad()
def calibrate_norms(learner: Learner, batches: Iterator[Batch], device: torch.device, count: int) -> None:
    """Set the running statistics of all norms from `count` batches, as plain means."""
    norms = [m.norm for m in learner.modules() if isinstance(m, ConvNorm)]
    frozen = {m: m.frozen_norm for m in learner.modules() if isinstance(m, ConvNorm)}
    momentum = [n.momentum for n in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None
    for module in frozen:
        module.frozen_norm = False
    learner.train()
    for _, batch in zip(range(count), batches, strict=False):
        learner(batch.to(device))
    for norm, value in zip(norms, momentum, strict=True):
        norm.momentum = value
    for module, value in frozen.items():
        module.frozen_norm = value


def train(shards: list[Path], out: Path, config: TrainConfig, *, teacher: Path | None = None,
          start: Path | None = None, say: Callable[[str], None] = print) -> Path:
    """Train on shard folders and return the path of the best checkpoint.

    `out` receives last.pt (resumed from when it is there), best.pt, log.jsonl and TensorBoard events.
    `teacher`: LR-ASD state dict to start the picture trunk from; `start`: a checkpoint whose weights to start from.
    Raises InputError for shards, checkpoints or devices that cannot be used.
    """
    with contextlib.ExitStack() as ending:
        return _train(shards, out, config, teacher, start, say, ending)


def _train(shards: list[Path], out: Path, config: TrainConfig, teacher: Path | None, start: Path | None,
           say: Callable[[str], None], ending: contextlib.ExitStack) -> Path:
    rank, world = _join()
    if world > 1:
        ending.callback(dist.destroy_process_group)
    device = _device(config.compute, rank)
    if device.type == "cpu":
        keep_memory()
    clips = read_manifests(shards)
    training, held = split_speakers(clips, config.held_out, config.held_out_salt)
    watched = evenly_by_speaker(held, config.eval_clips)
    torch.manual_seed(config.seed)
    learner = Learner(config).to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    model: SyncNet = learner.model
    taught: set[str] = set()
    if teacher is not None:
        taught = set(start_from_teacher(model, torch.load(teacher, map_location="cpu", weights_only=True)))
    if start is not None:
        model.load_state_dict(checkpoint.load(start)["average"])
    model.video_trunk.freeze(config.freeze_blocks)
    if config.frozen_norms:
        model.freeze_norms()

    pairs = Pairs(training, config.network, config.pairs, seed=config.seed, rank=rank)
    last, best_path = out / "last.pt", out / "best.pt"
    resumed = checkpoint.load(last) if last.is_file() else None
    autocast = torch.autocast(device.type, dtype=torch.bfloat16, enabled=config.bf16)
    if resumed is None and (config.frozen_norms or config.freeze_blocks) and start is None:
        with autocast:
            calibrate_norms(learner, (pairs[10**9 + i] for i in range(config.calibrate_batches)), device,
                            config.calibrate_batches)

    optimiser = torch.optim.AdamW(parameter_groups(learner, taught, config), lr=config.lr, betas=(0.9, 0.98))
    average = WeightAverage(model, config.average_decay)
    step, spent, best, stale, looked_at = 0, 0.0, -1.0, 0, -1
    metrics: dict[str, float] = {}
    if resumed is not None:
        _check_same_course(resumed, config, last)
        model.load_state_dict(resumed["model"])
        learner.loss.load_state_dict(resumed["loss"])
        optimiser.load_state_dict(resumed["optimiser"])
        average.state = {k: v.to(device) for k, v in resumed["average"].items()}
        step, spent, best, stale = resumed["step"], resumed["spent_s"], resumed["best"], resumed["stale"]
        metrics, looked_at = resumed["metrics"], resumed["looked_at"]
        torch.set_rng_state(resumed["rng"])
    run: nn.Module = learner
    if world > 1:
        run = nn.parallel.DistributedDataParallel(learner, device_ids=[device.index] if device.type == "cuda" else None)

    def state() -> dict[str, Any]:
        recipe = {**_plain(asdict(config)), "teacher": teacher.name if teacher else None,
                  "clips": len(training), "speakers": len({c.speaker for c in training}),
                  "minutes_of_video": round(sum(c.minutes for c in training), 1)}
        return {"network": config.network.to_dict(), "recipe": recipe, "model": model.state_dict(),
                "average": average.state, "loss": learner.loss.state_dict(), "optimiser": optimiser.state_dict(),
                "step": step, "spent_s": spent, "best": best, "stale": stale, "looked_at": looked_at, "metrics": metrics,
                "rng": torch.get_rng_state()}

    log = Log(out, step, tensorboard=config.tensorboard, active=rank == 0)
    ending.callback(log.close)
    if rank == 0:
        say(f"{len(training)} clips of {len({c.speaker for c in training})} speakers, "
            f"{sum(c.minutes for c in training):.1f} min; held out: {len(held)} clips of "
            f"{len({c.speaker for c in held})} speakers, {len(watched)} watched; {device}, from step {step}")
    loader = _batches(pairs, step * config.accumulate, config.workers, device)
    began = tick = saved = looked = time.monotonic()
    spent_before, frames, losses = spent, 0, []
    learner.train()
    while True:
        spent = spent_before + time.monotonic() - began
        progress = spent / (60 * config.minutes) if config.minutes else step / config.steps
        finished = _agree(progress >= 1.0, world, device)
        due = (step % config.eval_steps == 0 if config.eval_steps else
               time.monotonic() - looked > 60 * config.eval_minutes) and looked_at < step > 0
        if (finished and looked_at < step) or _agree(due, world, device):
            looked_at = step
            if rank == 0 and watched:
                result = _look(average, config, watched, device)
                score = sum(result.windows.values()) / len(result.windows)
                metrics = {**{f"K{k}": v for k, v in result.windows.items()}, "whole": result.whole}
                say(f"step {step}: held out {result}")
                log.write(step, {"held_out": metrics, "clips": result.clips, "spent_s": round(spent, 1)})
                if score > best:
                    best, stale = score, 0
                    checkpoint.save(best_path, state())
                else:
                    stale += 1
            elif rank == 0:
                checkpoint.save(best_path, state())
            finished = finished or _agree(config.patience is not None and stale >= config.patience, world, device)
            looked = time.monotonic()
        if rank == 0 and (finished or time.monotonic() - saved > 60 * config.save_minutes):
            checkpoint.save(last, state())
            saved = time.monotonic()
        if finished:
            break

        factor = rate(progress, step, config)
        for group in optimiser.param_groups:
            group["lr"] = config.lr * factor * group["factor"]
        for part in range(config.accumulate):
            batch = next(loader).to(device)
            hold = run.no_sync() if world > 1 and part + 1 < config.accumulate else contextlib.nullcontext()
            with hold:
                with autocast:
                    loss = run(batch) / config.accumulate
                loss.backward()
            losses.append(loss.detach() * config.accumulate)
            frames += batch.crops.shape[0] * batch.crops.shape[1] * world
        norm = nn.utils.clip_grad_norm_(learner.parameters(), config.clip_norm)
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        average.update(model, step)
        step += 1
        if step % 20 == 0 or step <= 3:
            mean = float(torch.stack(losses).mean())
            now = time.monotonic()
            log.write(step, {"loss": mean, "lr": config.lr * factor, "grad_norm": float(norm),
                             "tau": float(learner.loss.log_tau.detach().exp()), "frames_per_s": frames / (now - tick),
                             "progress": progress, "spent_s": round(spent, 1)})
            if rank == 0 and (step % 100 == 0 or step <= 3):
                say(f"step {step} ({100 * progress:.1f} %): loss {mean:.3f}, {frames / (now - tick):.0f} frames/s")
            if not math.isfinite(mean):
                raise InputError(f"the loss is {mean} at step {step}: lower --lr, or train without bf16.")
            tick, frames, losses = now, 0, []
    return best_path if best_path.is_file() else last


def evenly_by_speaker(clips: list[Clip], count: int) -> list[Clip]:
    """Up to `count` clips, taking the longest of every speaker first, then the next, the same each time."""
    by_speaker: dict[str, list[Clip]] = {}
    for clip in sorted(clips, key=lambda c: (-min(c.frames, 100), c.key)):
        by_speaker.setdefault(clip.speaker, []).append(clip)
    rounds = max((len(g) for g in by_speaker.values()), default=0)
    order = [g[i] for i in range(rounds) for _, g in sorted(by_speaker.items()) if i < len(g)]
    return order[:count]


def _look(average: WeightAverage, config: TrainConfig, clips: list[Clip], device: torch.device) -> Accuracy:
    model = SyncNet(config.network).to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    model.load_state_dict(average.state)
    return measure(model, clips, device=device, precision=torch.bfloat16 if config.bf16 else None)


def _batches(pairs: Pairs, first: int, workers: int, device: torch.device) -> Iterator[Batch]:
    order = range(first, first + 10**7)
    loader: DataLoader[Batch] = DataLoader(pairs, batch_size=None, sampler=order, num_workers=workers,
                                           prefetch_factor=4 if workers else None)
    return iter(loader)


def keep_memory() -> None:
    """Have glibc keep freed memory for the next step instead of giving it back: page faults cost half the speed."""
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt"):  # glibc only; elsewhere it is merely slower
        libc.mallopt(-4, 0)  # M_MMAP_MAX: no block of its own for large arrays
        libc.mallopt(-1, -1)  # M_TRIM_THRESHOLD: never shrink the heap


def _join() -> tuple[int, int]:
    """Rank and number of processes; joins the group when started by torchrun."""
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if world > 1 and not dist.is_initialized():
        dist.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
    return int(os.environ.get("RANK", "0")), world


def _device(wanted: str, rank: int) -> torch.device:
    if wanted == "cuda" and not torch.cuda.is_available():
        raise InputError("no CUDA device is available: use --device cpu.")
    if wanted == "cpu" or not torch.cuda.is_available():
        return torch.device("cpu")
    index = int(os.environ.get("LOCAL_RANK", rank)) % torch.cuda.device_count()
    torch.cuda.set_device(index)
    return torch.device("cuda", index)


def _agree(mine: bool, world: int, device: torch.device) -> bool:
    """What rank 0 decides, so that all processes stop and look together."""
    if world == 1:
        return mine
    flag = torch.tensor([int(mine)], device=device)
    dist.broadcast(flag, 0)
    return bool(flag.item())


def _plain(value: Any) -> Any:
    """Tuples to lists, as JSON would have it."""
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    return [_plain(v) for v in value] if isinstance(value, list | tuple) else value


def _check_same_course(resumed: dict[str, Any], config: TrainConfig, path: Path) -> None:
    free = {"steps", "minutes", "patience", "workers", "compute", "tensorboard", "eval_minutes", "eval_steps",
            "save_minutes", "eval_clips", "lr", "final_lr"}
    now = _plain(asdict(config))
    changed = sorted(k for k, v in now.items() if k not in free and resumed["recipe"].get(k) != v)
    if changed:
        raise InputError(f"{path} was trained with other settings ({', '.join(changed)}): "
                         "choose another --out, or the same settings to resume.")


class Log:
    """log.jsonl (one line per entry, later steps dropped on resume) and TensorBoard scalars."""

    def __init__(self, folder: Path, step: int, *, tensorboard: bool, active: bool) -> None:
        self.active, self.writer = active, None
        if not active:
            return
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / "log.jsonl"
        old = path.read_text().splitlines() if path.is_file() else []
        kept = [line for line in old if line.endswith("}") and json.loads(line)["step"] <= step]
        part = path.with_suffix(".part")
        part.write_text("".join(f"{line}\n" for line in kept))
        os.replace(part, path)
        self.file = path.open("a", buffering=1)
        if tensorboard:
            from torch.utils.tensorboard import SummaryWriter

            self.writer = SummaryWriter(str(folder / "tensorboard"), purge_step=step)

    def write(self, step: int, values: dict[str, Any]) -> None:
        if not self.active:
            return
        self.file.write(json.dumps({"step": step, **values}) + "\n")
        if self.writer is not None:
            for name, value in values.items():
                scalars = value.items() if isinstance(value, dict) else [(None, value)]
                for part, number in scalars:
                    self.writer.add_scalar(f"{name}/{part}" if part else name, number, step)

    def close(self) -> None:
        if self.active:
            self.file.close()
        if self.writer is not None:
            self.writer.close()
