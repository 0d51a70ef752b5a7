"""`jsf fill`: the most probable words for the blank of a sentence about a video."""

from pathlib import Path

from jsf.runtime.scorer import Scorer
from jsf.verbs.output import note, print_json, print_table
from jsf.verbs.videos import VideoReader, check_sentence, note_unknown


def show_words(
    video: str, sentence: str, top: int, bundle: Path | None, device: str, precision: str, json: bool
) -> None:
    """Prints the `top` words and their probabilities.

    Raises:
        JsfError: bad input.
    """
    check_sentence(sentence)
    scorer = Scorer.load(bundle, device, precision)
    note_unknown(scorer.vocabulary, [sentence])
    note(f"scoring with {scorer.description}")
    features = scorer.features(VideoReader(scorer.bundle, device, precision).read(video))
    words = scorer.fill(features, sentence, top)
    if json:
        found = [{"word": word, "probability": probability} for word, probability in words]
        print_json({"video": video, "sentence": sentence, "backend": scorer.description, "words": found})
        return
    print_table(f'"{sentence}"', ("word", "probability"), [(word, f"{100 * share:.1f} %") for word, share in words])
