"""The exported graphs are what they are said to be, and a bundle appears whole or not at all."""

import json
import shutil

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto

from jsf.data.errors import JsfError
from jsf.data.files import sha256
from jsf.export import graphs as export_module
from jsf.export.bundle import export_bundle
from jsf.export.graphs import draw_samples
from jsf.export.parity import LIMIT, measure_parity
from jsf.export.tracing import LAYERS, name_nodes
from jsf.models.checkpoint import Checkpoint
from jsf.models.jsfusion import JSFusion, folded
from jsf.runtime.backends.onnxruntime import OnnxRuntimeGraph
from jsf.runtime.bundle import GRAPHS, Bundle, graph_path

FLOAT, INT = TensorProto.FLOAT, TensorProto.INT32
INDICES = {"video_index": (INT, ["P"]), "sentence_index": (INT, ["P"])}
INTERFACES = {
    "frame_encoder": (
        {"features": (FLOAT, ["B", 40, 12]), "lengths": (INT, ["B"])},
        {"videos": (FLOAT, ["B", 40, 8])},
    ),
    "word_encoder": (
        {"words": (INT, ["B", 40]), "lengths": (INT, ["B"])},
        {"sentences": (FLOAT, ["B", 40, 8])},
    ),
    "matcher": (
        {
            "videos": (FLOAT, ["V", 40, 8]),
            "video_lengths": (INT, ["V"]),
            "sentences": (FLOAT, ["S", 40, 8]),
            "sentence_lengths": (INT, ["S"]),
            **INDICES,
        },
        {"scores": (FLOAT, ["P"])},
    ),
    "matcher.buckets": (
        {
            "videos": (FLOAT, ["V", "frames", 8]),
            "video_lengths": (INT, ["V"]),
            "sentences": (FLOAT, ["S", "words", 8]),
            "sentence_lengths": (INT, ["S"]),
            **INDICES,
        },
        {"scores": (FLOAT, ["P"])},
    ),
}


def fp32(root):
    return lambda name: graph_path(root, "fp32", name)


def load(root, name):
    return onnx.load(graph_path(root, "fp32", name), load_external_data=False)


def describe(values):
    types = [(value.name, value.type.tensor_type) for value in values]
    return {name: (t.elem_type, [d.dim_param or d.dim_value for d in t.shape.dim]) for name, t in types}


def all_nodes(graph):
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.GRAPH:
                yield from all_nodes(attribute.g)


class TestGraphs:
    """What an exported bundle holds."""

    def test_the_files_are_those_of_the_layout(self, tiny_bundle):
        files = {path.relative_to(tiny_bundle).as_posix() for path in tiny_bundle.rglob("*") if path.is_file()}
        assert files == {"manifest.json", "vocabulary.json", "samples.npz", *(f"fp32/{name}.onnx" for name in GRAPHS)}

    @pytest.mark.parametrize("name", GRAPHS)
    def test_it_is_valid_onnx_with_its_weights_inside(self, tiny_bundle, name):
        model = load(tiny_bundle, name)
        onnx.checker.check_model(model, full_check=True)
        assert {entry.domain: entry.version for entry in model.opset_import}[""] >= 19
        assert {node.domain for node in all_nodes(model.graph)} <= {""}
        tensors = [*model.graph.initializer]
        tensors += [a.t for node in all_nodes(model.graph) for a in node.attribute if a.type == a.TENSOR]
        assert tensors
        assert not any(tensor.data_location == TensorProto.EXTERNAL for tensor in tensors)

    @pytest.mark.parametrize("name", GRAPHS)
    def test_its_interface_is_the_contract(self, tiny_bundle, name):
        graph = load(tiny_bundle, name).graph
        inputs, outputs = INTERFACES[name]
        assert describe(graph.input) == inputs
        assert list(describe(graph.input)) == list(inputs)
        assert describe(graph.output) == outputs

    @pytest.mark.parametrize("name", GRAPHS)
    def test_batch_norm_is_folded(self, tiny_bundle, tiny_model, name):
        graph = load(tiny_bundle, name).graph
        assert not {node.op_type for node in all_nodes(graph)} & {"BatchNormalization", "InstanceNormalization"}
        statistics = {key: value for key, value in tiny_model.state_dict().items() if ".norm." in key}
        assert statistics
        constants = [onnx.numpy_helper.to_array(tensor) for tensor in graph.initializer]
        for key, value in statistics.items():
            same = [c for c in constants if c.shape == tuple(value.shape) and np.allclose(c, value)]
            assert not same, f"{key} is in the graph"

    def test_an_lstm_is_one_node_of_two_directions(self, tiny_bundle):
        nodes = [node for node in all_nodes(load(tiny_bundle, "word_encoder").graph) if node.op_type == "LSTM"]
        assert len(nodes) == 1
        assert {a.name: a.s for a in nodes[0].attribute if a.name == "direction"} == {"direction": b"bidirectional"}

    def test_the_manifest_says_what_is_there(self, tiny_bundle, tiny_checkpoint):
        manifest = json.loads((tiny_bundle / "manifest.json").read_text())
        assert manifest["samples"] == sha256(tiny_bundle / "samples.npz")
        assert manifest["hashes"] == {"fp32": {name: sha256(graph_path(tiny_bundle, "fp32", name)) for name in GRAPHS}}
        assert {key: manifest[key] for key in ("schema", "model", "task", "preset", "feature_width", "extractor")} == {
            "schema": 4,
            "model": "jsfusion",
            "task": "retrieval",
            "preset": "tiny",
            "feature_width": 12,
            "extractor": "toy 1",
        }
        assert (manifest["joint_width"], manifest["left_padded"], manifest["losses"]) == (8, False, {})
        assert manifest["tools"]["torch"] == torch.__version__
        for name in GRAPHS:
            assert {entry.version for entry in load(tiny_bundle, name).opset_import} == {manifest["opset"]}
        assert Bundle.open(tiny_bundle).vocabulary == Checkpoint.load(tiny_checkpoint).vocabulary

    def test_its_parity_is_recorded(self, tiny_bundle):
        parity = json.loads((tiny_bundle / "manifest.json").read_text())["parity"]
        assert set(parity) == set(GRAPHS)
        assert all(0 <= error < 1e-4 for error in parity.values())


class TestNames:
    """Layers are named by the module that they come from."""

    FRAMES = (*(f"context.convolutions.{i}" for i in range(3)), "d1")
    WORDS = ("context.lstm", "d1")
    STAGES = tuple(f"chd.stages.{i}.{part}" for i in range(3) for part in ("convolution", "gate.taps", "gate.sum"))
    MATCHER = ("jst.d2", "jst.w", "jst.d3", "jst.d4", *STAGES, "head.d5", "head.d6", "head.d7", "head.d8")

    @pytest.mark.parametrize(
        "which",
        [
            None,  # the tiny bundle: retrieval
            ("official", "multiple-choice"),
            ("official", "fill-in-the-blank"),
            ("paper", "retrieval", "lstm-fusion"),
        ],
        ids=str,
    )
    def test_each_layer_has_its_modules_name(self, tiny_bundle, variant_bundle, which):
        root = variant_bundle(*which) if which else tiny_bundle
        fused = which is not None and "lstm-fusion" in which
        frames = self.WORDS if fused else self.FRAMES
        matcher = self.MATCHER[-4:] if fused else self.MATCHER
        wanted = {"frame_encoder": frames, "word_encoder": self.WORDS, "matcher": matcher, "matcher.buckets": matcher}
        for name, layers in wanted.items():
            nodes = load(root, name).graph.node
            assert [node.name for node in nodes if node.op_type in LAYERS] == list(layers)
            assert len({node.name for node in nodes}) == len(nodes)
            assert "jst.d2/Tanh" in {node.name for node in nodes} or "jst.d2" not in layers

    def test_a_layer_that_runs_twice_has_two_names(self):
        graph = onnx.helper.make_graph([], "graph", [], [])
        for scopes in (["", "low", "linear"], ["", "low", "linear_1"], ["", "add"]):
            node = graph.node.add(op_type="Add" if scopes[-1] == "add" else "Gemm")
            node.metadata_props.add(key="pkg.torch.onnx.name_scopes", value=str(scopes))
        graph.node.add(op_type="Gemm")
        name_nodes(graph)
        assert [node.name for node in graph.node] == ["low", "low@2", "Add", "Gemm"]


class TestParity:
    """The comparison with PyTorch: on what, and what it catches."""

    @pytest.mark.parametrize("seed", range(5))
    def test_samples_are_many_pairs_of_mixed_lengths(self, tiny_model, seed):
        samples = draw_samples(tiny_model, seed=seed)
        pairs = set(zip(samples.video_index.tolist(), samples.sentence_index.tolist(), strict=True))
        assert len(pairs) >= 64
        for lengths in (samples.frame_lengths, samples.word_lengths):
            assert {1, 40} <= set(lengths.tolist()) <= set(range(1, 41))
            assert len(set(lengths.tolist())) > 3
        assert ((samples.words > 0).sum(1) == samples.word_lengths).all()
        assert (samples.features.any(-1).sum(1) == samples.frame_lengths).all()
        assert samples.words.max() < tiny_model.config.vocabulary_size
        assert torch.isfinite(samples.features).all()

    def test_the_errors_are_those_of_each_graph(self, tiny_model, tiny_bundle):
        samples = draw_samples(tiny_model, seed=1)
        errors = measure_parity(tiny_model, samples, fp32(tiny_bundle))
        assert set(errors) == set(GRAPHS)
        assert all(0 <= error < LIMIT for error in errors.values())

    @pytest.mark.parametrize(
        ("part", "blamed"),
        [
            ("frame_encoder", "frame_encoder"),
            ("word_encoder", "word_encoder"),
            ("matcher", "matcher by .*, matcher.buckets"),
        ],
    )
    def test_other_weights_are_caught_and_the_graph_is_named(self, tiny_model, tiny_bundle, part, blamed):
        other = JSFusion(tiny_model.config)
        other.load_state_dict(tiny_model.state_dict())
        with torch.no_grad():
            weight = next(
                value for value in getattr(other, part).parameters() if value.ndim == 2 and len(value) in (7, 8)
            )
            weight[0, 0] += 0.5
        with pytest.raises(JsfError, match=rf"exported graphs differ from PyTorch: {blamed} by ") as refusal:
            measure_parity(other.eval(), draw_samples(other), fp32(tiny_bundle))
        assert "at most 1e-04 is accepted" in refusal.value.message


@pytest.fixture
def checkpoint(tiny_checkpoint):
    return Checkpoint.load(tiny_checkpoint)


def contents(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.usefixtures("traced")
class TestWholeOrAbsent:
    """A bundle is replaced whole, and a failure leaves what was there."""

    def test_a_new_bundle(self, checkpoint, tmp_path):
        bundle = export_bundle(checkpoint, tmp_path / "models" / "new")
        assert bundle == Bundle.open(tmp_path / "models" / "new")
        assert set(bundle.manifest.parity) == set(GRAPHS)
        assert [path.name for path in (tmp_path / "models").iterdir()] == ["new"]

    def test_a_bundle_that_is_there_is_replaced_with_all_that_belonged_to_it(self, checkpoint, tmp_path):
        root = export_bundle(checkpoint, tmp_path / "bundle").root
        before = contents(root)
        (root / "fp16").mkdir()
        (root / "fp16" / "matcher.onnx").touch()
        (root / "fp32" / "matcher.onnx").write_bytes(b"damaged")
        export_bundle(checkpoint, root)
        assert contents(root) == before

    def test_the_extractor_goes_into_the_bundle(self, checkpoint, tmp_path):
        folder = tmp_path / "extractor"
        folder.mkdir()
        (folder / "visual.onnx").write_bytes(b"a graph")
        (folder / "extractor.json").write_text("{}")
        bundle = export_bundle(checkpoint, tmp_path / "bundle", folder)
        assert contents(bundle.extractor) == contents(folder)

    def test_no_extractor_no_folder(self, checkpoint, tmp_path):
        assert not export_bundle(checkpoint, tmp_path / "bundle").extractor.exists()

    @pytest.mark.parametrize("there", [True, False], ids=["over a bundle", "in an empty place"])
    def test_a_model_that_the_graphs_do_not_match_leaves_nothing(self, checkpoint, tiny_bundle, tmp_path, there):
        root = tmp_path / "bundle"
        if there:
            shutil.copytree(tiny_bundle, root)
        with torch.no_grad():
            checkpoint.model.matcher.head.d8.bias += 1
            checkpoint.model.matcher.head.d8.weight *= 2
        with pytest.raises(JsfError, match=r"differ from PyTorch: matcher by .*, matcher\.buckets by "):
            export_bundle(checkpoint, root)
        assert [path.name for path in tmp_path.iterdir()] == (["bundle"] if there else [])
        if there:
            assert contents(root) == contents(tiny_bundle)

    def test_a_failure_while_tracing_leaves_nothing(self, checkpoint, tiny_bundle, tmp_path, monkeypatch):
        def fail(model, samples, path, symbolic):
            raise RuntimeError("the tracer does not know this operator")

        monkeypatch.setattr(export_module, "write_matcher", fail)
        root = shutil.copytree(tiny_bundle, tmp_path / "bundle")
        with pytest.raises(RuntimeError, match="the tracer"):
            export_bundle(checkpoint, root)
        assert [path.name for path in tmp_path.iterdir()] == ["bundle"]
        assert contents(root) == contents(tiny_bundle)

    @pytest.mark.filterwarnings("ignore:divide by zero", "ignore:invalid value")
    @pytest.mark.parametrize("weight", [0.0, float("nan")])
    def test_a_model_that_scores_all_alike_is_refused(self, checkpoint, tmp_path, weight):
        with torch.no_grad():
            checkpoint.model.matcher.head.d8.weight.fill_(weight)
        with pytest.raises(JsfError, match="matcher") as refusal:
            export_bundle(checkpoint, tmp_path / "bundle")
        assert "train it first" in refusal.value.fix

    @pytest.mark.parametrize("kind", ["folder", "file"])
    def test_what_is_not_a_bundle_is_never_replaced(self, checkpoint, tmp_path, kind):
        out = tmp_path / "precious"
        if kind == "folder":
            out.mkdir()
            (out / "thesis.tex").write_text("years of work")
        else:
            out.write_text("years of work")
        with pytest.raises(JsfError, match="precious exists and is not a bundle") as refusal:
            export_bundle(checkpoint, out)
        assert "-o" in refusal.value.fix
        assert "years of work" in ((out / "thesis.tex") if kind == "folder" else out).read_text()

    def test_the_model_stays_as_it_was(self, checkpoint, tmp_path):
        before = {name: value.clone() for name, value in checkpoint.model.state_dict().items()}
        export_bundle(checkpoint, tmp_path / "bundle")
        after = checkpoint.model.state_dict()
        assert before.keys() == after.keys()
        assert all(torch.equal(before[name], after[name]) for name in before)


def test_folding_changes_no_score(tiny_model):
    s = draw_samples(tiny_model)
    inputs = (s.features, s.frame_lengths, s.words, s.word_lengths, s.video_index, s.sentence_index)
    with torch.no_grad():
        scores, expected = folded(tiny_model)(*inputs), tiny_model(*inputs)
    assert torch.allclose(scores, expected, atol=1e-5)
    assert not [name for name in folded(tiny_model).state_dict() if ".norm." in name]


@pytest.mark.parametrize(("name", "batches"), [("frame_encoder", (1, 3)), ("word_encoder", (1, 3))])
def test_an_encoder_gives_a_row_the_same_values_in_any_batch(tiny_bundle, tiny_model, name, batches):
    s = draw_samples(tiny_model)
    inputs = {"features": s.features} if name == "frame_encoder" else {"words": s.words}
    inputs["lengths"] = s.frame_lengths if name == "frame_encoder" else s.word_lengths
    graph = OnnxRuntimeGraph(graph_path(tiny_bundle, "fp32", name))
    (whole,) = graph.run({key: value.numpy() for key, value in inputs.items()}).values()
    for batch in batches:
        (part,) = graph.run({key: value[:batch].numpy() for key, value in inputs.items()}).values()
        assert np.allclose(part, whole[:batch], atol=1e-5)


@pytest.mark.parametrize("name", GRAPHS)
def test_a_graph_says_nothing_of_the_machine_that_exported_it(tiny_bundle, name):
    content = graph_path(tiny_bundle, "fp32", name).read_bytes()
    assert b"/models/" not in content
    assert b"stack_trace" not in content
