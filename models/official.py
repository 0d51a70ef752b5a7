"""The authors' released weights: TensorFlow's variables, by name, become the state of a JSFusion model."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from jsf.data.errors import JsfError
from jsf.models.config import JSFusionConfig
from jsf.models.jsfusion import JSFusion
from jsf.models.presets import preset

Arrays = Mapping[str, npt.NDArray[Any]]

_CELL = "cap_rnn/bidirectional_rnn/{}/multi_rnn_cell/cell_0/basic_lstm_cell"
_NAMES = {
    "retrieval": ("video_cnn", "vid_rnn_fc", "cap_rnn/cap_rnn_fc", "multimodal", "multimodal"),
    "multiple-choice": ("video_cnn", "vid_fc", "cap_fc", "multimodal", "multimodal"),
    "fill-in-the-blank": ("video_rnn", "vid_rnn_fc", "cap_rnn/cap_rnn_fc", "after_fusion", "after_sum"),
}
"""The scopes of the frame CNN, D1v, D1w, JST with CHD, and D5 to D7 in each task's graph."""

_JST = {
    "retrieval": ("rel_h1", "rel_halp", "rel_h2", "rel_h3"),
    "multiple-choice": ("rel_h1", "rel_halp", "rel_h2", "rel_h3"),
    "fill-in-the-blank": ("fc1", "fcalp", "fc2", "fc3"),
}
"""The layers D2, w, D3 and D4."""

_EXPECTED = "Expected the authors' released JSFusion checkpoint of one task, or an .npz of its variables."


def official_model(variables: Arrays) -> JSFusion:
    """The model, in eval mode, that a released checkpoint holds.

    Its task is read off the variables' names and its widths off their shapes; all else is the preset `official`.

    Args:
        variables: name -> array, as in the checkpoint; the optimizer's are ignored.

    Raises:
        JsfError: a variable is missing or has another shape than the authors' graph gives it.
    """
    config = _config(variables, _task(variables))
    state = dict(_state(variables, config))
    with torch.device("meta"):  # sizes are compared before anything of them is allocated
        expected = JSFusion(config).state_dict()
    for name, value in state.items():
        if value.shape != expected[name].shape:
            raise JsfError(
                f"{name} is {list(value.shape)} in the checkpoint, expected {list(expected[name].shape)}.", _EXPECTED
            )
    model = JSFusion(config)
    # The standardization and the timing signal are no variables there.
    model.load_state_dict({**model.state_dict(), **state})
    return model.eval()


def _task(variables: Arrays) -> str:
    if "rnn_output/weights" in variables:
        return "fill-in-the-blank"
    if "video_cnn/conv1/BatchNorm/beta" in variables:
        return "multiple-choice"
    return "retrieval"


def _config(v: Arrays, task: str) -> JSFusionConfig:
    cnn, d1v, _, joint, head = _NAMES[task]
    feature_width, frame_channels = _shape(v, f"{cnn}/conv1/weights", 4)[2:]
    vocabulary_size, word_width = _shape(v, "word_embed", 2)
    config = preset("official", task, feature_width, vocabulary_size)
    d5, d6, d7 = (_shape(v, f"{head}/fc{i}/weights", 2)[1] for i in (1, 2, 3))
    return replace(
        config,
        frame_channels=frame_channels,
        word_width=word_width,
        lstm=_shape(v, f"{_CELL.format('fw')}/bias", 1)[0] // 4,
        joint=_shape(v, f"{d1v}/weights", 2)[1],
        refine=_shape(v, f"{joint}/{_JST[task][2]}/weights", 2)[1],
        conv=_shape(v, f"{joint}/conv1/weights", 4)[3] - config.fills_blanks,  # its gate is the last channel there
        head=(d5, d6, d7),
    )


def _state(v: Arrays, config: JSFusionConfig) -> Iterator[tuple[str, Tensor]]:
    cnn, d1v, d1w, joint, head = _NAMES[config.task]
    for i in range(3):
        yield f"frame_encoder.context.convolutions.{i}.weight", _convolution(v, f"{cnn}/conv{i + 1}/weights").squeeze(3)
        if config.frame_norm:
            yield from _norm(v, f"{cnn}/conv{i + 1}", f"frame_encoder.context.norms.{i}")
        else:
            yield f"frame_encoder.context.convolutions.{i}.bias", _tensor(v, f"{cnn}/conv{i + 1}/biases")
    yield "word_encoder.embedding.weight", _tensor(v, "word_embed", 2)
    for direction, suffix in (("fw", ""), ("bw", "_reverse")):
        yield from _lstm(v, _CELL.format(direction), suffix, config.word_width)
    yield from _dense(v, d1v, "frame_encoder.d1")
    yield from _dense(v, d1w, "word_encoder.d1")
    for name, ours in zip(_JST[config.task], ("d2", "w", "d3", "d4"), strict=True):
        yield from _dense(v, f"{joint}/{name}", f"matcher.fusion.jst.{ours}")
    for i in range(3):
        yield from _stage(v, f"{joint}/conv{i + 1}", f"matcher.fusion.chd.stages.{i}", config)
    for i in (5, 6, 7):
        yield from _dense(v, f"{head}/fc{i - 4}", f"matcher.head.d{i}")
    if config.fills_blanks:
        yield "matcher.head.d8.weight", _tensor(v, "rnn_output/weights", 2).T
        yield "matcher.head.d8.bias", _tensor(v, "rnn_output/biases")
    else:
        # Multiple choice takes the negative of this layer as its logit: the sign goes into the weights.
        sign = -1.0 if config.task == "multiple-choice" else 1.0
        for name, value in _dense(v, f"{joint}/scorefn", "matcher.head.d8"):
            yield name, value if name.endswith("variance") else sign * value


def _stage(v: Arrays, name: str, ours: str, config: JSFusionConfig) -> Iterator[tuple[str, Tensor]]:
    weights, biases = _convolution(v, f"{name}/weights"), _tensor(v, f"{name}/biases")
    if config.fills_blanks:  # the gate is the last channel of the same convolution
        split = config.conv
        gate_weights, gate_biases = weights[split:], biases[split:]
        weights, biases = weights[:split], biases[:split]
    else:
        gate_weights, gate_biases = _convolution(v, f"{name}alp/weights"), _tensor(v, f"{name}alp/biases")
    yield f"{ours}.convolution.weight", weights
    yield f"{ours}.convolution.bias", biases
    yield f"{ours}.gate.weight", gate_weights
    yield f"{ours}.gate.bias", gate_biases


def _dense(v: Arrays, name: str, ours: str) -> Iterator[tuple[str, Tensor]]:
    yield f"{ours}.linear.weight", _tensor(v, f"{name}/weights", 2).T
    yield from _norm(v, name, f"{ours}.norm")


def _norm(v: Arrays, name: str, ours: str) -> Iterator[tuple[str, Tensor]]:
    yield f"{ours}.shift", _tensor(v, f"{name}/BatchNorm/beta")
    yield f"{ours}.mean", _tensor(v, f"{name}/BatchNorm/moving_mean")
    yield f"{ours}.variance", _tensor(v, f"{name}/BatchNorm/moving_variance")


def _lstm(v: Arrays, name: str, suffix: str, inputs: int) -> Iterator[tuple[str, Tensor]]:
    """TensorFlow's kernel [inputs + hidden, 4 * hidden], gates i, j, f, o -> PyTorch's two, gates i, f, g, o."""
    i, j, f, o = _tensor(v, f"{name}/kernel", 2).T.tensor_split(4)
    kernel = torch.cat([i, f, j, o])
    i, j, f, o = _tensor(v, f"{name}/bias").tensor_split(4)
    bias = torch.cat([i, f + 1.0, j, o])  # TensorFlow adds its forget bias as it runs
    yield f"word_encoder.context.lstm.weight_ih_l0{suffix}", kernel[:, :inputs]
    yield f"word_encoder.context.lstm.weight_hh_l0{suffix}", kernel[:, inputs:]
    yield f"word_encoder.context.lstm.bias_ih_l0{suffix}", bias
    yield f"word_encoder.context.lstm.bias_hh_l0{suffix}", torch.zeros_like(bias)


def _convolution(v: Arrays, name: str) -> Tensor:
    """[height, width, in, out] -> [out, in, height, width]."""
    return _tensor(v, name, 4).permute(3, 2, 0, 1)


def _tensor(v: Arrays, name: str, dimensions: int = 1) -> Tensor:
    _shape(v, name, dimensions)
    return torch.from_numpy(np.array(v[name], np.float32))


def _shape(v: Arrays, name: str, dimensions: int) -> tuple[int, ...]:
    if name not in v:
        raise JsfError(f"the checkpoint has no variable '{name}'.", _EXPECTED)
    if v[name].ndim != dimensions:
        raise JsfError(
            f"{name} is {list(v[name].shape)} in the checkpoint, expected {dimensions} dimensions.", _EXPECTED
        )
    return v[name].shape
