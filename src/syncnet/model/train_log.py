"""What a course of training leaves to read: one JSON line per entry, and TensorBoard."""

import json
import os
from pathlib import Path
from typing import Any


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
