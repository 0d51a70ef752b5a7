"""ResNet as an extractor, where `transformers` is installed; of random weights in the checkpoint's own format."""

import av
import numpy as np
import onnx
import pytest

transformers = pytest.importorskip("transformers")

import torch  # noqa: E402
from safetensors.torch import save_file  # noqa: E402

import jsf.extraction.resnet as resnet  # noqa: E402
from jsf.data.errors import JsfError  # noqa: E402
from jsf.extraction import Extractor  # noqa: E402
from jsf.extraction.make import backbone, make_extractor  # noqa: E402
from jsf.extraction.preprocess import Square  # noqa: E402

DEPTHS = (1, 1, 1, 1)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """A checkpoint as the hub has it, with its classifier, of a ResNet that is not as deep."""
    torch.manual_seed(0)
    model = transformers.ResNetForImageClassification(transformers.ResNetConfig(depths=DEPTHS, num_labels=5)).eval()
    for name, value in model.named_buffers():  # statistics as of a trained network, which are not 0 and 1
        if name.endswith("running_mean"):
            value.normal_(0, 0.2)
        elif name.endswith("running_var"):
            value.uniform_(0.5, 2)
    folder = tmp_path_factory.mktemp("checkpoint")
    save_file(model.state_dict(), folder / "model.safetensors")
    return model, folder


@pytest.fixture(scope="module")
def folder(checkpoint, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(resnet.DEPTHS, "resnet-50", DEPTHS)
        out = tmp_path_factory.mktemp("out") / "extractor"
        make_extractor(out, backbone("resnet-50", checkpoint[1]), "none")
    return out


def test_the_graph_gives_what_the_checkpoints_network_gives(checkpoint, folder):
    images = torch.randn(3, 3, 224, 224, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        expected = checkpoint[0].resnet(images).pooler_output[:, :, 0, 0].numpy()
    found = Extractor.open(folder).graph.run({"images": images.numpy()})["features"]
    assert expected.shape == (3, 2048)
    assert expected.std() > 0.1
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_names_and_widths(folder):
    extractor = Extractor.open(folder)
    assert extractor.width == 2048
    assert extractor.identity == f"resnet-50 1 {extractor.spec.sha256[:12]}"
    assert (extractor.spec.short_side, extractor.spec.size) == (256, 224)


@pytest.mark.parametrize("name", ["model.safetensors", "pytorch_model.bin"])
def test_the_files_of_a_checkpoint_are_read(checkpoint, tmp_path, monkeypatch, name):
    model, folder = checkpoint
    monkeypatch.setitem(resnet.DEPTHS, "resnet-50", DEPTHS)
    torch.save(model.state_dict(), tmp_path / "pytorch_model.bin")
    network = resnet.PooledResNet("resnet-50")
    network.load((folder if name.endswith("safetensors") else tmp_path) / name)
    for key, value in model.resnet.state_dict().items():
        torch.testing.assert_close(network.network.state_dict()[key], value)


def test_the_depths_are_those_of_the_hubs_configurations():
    """Blocks of three convolutions, the first one and the classifier: the number in the name."""
    assert {name: 3 * sum(depths) + 2 for name, depths in resnet.DEPTHS.items()} == {
        f"resnet-{depth}": depth for depth in (50, 101, 152)
    }


@pytest.mark.parametrize("size", [(360, 288), (298, 224), (240, 320), (1280, 720), (257, 255)])
def test_frames_become_what_the_published_processor_makes_of_them(size, folder):
    """On smooth RGB pictures: at most 3 of 255 levels apart, 0.3 on average; swscale and Pillow weigh pixels alike."""
    from PIL import Image
    from transformers.models.convnext.image_processing_pil_convnext import ConvNextImageProcessorPil

    width, height = size
    y, x = np.mgrid[:height, :width] / 40
    picture = np.stack([np.sin(x + 1), np.cos(y + x / 3), np.sin(x * y / 9)], axis=2) * 100 + 128
    picture = picture.astype(np.uint8)
    # microsoft/resnet-152, preprocessor_config.json
    channels = {"image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]}
    processor = ConvNextImageProcessorPil(size={"shortest_edge": 224}, crop_pct=0.875, resample=3, **channels)
    (published,) = processor(Image.fromarray(picture), return_tensors="np")["pixel_values"]
    spec = Extractor.open(folder).spec
    reformatter = av.video.reformatter.VideoReformatter()
    cut = spec.square.cut(av.VideoFrame.from_ndarray(picture), reformatter)
    found = ((cut - np.array(spec.mean)) / np.array(spec.std)).transpose(2, 0, 1)
    levels = np.abs(found - published) * np.array(spec.std)[:, None, None]
    assert published.shape == found.shape
    assert levels.max() < 3
    assert levels.mean() < 0.3


def test_the_long_side_is_rounded_down_where_a_short_side_is_given():
    frame = av.VideoFrame.from_ndarray(np.zeros((224, 298, 3), np.uint8))
    seen = []

    class Reformatter:
        def reformat(self, frame, width, height, *_, **__):
            seen.append((width, height))
            return av.VideoFrame.from_ndarray(np.zeros((height, width, 3), np.uint8))

    for square in (Square(224, 256), Square(256)):
        square.cut(frame, Reformatter())
    assert seen == [(340, 256), (341, 256)]


def test_weights_that_are_not_there_or_of_another_network_are_refused(checkpoint, tmp_path):
    with pytest.raises(JsfError, match=r"model\.safetensors"):
        make_extractor(tmp_path / "out", backbone("resnet-50", tmp_path))
    with pytest.raises(JsfError, match="does not hold this network's weights"):
        make_extractor(tmp_path / "out", backbone("resnet-50", checkpoint[1]))  # of the true depth
    (tmp_path / "model.safetensors").write_bytes(b"no weights")
    with pytest.raises(JsfError, match="does not hold"):
        make_extractor(tmp_path / "out", backbone("resnet-50", tmp_path))
    assert not (tmp_path / "out").exists()


def test_without_a_network_the_hubs_file_is_named(tmp_path, monkeypatch):
    import huggingface_hub

    def fail(*_):
        raise OSError("no network")

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", fail)
    with pytest.raises(JsfError, match="no network") as caught:
        make_extractor(tmp_path / "out", backbone("resnet-152"))
    assert "hf download microsoft/resnet-152 model.safetensors" in caught.value.fix
    assert "--weights" in caught.value.fix


def test_the_graph_is_one_file_with_a_free_batch(folder):
    model = onnx.load(folder / "visual.onnx")
    onnx.checker.check_model(model, full_check=True)
    assert model.graph.input[0].type.tensor_type.shape.dim[0].dim_param
    assert sorted(file.name for file in folder.iterdir()) == ["extractor.json", "visual.onnx"]
