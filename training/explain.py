"""What a score rests on, from a checkpoint: as `jsf.runtime.explain`, through PyTorch."""

from collections.abc import Sequence

import torch

from jsf.data.errors import JsfError
from jsf.data.sequence import FeatureSequence
from jsf.models.checkpoint import Checkpoint
from jsf.runtime.explain import Explanation, Inputs
from jsf.runtime.features import model_features


@torch.inference_mode()
def explain(checkpoint: Checkpoint, video: FeatureSequence, sentences: Sequence[str]) -> list[Explanation]:
    """What the scores of one video with each sentence rest on.

    Raises:
        JsfError: the features are of another width or extractor, a sentence has no known word or not one blank, or the
            model has no maps.
    """
    model, config = checkpoint.jsfusion, checkpoint.jsfusion.config
    if config.fusion != "jst-chd":
        raise JsfError(
            f"the model '{config.preset}' has no maps: it does not compare frame with word.",
            "Explain a model that has JST and CHD.",
        )
    features = model_features(video, checkpoint.extractor, config.feature_width)
    inputs = Inputs.of(features, sentences, checkpoint.vocabulary, config.fills_blanks, config.left_padded)
    frame_lengths, word_lengths = torch.from_numpy(inputs.frame_lengths), torch.from_numpy(inputs.word_lengths)
    scores, maps = model.matcher.explain(
        model.frame_encoder(torch.from_numpy(inputs.frames), frame_lengths),
        frame_lengths,
        model.word_encoder(torch.from_numpy(inputs.words), word_lengths),
        word_lengths,
        torch.from_numpy(inputs.video_index),
        torch.from_numpy(inputs.sentence_index),
        None if inputs.blanks is None else torch.from_numpy(inputs.blanks),
    )
    stages, gates = ([value.numpy() for value in values] for values in (maps.stages, maps.gates))
    return inputs.explanations(scores.numpy(), maps.attention.numpy(), stages, gates)
