import numpy as np
import pytest

from jsf.data.sequence import FeatureSequence
from jsf.demo.scenes import COLOURS, SHAPES, SOUNDS, generate

pytest.importorskip("lightning")
from jsf.demo.control import train_control
from jsf.training.recipe import recipe


@pytest.fixture(scope="module")
def control(tmp_path_factory):
    """A control trained on features that name each frame's colour, shape and sound, and one clip's features."""
    folder = tmp_path_factory.mktemp("control")
    values = [*COLOURS, *SHAPES, *SOUNDS]
    rows = ["key,vid_key,video_id,sentence"]
    clips = generate(0)["train"][: 8 * recipe("small", "retrieval").batch]
    for clip in clips:
        named = [[value in (scene.colour, scene.shape, clip.sound) for value in values] for scene in clip.scenes]
        features = np.repeat(np.array(named, np.float32), 5, axis=0)
        FeatureSequence(features).save(folder / "features" / f"{clip.name}.npz")
        rows += [f"{clip.name}-{i},{clip.name},{clip.name},{text}" for i, text in enumerate(clip.captions())]
    (folder / "train.csv").write_text("\n".join(rows))
    return train_control(folder / "features", folder / "train.csv", "small", epochs=16, seed=0), features


def test_it_cannot_tell_the_order_of_words_or_frames(control):
    model, video = control
    sentences = [
        "a red circle then a blue square",
        "a blue square then a red circle",
        "a red square then a blue circle",
    ]
    scores = model.score_matrix([video, video[::-1].copy()], sentences)
    assert scores.shape == (2, 3)
    assert (scores[:, :1] == scores).all()
    np.testing.assert_allclose(scores[0], scores[1], rtol=1e-4)


def test_it_tells_words(control):
    model, video = control
    scores = model.score_matrix([video], ["a bell sounds", "a storm sounds", "a red circle", "a blue square"])
    assert len(set(scores[0].tolist())) == 4
