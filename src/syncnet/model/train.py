"""The training loop, in one piece: draw a batch, ask the loss, step, average, now and then look and save."""

import contextlib
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.utils.data import DataLoader

from syncnet.encoder import find_model
from syncnet.errors import InputError
from syncnet.model import checkpoint
from syncnet.model.accuracy import Accuracy, measure
from syncnet.model.course import TrainConfig
from syncnet.model.devices import agree, autocast, find_device, has_bfloat16, join
from syncnet.model.loss import SyncLoss
from syncnet.model.network import SyncNet
from syncnet.model.optimise import WeightAverage, calibrate_norms, keep_memory, parameter_groups, rate
from syncnet.model.pairs import Batch, Pairs, split_speakers, standardised_crops
from syncnet.model.shards import Clip, read_manifests
from syncnet.model.shipped import centre_norms, is_checkpoint, start_from_shipped
from syncnet.model.teacher import read_teacher, start_from_teacher
from syncnet.model.train_log import Log

__all__ = ["Learner", "TrainConfig", "train"]

CALIBRATION = 10**9  # batches from this number on serve to measure the norms' statistics


class Learner(nn.Module):
    """Network and loss as one module, so that several devices can share its gradients."""

    def __init__(self, config: TrainConfig) -> None:
        super().__init__()
        self.model = SyncNet(config.network)
        self.losses = nn.ModuleList(SyncLoss(config.loss) for _ in range(2 if config.network.context else 1))

    def forward(self, batch: Batch) -> Tensor:
        """Mean over the pairs of heads (each with its own temperature) of the loss of a batch."""
        video, audio = self.model.features(standardised_crops(batch.crops), batch.mfcc, batch.mask)
        total = torch.zeros((), device=video.device)
        guide = None
        for wide, loss in reversed(list(enumerate(self.losses))):
            video_head, audio_head = self.model.heads(bool(wide))
            pair = video_head(video), audio_head(audio, batch.mask)
            total = total + loss(*pair, batch.mask, batch.audio_times, guide)
            guide = loss.logits(*pair) if wide else None  # type: ignore[operator]
        return total / len(self.losses)

    @property
    def temperature(self) -> float:
        first: SyncLoss = self.losses[0]  # type: ignore[assignment]
        return first.temperature


@dataclass
class Standing:
    """How far a course has come: what a checkpoint remembers beside weights and optimiser."""

    step: int = 0
    spent_s: float = 0.0
    best: float = -1.0
    stale: int = 0  # evaluations since the best
    looked_at: int = -1  # step of the last evaluation
    metrics: dict[str, float] = field(default_factory=dict)


def train(shards: list[Path], out: Path, config: TrainConfig, *, teacher: Path | None = None,
          start: Path | None = None, say: Callable[[str], None] = print) -> Path:
    """Train on shard folders and return the path of the best checkpoint.

    `out` receives last.pt (resumed from when it is there), best.pt, log.jsonl and TensorBoard events.
    `teacher`: LR-ASD state dict to start the picture trunk from; `start`: a checkpoint, or the name of a model
    that ships (or its folder), whose weights to start from.
    Raises InputError for shards, checkpoints or devices that cannot be used.
    """
    with contextlib.ExitStack() as ending:
        return _train(shards, out, config, teacher, start, say, ending)


def _train(shards: list[Path], out: Path, config: TrainConfig, teacher: Path | None, start: Path | None,
           say: Callable[[str], None], ending: contextlib.ExitStack) -> Path:
    rank, world = join()
    if world > 1:
        ending.callback(dist.destroy_process_group)
    device = find_device(config.compute, rank)
    if device.type == "cpu":
        keep_memory()
    if config.bf16 and rank == 0 and not has_bfloat16(device):
        say("this processor has no bfloat16: learning in float32, which is slower")

    # The clips to learn from, and the people who are only watched.
    training, held = split_speakers(read_manifests(shards), config.held_out, config.held_out_salt)
    watched = evenly_by_speaker(held, config.eval_clips)
    pairs = Pairs(training, config.network, config.pairs, seed=config.seed, rank=rank)
    recipe = {**config.to_dict(), "teacher": teacher.name if teacher else None, "clips": len(training),
              "speakers": len({c.speaker for c in training}),
              "minutes_of_video": round(sum(c.minutes for c in training), 1)}

    # The network, fresh, taught, or as it was when training stopped.
    torch.manual_seed(config.seed)
    learner = Learner(config).to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    model: SyncNet = learner.model
    taught = start_from_teacher(model, read_teacher(teacher)) if teacher else []
    if start and is_checkpoint(start):
        model.load_state_dict(checkpoint.load(start)["average"])
    elif start:
        start_from_shipped(model, find_model(start))
    model.video_trunk.freeze(config.freeze_blocks)
    if config.frozen_norms:
        model.freeze_norms()
    last, best = out / "last.pt", out / "best.pt"
    resumed = checkpoint.load(last) if last.is_file() else None
    samples = (pairs[CALIBRATION + i].to(device) for i in range(config.calibrate_batches))
    if resumed is None and start and not is_checkpoint(start):
        centre_norms(learner, samples)
    elif resumed is None and not start and (config.frozen_norms or config.freeze_blocks):
        with autocast(device, config.bf16):
            calibrate_norms(learner, samples)
    optimiser = torch.optim.AdamW(parameter_groups(learner, taught, config), lr=config.lr, betas=(0.9, 0.98))
    average = WeightAverage(model, config.average_decay)
    now = Standing()
    if resumed is not None:
        _check_same_course(resumed["recipe"], recipe, last)
        model.load_state_dict(resumed["model"])
        learner.losses.load_state_dict(resumed["loss"])
        optimiser.load_state_dict(resumed["optimiser"])
        average.state = {k: v.to(device) for k, v in resumed["average"].items()}
        now = Standing(**{name: resumed[name] for name in Standing.__dataclass_fields__})
        torch.set_rng_state(resumed["rng"])
    run: nn.Module = learner
    if world > 1:
        run = nn.parallel.DistributedDataParallel(learner, device_ids=[device.index] if device.type == "cuda" else None)

    def save(path: Path) -> None:
        checkpoint.save(path, {
            "network": config.network.to_dict(), "recipe": recipe, "model": model.state_dict(),
            "average": average.state, "loss": learner.losses.state_dict(), "optimiser": optimiser.state_dict(),
            "rng": torch.get_rng_state(), **asdict(now)})

    log = Log(out, now.step, tensorboard=config.tensorboard, active=rank == 0)
    ending.callback(log.close)
    if rank == 0:
        say(f"{recipe['clips']} clips of {recipe['speakers']} speakers, {recipe['minutes_of_video']} min; held out: "
            f"{len(held)} clips of {len({c.speaker for c in held})} speakers, {len(watched)} watched; "
            f"{device}, from step {now.step}")
    loader = _batches(pairs, now.step * config.accumulate, config.workers, device)
    began = tick = saved = looked = time.monotonic()
    spent_before, frames = now.spent_s, 0
    losses: list[Tensor] = []
    learner.train()
    while True:
        now.spent_s = spent_before + time.monotonic() - began
        progress = now.spent_s / (60 * config.minutes) if config.minutes else now.step / config.steps
        progress = agree(progress, world, device)
        finished = progress >= 1.0
        due = (now.step % config.eval_steps == 0 if config.eval_steps else
               time.monotonic() - looked > 60 * config.eval_minutes) and now.step > 0
        if now.looked_at < now.step and (finished or agree(due, world, device)):
            now.looked_at = now.step
            if rank == 0:
                better = True
                if watched:
                    better = _judge(now, _look(average, config, watched, device), log, say)
                if better:
                    save(best)
            finished = finished or bool(agree(config.patience is not None and now.stale >= config.patience, world,
                                              device))
            looked = time.monotonic()
        if rank == 0 and (finished or time.monotonic() - saved > 60 * config.save_minutes):
            save(last)
            saved = time.monotonic()
        if finished:
            break

        factor = rate(progress, now.step, config)
        for group in optimiser.param_groups:
            group["lr"] = config.lr * factor * group["factor"]
        for part in range(config.accumulate):
            batch = next(loader).to(device)
            wait = world > 1 and part + 1 < config.accumulate
            with run.no_sync() if wait else contextlib.nullcontext():  # type: ignore[operator]
                with autocast(device, config.bf16):
                    loss = run(batch)
                (loss / config.accumulate).backward()
            losses.append(loss.detach())
            frames += batch.crops.shape[0] * batch.crops.shape[1] * world
        norm = nn.utils.clip_grad_norm_(learner.parameters(), config.clip_norm)
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        average.update(model, now.step)
        now.step += 1
        if now.step % 20 == 0 or now.step <= 3:
            mean = float(torch.stack(losses).mean())
            speed = frames / (time.monotonic() - tick)
            log.write(now.step, {"loss": mean, "lr": config.lr * factor, "grad_norm": float(norm),
                                 "tau": learner.temperature, "frames_per_s": speed, "progress": progress,
                                 "spent_s": round(now.spent_s, 1)})
            if rank == 0 and (now.step % 100 == 0 or now.step <= 3):
                say(f"step {now.step} ({100 * progress:.1f} %): loss {mean:.3f}, {speed:.0f} frames/s")
            if not math.isfinite(mean):
                raise InputError(f"the loss is {mean} at step {now.step}: lower --lr, or train without bf16.")
            tick, frames, losses = time.monotonic(), 0, []
    return best if best.is_file() else last


def evenly_by_speaker(clips: list[Clip], count: int) -> list[Clip]:
    """Up to `count` clips, taking the longest of every speaker first, then the next, the same each time."""
    by_speaker: dict[str, list[Clip]] = {}
    for clip in sorted(clips, key=lambda c: (-min(c.frames, 100), c.key)):
        by_speaker.setdefault(clip.speaker, []).append(clip)
    rounds = max((len(g) for g in by_speaker.values()), default=0)
    order = [g[i] for i in range(rounds) for _, g in sorted(by_speaker.items()) if i < len(g)]
    return order[:count]


def _look(average: WeightAverage, config: TrainConfig, clips: list[Clip], device: torch.device) -> list[Accuracy]:
    """Accuracy of each pair of heads."""
    model = SyncNet(config.network).to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    model.load_state_dict(average.state)
    return [measure(model, clips, device=device, bf16=config.bf16, wide=wide)
            for wide in ([False, True] if config.network.context else [False])]


def _judge(now: Standing, results: list[Accuracy], log: Log, say: Callable[[str], None]) -> bool:
    """Write an evaluation down; whether it is the best so far (by the mean over contexts and heads)."""
    now.metrics = {}
    for result, suffix in zip(results, ("", " wide"), strict=False):
        now.metrics |= {**{f"K{k}{suffix}": v for k, v in result.windows.items()}, f"whole{suffix}": result.whole}
        say(f"step {now.step}: held out{suffix} {result}")
    log.write(now.step, {"held_out": now.metrics, "clips": results[0].clips, "spent_s": round(now.spent_s, 1)})
    scores = [share for result in results for share in result.windows.values()]
    score = sum(scores) / len(scores)
    better = score > now.best
    now.best, now.stale = (score, 0) if better else (now.best, now.stale + 1)
    return better


def _batches(pairs: Pairs, first: int, workers: int, device: torch.device) -> Iterator[Batch]:
    order = range(first, CALIBRATION)
    loader: DataLoader[Batch] = DataLoader(pairs, batch_size=None, sampler=order, num_workers=workers,
                                           prefetch_factor=4 if workers else None, pin_memory=device.type == "cuda")
    return iter(loader)


FREE_TO_CHANGE = {"steps", "minutes", "patience", "workers", "compute", "tensorboard", "eval_minutes", "eval_steps",
                  "save_minutes", "eval_clips", "lr", "final_lr", "clips", "speakers", "minutes_of_video"}


def _check_same_course(before: dict[str, Any], now: dict[str, Any], path: Path) -> None:
    changed = sorted(k for k, v in now.items() if k not in FREE_TO_CHANGE and before.get(k) != v)
    if changed:
        raise InputError(f"{path} was trained with other settings ({', '.join(changed)}): "
                         "choose another --out, or the same settings to resume.")
