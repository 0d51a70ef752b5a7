"""A training step's loss is the sum of its terms, each by its formula; what a batch cannot tell is not learnt."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from jsf.data.paragraphs import Paragraph, uniform
from jsf.data.split import Split
from jsf.data.vocabulary import Vocabulary
from jsf.models.hse.config import HSEConfig
from jsf.models.hse.hse import HSE
from jsf.training.hse.examples import HSEExamples
from jsf.training.hse.module import HSEModule
from jsf.training.hse.recipe import RECIPES, HSERecipe

pytestmark = pytest.mark.filterwarnings("ignore:.*self.log.*trainer")

ALONE = {"context": 0.0, "within": 0.0, "low": 0.0, "reconstruct_high": 0.0, "reconstruct_low": 0.0}
"""Weights of a recipe that leave the upper level alone."""

MIXED = {"context": 0.7, "within": 0.3, "low": 1.1, "reconstruct_high": 0.0, "reconstruct_low": 0.0}


@pytest.fixture
def step_of(stories, golden_weights):
    """(rows, hierarchical, **recipe) -> the module and a batch of all rows."""

    def build(rows, hierarchical=True, **fields):
        split, recipe = Split(stories["split"].store, rows), HSERecipe(**fields)
        vocabulary = Vocabulary.build((row.sentence for row in rows), min_count=1)
        config = HSEConfig("tiny", 3, len(vocabulary), hierarchical, 8, 4, 9, 3, 2, word_width=5, hidden=8)
        model = golden_weights(HSE(config), gain=1.5).train()
        torch.manual_seed(0)
        batch = HSEExamples(split, vocabulary, config.limits, recipe).stack(
            np.arange(len(rows)), np.random.default_rng(0)
        )
        return HSEModule(model, recipe, vocabulary, split, seed=0), batch

    return build


@pytest.fixture(scope="module")
def rows(stories):
    """Five stories; the last has a clip more, and shares a sentence with the first."""
    rows = [*stories["split"].rows[3:15:3], stories["split"].rows[20]]
    last = rows[-1]
    sentences = (last.sentences[0], rows[0].sentences[1], "red")
    return [*rows[:-1], replace(last, sentences=sentences, spans=((0.0, 0.4), (0.4, 0.8), (0.7, 1.0)))]


def cosine(a, b):
    return float(a @ b / math.sqrt((a @ a) * (b @ b)))


def table(a, b):
    return np.array([[cosine(x, y) for y in b] for x in a])


def matched(scores, wrong, recipe):
    """C(A, B) by loops."""
    size, total = len(scores), 0.0
    others = [[j for j in range(size) if wrong[i, j]] for i in range(size)]
    if recipe.loss == "contrastive":
        for way in (scores, scores.T):
            for i in range(size):
                rivals = sum(math.exp(way[i, j] / recipe.temperature) for j in [i, *others[i]])
                total -= (way[i, i] / recipe.temperature - math.log(rivals)) / (2 * size)
        return total
    pick = max if recipe.loss == "hardest" else sum
    for i in range(size):
        for way in (scores, scores.T):
            total += pick([max(0.0, 0.2 + way[i, j] - way[i, i]) for j in others[i]] or [0.0])
    return total / size**2 if recipe.average else total


def level(a, b, wrong, recipe):
    within = matched(table(a, a), wrong, recipe) + matched(table(b, b), wrong, recipe)
    return matched(table(a, b), wrong, recipe) + recipe.within * within


def sides(module, batch):
    with torch.no_grad():
        return module.model.video_encoder.levels(*batch.videos), module.model.text_encoder.levels(*batch.texts)


def parts_of(levels, inputs):
    """The parts of each member, [n, H] each."""
    return [parts[lengths > 0].numpy() for parts, lengths in zip(levels.parts, inputs[3], strict=True)]


FORMS = [
    {},
    {"loss": "hardest"},
    {"average": True},
    {"loss": "contrastive", "temperature": 0.2},
    {"loss": "contrastive", "within": 0.0},
]


@pytest.mark.parametrize("form", FORMS, ids=str)
@pytest.mark.parametrize("weak", [False, True])
def test_the_loss_is_the_sum_of_its_terms(step_of, rows, form, weak):
    module, batch = step_of(rows, **{**MIXED, "weak": weak, **form})
    recipe, (videos, texts) = module.recipe, sides(module, batch)
    wrong = batch.wrong.numpy()
    assert wrong.sum() == 20
    expected = level(videos.top.numpy(), texts.top.numpy(), wrong, recipe)
    expected += 0.7 * matched(table(videos.context.numpy(), texts.context.numpy()), wrong, recipe)
    clips, sentences = parts_of(videos, batch.videos), parts_of(texts, batch.texts)
    if weak:
        scores = np.zeros((5, 5))
        for i, j in np.ndindex(5, 5):
            each = table(clips[i], sentences[j])
            scores[i, j] = (each.max(1).mean() + each.max(0).mean()) / 2
        expected += 1.1 * matched(scores, wrong, recipe)
    else:
        told = [sentence for row in rows for sentence in row.sentences]
        differ = np.array([[one != other for other in told] for one in told])
        assert len(told) == 11 and not differ.all() and (~differ).sum() > 11
        expected += 1.1 * level(np.concatenate(clips), np.concatenate(sentences), differ, recipe)
    assert module.training_step(batch).item() == pytest.approx(expected, rel=1e-4)


def test_a_batch_with_one_paragraph_that_is_not_paired_is_weak(step_of, rows):
    unpaired = [*rows[:-1], replace(rows[-1], paired=False)]
    losses = [step_of(given, **MIXED, weak=weak) for given, weak in ((rows, False), (rows, True), (unpaired, False))]
    paired, weak, found = (module.training_step(batch).item() for module, batch in losses)
    assert found == weak != pytest.approx(paired, rel=1e-3)


def test_clips_and_sentences_may_differ_in_number_where_they_are_not_paired(step_of, rows):
    module, batch = step_of([uniform(row, 3) for row in rows[:-1]], **MIXED)
    assert (batch.videos[3] > 0).sum() == 12 and (batch.texts[3] > 0).sum() == 8
    assert torch.isfinite(module.training_step(batch))


def test_flat_models_match_wholes_alone(step_of, rows):
    module, batch = step_of(rows, hierarchical=False, context=3.0, within=0.4, low=2.0)
    videos, texts = sides(module, batch)
    expected = level(videos.top.numpy(), texts.top.numpy(), batch.wrong.numpy(), module.recipe)
    assert module.training_step(batch).item() == pytest.approx(expected, rel=1e-5)
    assert module.high_decoders is None and module.low_decoders is None


@pytest.mark.parametrize(("high", "low"), [(0.5, 0.0), (0.0, 2.0), (0.5, 2.0)])
def test_reconstruction_is_of_parts_from_wholes_and_of_steps_from_parts(step_of, rows, high, low):
    module, batch = step_of(rows, **{**ALONE, "reconstruct_high": high, "reconstruct_low": low})
    assert [module.high_decoders is not None, module.low_decoders is not None] == [bool(high), bool(low)]
    plain, _ = step_of(rows, **ALONE)
    expected = plain.training_step(batch).item()
    steps = module.model.video_encoder.standardized, module.model.text_encoder.embedding
    for way, (levels, inputs) in enumerate(zip(sides(module, batch), (batch.videos, batch.texts), strict=True)):
        wholes, parts = [], []
        for row in range(5):
            lengths = inputs[3][row]
            count = int((lengths > 0).sum())
            if high:
                far = module.high_decoders[way](levels.top[[row]], levels.parts[[row], :count], torch.tensor([count]))
                wholes += [far.item()] * count
            for k in range(count if low else 0):
                n = int(lengths[k])
                target = steps[way](inputs[2][row, k, :n])[None]
                parts += [module.low_decoders[way](levels.parts[row, [k]], target, torch.tensor([n])).item()] * n
        expected += (high * np.mean(wholes) if high else 0) + (low * np.mean(parts) if low else 0)
    assert module.training_step(batch).item() == pytest.approx(expected, rel=1e-5)


def test_reconstruction_teaches_the_wholes_and_not_the_parts_nor_the_words(step_of, rows):
    module, batch = step_of(rows, **{**ALONE, "reconstruct_low": 1.0})
    plain, _ = step_of(rows, **ALONE)
    for each in (module, plain):
        each.training_step(batch).backward()
    ours, theirs = (each.model.text_encoder.embedding.weight.grad for each in (module, plain))
    assert not torch.allclose(ours, theirs)  # through the sentences that are decoded
    words = module.model.text_encoder.embedding
    with torch.no_grad():
        parts = module.model.text_encoder.levels(*batch.texts).parts
    words.weight.grad = None
    there = batch.texts[3] > 0
    module.low_decoders[1](parts[there], words(batch.texts[2][there]), batch.texts[3][there]).backward()
    assert words.weight.grad is None


@pytest.mark.parametrize("preset", ["paper", "small"])
def test_presets_learn_at_every_level_but_have_no_decoder_at_tau_zero(step_of, rows, preset):
    fields = {**RECIPES[preset].__dict__, "exchanges": 0}
    module, batch = step_of(rows, **fields)
    module.training_step(batch).backward()
    assert all(torch.isfinite(weight.grad).all() and weight.grad.any() for weight in module.parameters())
    assert (module.recipe.reconstruct_high, module.recipe.reconstruct_low) == (5e-4, 1e-4)
    fields |= {"reconstruct_high": 0.0, "reconstruct_low": 0.0}
    without, _ = step_of(rows, **fields)
    assert {name.partition(".")[0] for name, _ in without.named_parameters()} == {"model"}


def test_the_loss_of_exchanged_texts_with_a_hinge(step_of, rows):
    """Each of the copies is a wrong text of the videos, and of none the true one."""
    module, batch = step_of(rows, hierarchical=False, exchanges=1, within=0.0)
    videos, texts = sides(module, batch)
    scores, wrong = table(videos.top.numpy(), texts.top.numpy()), batch.wrong.numpy()
    assert scores.shape == (5, 10)
    expected = matched(scores[:, :5], wrong[:, :5], module.recipe)
    for i in range(5):
        expected += sum(max(0.0, 0.2 + scores[i, j] - scores[i, i]) for j in range(5, 10) if wrong[i, j])
    assert module.training_step(batch).item() == pytest.approx(expected, rel=1e-5)


def test_clips_of_one_video_that_two_rows_share_are_not_driven_apart(step_of, stories):
    """Two texts about one clip of one video: neither is wrong of it."""
    first = stories["split"].rows[0]
    rows = [
        Paragraph(first.video_id, ("red",), first.spans[:1]),
        Paragraph(first.video_id, ("blue",), first.spans[:1]),
    ]
    module, batch = step_of(rows, **{**ALONE, "low": 1.0})
    assert not batch.wrong.any()
    assert module.training_step(batch).item() == 0
