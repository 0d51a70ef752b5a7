"""The configurations that have a name: the paper's, its authors' program's, a small one; and the paper's ablations."""

from dataclasses import replace
from typing import Any

from jsf.data.errors import JsfError
from jsf.data.task_names import TASKS
from jsf.models.config import JSFusionConfig

_MATCHING: dict[str, dict[str, Any]] = {
    "paper": {},
    "official": {
        "left_padded": True,
        "word_skip": False,
        "conv_activation": "leaky",
        "head_activation": "leaky",
        "score_norm": True,
        "lstm_in_dropout": 0.5,
        "lstm_out_dropout": 0.5,
        "norm_padding": True,
    },
    "small": {
        "frame_channels": 128,
        "lstm": 64,
        "joint": 64,
        "refine": 64,
        "conv": 48,
        "head": (64, 64, 64),
        "frame_dropout": 0.2,
        "embedding_dropout": 0.2,
        "lstm_out_dropout": 0.2,
        "norm_decay": 0.9,
    },
}

_OFFICIAL_ANSWERS = {
    **_MATCHING["official"],
    "timing": True,
    "conv_activation": "tanh",
    "gate_activation": "tanh",
    "head_activation": "tanh",
    "frame_dropout": 0.5,
}
"""What the authors' multiple choice and fill-in-the-blank have in common."""

PRESETS: dict[str, dict[str, dict[str, Any]]] = {
    "retrieval": _MATCHING,
    "multiple-choice": {**_MATCHING, "official": {**_OFFICIAL_ANSWERS, "frame_norm": True}},
    "fill-in-the-blank": {
        "paper": {
            "joint": 1024,
            "refine": 2048,
            "conv": 1024,
            "head": (1024, 1024, 1024),
            "frame_dropout": 0.2,
            "embedding_dropout": 0.2,
            "lstm_out_dropout": 0.2,
        },
        "official": {
            **_OFFICIAL_ANSWERS,
            "frame_skip": False,
            "joint": 1024,
            "refine": 1024,
            "blank_only": True,
            "blank_hidden": True,
            "conv": 1024,
            "pool": "sum",
            "head": (1024, 1024, 1024),
            "skip": 0.5,
            "score_norm": False,
            "cnn_dropout": 0.5,
            "embedding_dropout": 0.5,
            "word_dropout": 0.5,
        },
        "small": _MATCHING["small"],
    },
}
"""Task -> preset -> what differs from `JSFusionConfig`. Sources: Table 1 and section 3.6; the authors' code."""

ABLATIONS: dict[str, dict[str, Any]] = {
    "lstm-fusion": {
        "frame_context": "lstm",
        "frame_skip": False,
        "word_context": "lstm",
        "word_skip": False,
        "fusion": "final-states",
        "blank_only": False,
    },
    "jst-fc": {"word_context": "dense"},
    "jst-lstm": {"word_context": "lstm"},
    "jst-max": {"composer": "max"},
    "jst-mean": {"composer": "mean"},
    "no-attention": {"gated": False},
    "no-audio": {},
    "vgg-no-audio": {},
}
"""The variants of the paper's Tables 2 and 3. Those without sound also need to know how wide it is: `unseen`."""


def preset(
    name: str, task: str, feature_width: int, vocabulary_size: int, model: str = "jsfusion", unseen: int = 0
) -> JSFusionConfig:
    """The configuration of a model.

    Args:
        name: "paper", "official" or "small".
        task: one of TASKS.
        feature_width: D of the features.
        vocabulary_size: words, padding included.
        model: "jsfusion", or the name of an ablation.
        unseen: the last so many numbers of a frame are not looked at.

    Raises:
        JsfError: there is no such preset, task or model.
    """
    _check("task", task, TASKS)
    _check("preset", name, PRESETS[task])
    _check("model", model, ("jsfusion", *ABLATIONS))
    if unseen > feature_width:
        raise JsfError(f"{unseen} numbers of a frame are to be left out, and features are {feature_width} wide.")
    settings = {**PRESETS[task][name], **ABLATIONS.get(model, {}), "unseen": unseen}
    label = name if model == "jsfusion" else f"{name}, {model}"
    base = JSFusionConfig(label, feature_width, vocabulary_size)
    return replace(base, task=task, **settings)  # type: ignore[arg-type]  # checked above


def _check(what: str, name: str, known: Any) -> None:
    if name not in known:
        raise JsfError(f"there is no {what} '{name}', expected one of: {', '.join(known)}.")
