"""Tiny training shards made from nothing: a mouth that opens with the loudness of a hummed sound."""

import json
from pathlib import Path

import numpy as np
import torch

from syncnet.model.network import SyncNet, SyncNetConfig

RATE = 16000
TINY = SyncNetConfig(name="tiny", crop_size=31, video_widths=((4, 6), (6, 8), (8, 8)), shape_width=4, shape_features=8,
                     audio_widths=(4, 6, 8, 8), audio_features=12, hidden=16, embedding=10)


def wear_norms(model: SyncNet) -> SyncNet:
    """Give every batch norm statistics and weights as training leaves them, not as it finds them."""
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                assert module.running_mean is not None and module.running_var is not None
                module.running_mean.normal_(0.0, 0.2)
                module.running_var.uniform_(0.5, 2.0)
                module.weight.uniform_(0.5, 1.5)
    return model.eval()


def make_shards(folder: Path, *, clips: int = 6, frames: int = 40, size: int = 40, lead_s: float = 0.2,
                seed: int = 0) -> Path:
    """Write one shard of `clips` clips by as many speakers. The sound has `lead_s` more on both sides."""
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    pictures, sounds, lines = [], [], []
    crops_at = sound_at = 0
    for number in range(clips):
        seconds = frames / 25 + 2 * lead_s
        envelope = np.repeat(rng.uniform(0.0, 1.0, int(seconds * 12.5) + 2), RATE * 2 // 25)[: int(seconds * RATE)]
        time = np.arange(len(envelope)) / RATE
        sound = envelope * np.sin(2 * np.pi * (150 + 20 * number) * time) * 0.4
        sound += rng.normal(0, 0.003, len(sound))
        opening = envelope[((lead_s + (np.arange(frames) + 0.5) / 25) * RATE).astype(int)]
        y, x = np.mgrid[-1:1:size * 1j, -1:1:size * 1j]
        for value in opening:
            mouth = (x / 0.6) ** 2 + (y / (0.05 + 0.5 * value)) ** 2 < 1
            pictures.append(np.clip(150 - 110 * mouth + rng.normal(0, 4, mouth.shape), 0, 255).astype(np.uint8))
        sounds.append((sound * 32767).astype(np.int16))
        lines.append({"key": f"c{number}", "shard": "00000", "speaker": f"s{number}", "corpus": "made", "kind": "made",
                      "source": f"made/{number}.mp4", "track": 0, "frames": frames, "crops_at": crops_at,
                      "crop_size": size, "sound_at": sound_at, "sound_samples": len(sound), "sound_lead_s": lead_s,
                      "offset_ms": 0.0, "start_s": 0.0, "weight": 1.0, "quality": {}})
        crops_at += frames
        sound_at += len(sound)
    (folder / "00000.frames").write_bytes(np.stack(pictures).tobytes())
    (folder / "00000.sound").write_bytes(np.concatenate(sounds).tobytes())
    (folder / "manifest.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder
