from collections import Counter

import numpy as np
import pytest

from jsf.data.text import tokenize
from jsf.demo.scenes import SOUNDS, SPLITS, TEMPLATES, generate, hard_negatives

SEEDS = (0, 1, 7)


@pytest.fixture(params=SEEDS)
def splits(request):
    return generate(request.param)


def test_the_seed_decides_the_clips():
    assert generate(3) == generate(3)
    assert generate(3) != generate(4)


def test_no_pair_of_scenes_is_in_two_splits(splits):
    pairs = {split: {frozenset(clip.scenes) for clip in clips} for split, clips in splits.items()}
    assert {split: len(found) for split, found in pairs.items()} == SPLITS
    assert len(set().union(*pairs.values())) == sum(SPLITS.values())


def test_every_pair_comes_in_both_orders_with_each_of_its_two_sounds(splits):
    for clips in splits.values():
        orders = Counter((clip.scenes, clip.sound) for clip in clips)
        assert set(orders.values()) == {1}
        assert all((scenes[::-1], sound) in orders for scenes, sound in orders)


def test_scenes_of_a_clip_differ_in_colour_and_shape(splits):
    for first, second in (clip.scenes for clips in splits.values() for clip in clips):
        assert first.colour != second.colour
        assert first.shape != second.shape


def test_training_names_every_word_of_the_held_out_captions_more_than_three_times(splits):
    counts = Counter(word for clip in splits["train"] for text in clip.captions() for word in tokenize(text))
    held_out = {word for clip in splits["test"] for text in clip.captions() for word in tokenize(text)}
    negatives = {
        word
        for clip in splits["test"]
        for text in hard_negatives(clip, np.random.default_rng(0)).values()
        for word in tokenize(text)
    }
    assert min(counts[word] for word in held_out | negatives) > 3


def test_hard_negatives_differ_only_in_what_they_should(splits):
    rng = np.random.default_rng(0)
    for clip in splits["test"]:
        caption, wrong = clip.captions()[0], hard_negatives(clip, rng)
        assert list(wrong) == ["order", "attribute", "sound"]
        assert wrong["order"] != caption
        assert Counter(tokenize(wrong["order"])) == Counter(tokenize(caption))
        words, changed = tokenize(caption), tokenize(wrong["attribute"])
        assert len(words) == len(changed)
        assert sum(word != other for word, other in zip(words, changed, strict=True)) == 1
        (heard,) = (sound for sound in SOUNDS if sound in wrong["sound"])
        assert wrong["sound"].replace(heard, clip.sound) == caption
        assert wrong["sound"] != caption


def test_hard_negatives_are_false_of_the_clip_however_it_is_described(splits):
    rng = np.random.default_rng(0)
    for clip in splits["test"]:
        first, second = clip.scenes
        true = {template.format(first=first, second=second, sound=clip.sound) for template in TEMPLATES}
        assert not true & set(hard_negatives(clip, rng).values())
