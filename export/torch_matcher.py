"""A checkpoint's matcher as a graph of the runtime: the peer that `jsf bench` compares bundles with."""

from functools import partial
from pathlib import Path

import numpy as np
import torch

from jsf.data.errors import JsfError
from jsf.models.checkpoint import Checkpoint
from jsf.models.jsfusion import JSFusion
from jsf.runtime.backends.base import Arrays, Graph, TensorSpec
from jsf.runtime.bench.candidates import Candidate
from jsf.runtime.bundle import MATCHER
from jsf.runtime.graphs import Graphs


class TorchMatcher(Graph):
    """A matcher as it was trained, in PyTorch on the CPU.

    Args:
        model: in eval mode.
        compiled: through `torch.compile`, anew for each size; the first run of a size takes long.
    """

    def __init__(self, model: JSFusion, compiled: bool = False) -> None:
        config, matcher = model.config, model.matcher
        self._matcher = torch.compile(matcher, dynamic=False) if compiled else matcher
        self.inputs = (
            _spec("videos", np.float32, "V", "frames", config.joint),
            _spec("video_lengths", np.int32, "V"),
            _spec("sentences", np.float32, "S", "words", config.joint),
            _spec("sentence_lengths", np.int32, "S"),
            _spec("video_index", np.int32, "P"),
            _spec("sentence_index", np.int32, "P"),
            *([_spec("blanks", np.int32, "S")] if config.fills_blanks else []),
        )
        words = (config.vocabulary_size,) if config.fills_blanks else ()
        self.outputs = (_spec("scores", np.float32, "P", *words),)
        how = "torch.compile of " if compiled else ""
        self.description = f"{how}torch {torch.__version__} on cpu, {torch.get_num_threads()} threads"

    @torch.inference_mode()
    def _run(self, arrays: Arrays) -> Arrays:
        # PyTorch warns of arrays that are not writable.
        tensors = [torch.from_numpy(np.require(arrays[spec.name], requirements="W")) for spec in self.inputs]
        try:
            scores = self._matcher(*tensors)
        except RuntimeError as error:  # out of memory, or no C++ compiler
            raise JsfError(f"{self.description} cannot run the matcher: {str(error).splitlines()[0]}") from error
        return {"scores": scores.numpy()}


def torch_peers(ckpt: Path) -> list[Candidate]:
    """A checkpoint's matcher in PyTorch, eager and compiled."""
    names = ("PyTorch eager FP32", "torch.compile FP32")
    return [
        Candidate(name, "cpu", "fp32", partial(_open, ckpt, compiled), peer=True)
        for name, compiled in zip(names, (False, True), strict=True)
    ]


def _open(ckpt: Path, compiled: bool) -> Graphs:
    matcher = TorchMatcher(Checkpoint.load(ckpt).jsfusion, compiled)
    return Graphs({MATCHER: matcher}, f"{matcher.description}, fp32")


def _spec(name: str, dtype: type[np.generic], *shape: int | str) -> TensorSpec:
    return TensorSpec(name, np.dtype(dtype), shape)
