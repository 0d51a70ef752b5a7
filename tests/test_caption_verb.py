"""`jsf caption`: what is printed of the clips of videos; and the table of `jsf evaluate`'s captioning."""

import json

import h5py
import numpy as np
import pytest
import torch

from jsf.data.errors import JsfError
from jsf.data.sequence import FeatureSequence
from jsf.data.split import Split
from jsf.data.vocabulary import Vocabulary
from jsf.evaluation.captioning import Captioning
from jsf.models.checkpoint import Checkpoint
from jsf.models.hse.captioner import Captioner, CaptionerConfig
from jsf.models.hse.config import HSEConfig
from jsf.training.hse.captioner import CheckpointCaptioner
from jsf.verbs.caption import show_captioning, show_captions

FEATURES = np.random.default_rng(0).standard_normal((10, 3)).astype(np.float32)


@pytest.fixture(scope="module")
def ckpt(tmp_path_factory):
    """The checkpoint of a captioner that cuts a video into two clips."""
    torch.manual_seed(2)
    embedding = HSEConfig("tiny", 3, 5, frames=8, clips=3, segments=2, word_width=4, hidden=6)
    config = CaptionerConfig("tiny", embedding, 5, segments=2, words=6, word_width=4, hidden=5)
    path = tmp_path_factory.mktemp("run") / "best.pt"
    Checkpoint(Captioner(config), Vocabulary(("a", "man", "'s", "dog")), "toy 1").save(path)
    return path


@pytest.fixture
def video(tmp_path):
    """Two seconds of features, as `video.npz`."""
    FeatureSequence(FEATURES, 5.0, "toy 1").save(tmp_path / "video.npz")
    return str(tmp_path / "video.npz")


@pytest.fixture
def told(ckpt):
    """What the captioner tells of the features."""
    return CheckpointCaptioner.load(ckpt, "cpu").caption([FEATURES])[0]


def test_the_sentences_stand_beside_their_times(ckpt, video, told, capsys):
    show_captions([video, video], ckpt, "cpu", json=False)
    out, err = capsys.readouterr()
    block = [video, f"     0.0 -    1.0 s  {told[0]}", f"     1.0 -    2.0 s  {told[1]}"]
    assert out.splitlines() == 2 * block
    assert "captioning with PyTorch" in err


def test_without_a_rate_they_stand_beside_shares(ckpt, tmp_path, told, capsys):
    with h5py.File(tmp_path / "store.h5", "w") as file:
        file["one"] = FEATURES
    show_captions([f"{tmp_path / 'store.h5'}#one"], ckpt, "cpu", json=False)
    assert capsys.readouterr().out.splitlines()[1:] == [f"    0% -  50%  {told[0]}", f"   50% - 100%  {told[1]}"]


def test_json_has_all_of_it(ckpt, video, told, capsys):
    show_captions([video], ckpt, "cpu", json=True)
    (found,) = json.loads(capsys.readouterr().out)["videos"]
    assert found == {
        "video": video,
        "clips": [
            {"span": [0.0, 0.5], "seconds": [0.0, 1.0], "sentence": told[0]},
            {"span": [0.5, 1.0], "seconds": [1.0, 2.0], "sentence": told[1]},
        ],
    }


class StandIn:
    """An extractor whose every video is the same."""

    def __init__(self, identity):
        self.identity, self.graph = identity, self
        self.description = "a stand-in"

    def extract(self, path):
        return FeatureSequence(FEATURES, 5.0, self.identity, str(path))


@pytest.fixture
def extractor(monkeypatch):
    """(identity) makes it the extractor that comes with jsf."""
    import jsf.extraction

    def install(identity):
        monkeypatch.setattr(jsf.extraction, "default_extractor", lambda: None)
        monkeypatch.setattr(jsf.extraction.Extractor, "open", lambda folder, device: StandIn(identity))

    return install


def test_video_files_are_extracted_first(ckpt, extractor, video, told, capsys):
    extractor("toy 1")
    show_captions(["clip.mp4", video], ckpt, "cpu", json=True)
    found = json.loads(capsys.readouterr().out)["videos"]
    assert [each["video"] for each in found] == ["clip.mp4", video]
    assert [[clip["sentence"] for clip in each["clips"]] for each in found] == [told, told]


def test_video_files_need_the_extractor_of_the_training(ckpt, extractor):
    extractor("toy 2")
    with pytest.raises(
        JsfError, match=r"clip.mp4 was extracted by 'toy 2'; the model was trained on features of 'toy 1'"
    ):
        show_captions(["clip.mp4"], ckpt, "cpu", json=False)


def test_a_folder_is_refused(ckpt, tmp_path):
    with pytest.raises(JsfError, match="is a folder"):
        show_captions([str(tmp_path)], ckpt, "cpu", json=False)


def test_another_model_is_refused(tiny_checkpoint, video):
    with pytest.raises(JsfError, match="a model for retrieval, which tells no sentences"):
        show_captions([video], tiny_checkpoint, "cpu", json=False)


@pytest.fixture
def measured(monkeypatch):
    """(METEOR) -> shows these measures of a captioner as a table, or as JSON."""

    class Described:
        description = "a captioner"

    def show(meteor, json):
        found = Captioning(1200, 1300, (50.0, 40.0, 30.0, 20.04), 61.26, (55.0, 66.0), meteor, ("a", "b"))
        monkeypatch.setattr("jsf.verbs.caption.evaluate_captioning", lambda captioner, rows, store: found)
        show_captioning(Described(), Split(None, []), "val.csv", json)

    return show


@pytest.mark.parametrize(("meteor", "shown"), [(12.34, "12.3"), (None, "not measured: no Java")])
def test_the_measures_are_shown(meteor, shown, measured, capsys):
    measured(meteor, json=False)
    out, err = capsys.readouterr()
    assert "captioning with a captioner" in err
    assert "captioning: val.csv; 1,200 clips, 1,300 sentences" in out
    for text in ("BLEU@1", "50.0", "BLEU@4", "20.0", "CIDEr", "61.3", "55.0–66.0", "METEOR", shown):
        assert text in out


def test_the_measures_are_json(measured, capsys):
    measured(None, json=True)
    found = json.loads(capsys.readouterr().out)
    assert (found["task"], found["protocol"], found["backend"]) == ("captioning", "val.csv", "a captioner")
    assert (found["bleu"], found["cider"], found["meteor"]) == ([50.0, 40.0, 30.0, 20.04], 61.26, None)
    assert found["sentences"] == ["a", "b"]
