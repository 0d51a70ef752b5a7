"""`jsf import-checkpoint`: the authors' released weights to `best.pt`."""

from pathlib import Path

from jsf.data.extras import require
from jsf.data.variables import read_variables
from jsf.data.word_list import read_word_list
from jsf.verbs.output import print_json


def show_import(ckpt: Path, words: Path, out: Path, json: bool) -> None:
    """Imports, and prints what the checkpoint holds.

    Raises:
        JsfError: bad input, or PyTorch or, for a TensorFlow checkpoint, TensorFlow is not installed.
    """
    require("torch", "train")
    from jsf.models.checkpoint import Checkpoint
    from jsf.models.official import official_model

    model = official_model(read_variables(ckpt))
    config = model.config
    vocabulary = read_word_list(words, config.vocabulary_size, config.fills_blanks)
    Checkpoint(model, vocabulary).save(out)
    if json:
        sizes = {"features": config.feature_width, "joint": config.joint, "words": len(vocabulary.words)}
        print_json({"checkpoint": str(out), "task": config.task, **sizes})
        return
    print(
        f"{out}: {config.task}, features {config.feature_width} wide, joint width {config.joint}, "
        f"{len(vocabulary.words):,} words"
    )
