"""What a training run leaves behind: the best checkpoint and the log of every epoch, each whole at any moment."""

import json
import math
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.plugins.io import TorchCheckpointIO

from jsf.data.errors import JsfError
from jsf.data.files import replacing
from jsf.models.checkpoint import Checkpoint
from jsf.training.checks import BEST, LOG
from jsf.training.loop import TrainingLoop


class WholeFiles(TorchCheckpointIO):
    """Writes `last.ckpt` beside its place and renames it: a kill leaves the one before."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        """As Lightning's, whole or not at all."""
        with replacing(Path(path)) as temporary:
            torch.save(checkpoint, temporary)


class BestCheckpoint(Callback):
    """Writes `best.pt` when the validation score rises, and `metrics.jsonl`, a line per epoch; stops a run in time.

    The history travels in Lightning's `last.ckpt`, so a resumed run continues it and never repeats an epoch's line.

    Args:
        folder: of the run.
        extractor: what made the training features.
    """

    def __init__(self, folder: Path, extractor: str) -> None:
        self.folder, self.extractor = folder, extractor
        self.history: list[dict[str, float]] = []

    def state_dict(self) -> dict[str, Any]:
        """What `last.ckpt` keeps."""
        return {"history": self.history}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """What a resumed run continues from."""
        self.history = state_dict["history"]

    def on_train_epoch_end(self, trainer: Trainer, module: LightningModule) -> None:
        """Adds the epoch to the log; keeps the model if it is the best so far; ends the run if no better one came."""
        assert isinstance(module, TrainingLoop)
        line = {"epoch": float(trainer.current_epoch)}
        found = trainer.callback_metrics  # it keeps what the last validated epoch found
        if not math.isfinite(found["loss"]):
            raise JsfError(
                f"the loss is {float(found['loss'])} in epoch {trainer.current_epoch}.",
                "Train anew with a lower rate, such as --set learning_rate=1e-4.",
            )
        fresh = found if module.validated == trainer.current_epoch else {"loss": found["loss"]}
        line.update({name: float(value) for name, value in fresh.items()})
        best = max((past.get("score", -1.0) for past in self.history), default=-1.0)
        self.history.append(line)
        ends = exhausted(self.history, module.recipe.patience)
        trainer.should_stop |= trainer.strategy.reduce_boolean_decision(ends, all=False)
        if not trainer.is_global_zero:
            return
        with replacing(self.folder / LOG) as temporary:
            temporary.write_text("".join(json.dumps(past) + "\n" for past in self.history))
        if line.get("score", -1.0) >= best:  # of equals the later one, whose loss is lower
            recipe = {**asdict(module.recipe), "seed": module.seed}
            Checkpoint(module.model, module.vocabulary, self.extractor, line, recipe).save(self.folder / BEST)

    def on_exception(self, trainer: Trainer, module: LightningModule, exception: BaseException) -> None:
        """Says what an interrupted run leaves behind; Lightning ends it quietly."""
        if isinstance(exception, KeyboardInterrupt) and trainer.is_global_zero:
            print(f"interrupted; {self.folder} continues after its last whole epoch with --resume", file=sys.stderr)


def exhausted(history: list[dict[str, float]], patience: int) -> bool:
    """Whether the last epoch was validated, and `patience` epochs did not raise the score."""
    scores = [line.get("score", -1.0) for line in history]
    return scores[-1] >= 0 and len(scores) - 1 - scores.index(max(scores)) >= patience


def stopped_early(log: Path, patience: int) -> bool:
    """Whether the run of this log ended before its last epoch: resuming would train on."""
    return log.is_file() and exhausted([json.loads(line) for line in log.read_text().splitlines()], patience)
