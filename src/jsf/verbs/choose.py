"""`jsf choose`: which of several sentences fits a video best."""

from collections.abc import Sequence
from pathlib import Path

from jsf.data.errors import JsfError
from jsf.runtime.load import load_scorer
from jsf.verbs.output import note, print_json, print_table
from jsf.verbs.videos import VideoReader, check_sentence, note_unknown


def show_choice(
    video: str, sentences: Sequence[str], bundle: Path | None, device: str, precision: str, json: bool
) -> None:
    """Prints the sentences ranked by their scores, the chosen one first.

    Raises:
        JsfError: bad input.
    """
    if len(sentences) < 2:
        raise JsfError(
            f"got {len(sentences)} sentence, expected two or more to choose from.",
            'For example: jsf choose video.npz "a car stops" "a car turns" "a man runs"',
        )
    for sentence in sentences:
        check_sentence(sentence)
    scorer = load_scorer(bundle, device, precision)
    note_unknown(scorer.vocabulary, sentences)
    note(f"scoring with {scorer.description}")
    features = scorer.features(VideoReader(scorer.bundle, device, precision).read(video))
    scores = scorer.score_pairs([(features, sentence) for sentence in sentences]).tolist()
    ranked = sorted(zip(sentences, scores, strict=True), key=lambda pair: -pair[1])
    if json:
        found = [{"sentence": sentence, "score": score} for sentence, score in ranked]
        print_json({"video": video, "backend": scorer.description, "chosen": ranked[0][0], "scores": found})
        return
    rows = [(sentence, f"{score:.4f}", str(rank)) for rank, (sentence, score) in enumerate(ranked, start=1)]
    print_table(video, ("sentence", "score", "rank"), rows)
