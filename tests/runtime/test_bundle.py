"""A bundle is data, perhaps a stranger's: whatever is wrong with it is said, and no path leaves its folder."""

import json
import shutil
from dataclasses import asdict
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jsf.data.errors import JsfError
from jsf.data.files import sha256
from jsf.runtime.bundle import GRAPHS, SCHEMA, Bundle, Manifest, default_bundle, graph_path
from jsf.runtime.graph_folder import VARIANTS

EXPORT = "jsf export --ckpt best.pt"


@pytest.fixture
def root(tiny_bundle, tmp_path):
    return Path(shutil.copytree(tiny_bundle, tmp_path / "bundle"))


def edit(root, **changes):
    path = root / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def drop(root, key):
    path = root / "manifest.json"
    path.write_text(json.dumps({name: value for name, value in json.loads(path.read_text()).items() if name != key}))


def test_an_exported_bundle_opens(tiny_bundle):
    bundle = Bundle.open(tiny_bundle)
    assert (bundle.manifest.schema, bundle.manifest.feature_width, bundle.manifest.extractor) == (SCHEMA, 12, "toy 1")
    assert bundle.vocabulary.words[:2] == ("red", "blue")
    for name in GRAPHS:
        assert bundle.graph("fp32", name) == tiny_bundle / "fp32" / f"{name}.onnx"
    assert bundle.samples == tiny_bundle / "samples.npz"
    assert bundle.engines == tiny_bundle / "engines"
    assert bundle.extractor == tiny_bundle / "extractor"


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def test_what_is_published_is_read_back(root):
    bundle = Bundle.open(root)
    loss = {"score_error_max": 0.25, "accuracy": "not measured"}
    bundle.publish({"fp16": bundle.manifest.hashes["fp32"]}, {"fp16": loss})
    assert bundle.manifest.losses == {"fp16": loss}
    assert Bundle.open(root).manifest == bundle.manifest
    assert list(root.glob(".manifest*")) == []


def test_two_that_publish_lose_nothing_of_each_other(root):
    first, second = Bundle.open(root), Bundle.open(root)
    hashes = first.manifest.hashes["fp32"]
    first.publish({"fp16": hashes}, {"fp16": {"accuracy": "not measured"}})
    second.publish({"int8": hashes}, {"int8": {"accuracy": "not measured"}})
    assert set(Bundle.open(root).manifest.hashes) == {"fp32", "fp16", "int8"} == set(second.manifest.losses) | {"fp32"}


def test_graphs_of_an_earlier_export_are_not_published(root):
    bundle = Bundle.open(root)
    hashes = bundle.manifest.hashes["fp32"]
    manifest = json.loads((root / "manifest.json").read_text())
    manifest["hashes"]["fp32"] = dict.fromkeys(hashes, "0" * 64)
    (root / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(JsfError, match="was exported again meanwhile"):
        bundle.publish({"fp16": hashes}, {"fp16": {}})
    assert json.loads((root / "manifest.json").read_text()) == manifest


@pytest.mark.parametrize(("value", "expected"), [("elsewhere/b", "elsewhere/b"), ("", "bundle"), (None, "bundle")])
def test_the_default_bundle(monkeypatch, value, expected):
    monkeypatch.delenv("JSF_BUNDLE", raising=False)
    if value is not None:
        monkeypatch.setenv("JSF_BUNDLE", value)
    assert default_bundle() == Path(expected)


DAMAGES = {
    "no folder": (shutil.rmtree, "is not a bundle: it has no manifest.json"),
    "no manifest": (lambda root: (root / "manifest.json").unlink(), "is not a bundle: it has no manifest.json"),
    "a folder for a manifest": (
        lambda root: ((root / "manifest.json").unlink(), (root / "manifest.json").mkdir()),
        "is not a bundle",
    ),
    "half a manifest": (lambda root: (root / "manifest.json").write_text('{"schema": 4,'), "is not readable JSON"),
    "bytes": (lambda root: (root / "manifest.json").write_bytes(b"\xff\xfe\x00"), "is not readable JSON"),
    "a list": (lambda root: (root / "manifest.json").write_text("[1]"), "holds a JSON list, expected an object"),
    "no schema": (lambda root: drop(root, "schema"), "has schema None; this jsf reads schema 4"),
    "no width": (lambda root: drop(root, "feature_width"), "lacks: feature_width"),
    "a width in words": (lambda root: edit(root, feature_width="12"), "'feature_width' is '12', expected a int"),
    "a true width": (lambda root: edit(root, feature_width=True), "'feature_width' is True, expected a int"),
    "no side of the padding": (lambda root: drop(root, "left_padded"), "lacks: left_padded"),
    "a side in words": (lambda root: edit(root, left_padded="left"), "'left_padded' is 'left', expected a bool"),
    "no extractor's name": (lambda root: edit(root, extractor=None), "'extractor' is None, expected a str"),
    "a list of hashes": (lambda root: edit(root, hashes=["fp32"]), "'hashes' is ['fp32'], expected a dict"),
    "no hashes": (lambda root: edit(root, hashes={}), "'hashes' must name fp32"),
    "one hash for all": (lambda root: edit(root, hashes={"fp32": "ab"}), "'hashes' must name fp32, and for each"),
    "a number as hash": (lambda root: edit(root, hashes={"fp32": dict.fromkeys(GRAPHS, 7)}), "'hashes' must name"),
    "a graph without hash": (lambda root: edit(root, hashes={"fp32": {"matcher": "ab"}}), "'hashes' must name"),
    "no vocabulary": (lambda root: (root / "vocabulary.json").unlink(), "vocabulary.json does not exist"),
    "a broken vocabulary": (lambda root: (root / "vocabulary.json").write_text("{"), "vocabulary.json is not readable"),
    "no words": (lambda root: (root / "vocabulary.json").write_text('{"words": []}'), "has no list 'words'"),
    "a number as word": (lambda root: (root / "vocabulary.json").write_text('{"words": [1]}'), "has no list 'words'"),
    "a word twice": (lambda root: (root / "vocabulary.json").write_text('{"words": ["a","a"]}'), "holds a word twice"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_bundle_is_refused_with_the_way_out(root, damage):
    harm, message = DAMAGES[damage]
    harm(root)
    with pytest.raises(JsfError) as refusal:
        Bundle.open(root)
    assert message in refusal.value.message
    assert str(root) in refusal.value.message
    assert EXPORT in refusal.value.fix or "export the bundle again" in refusal.value.fix


@pytest.mark.parametrize("schema", [SCHEMA + 1, SCHEMA - 1, "3", 0])
def test_another_schema_is_refused_before_anything_else_is_read(root, schema):
    (root / "manifest.json").write_text(json.dumps({"schema": schema, "a key of the future": 1}))
    with pytest.raises(JsfError) as refusal:
        Bundle.open(root)
    assert f"has schema {schema!r}; this jsf reads schema {SCHEMA}" in refusal.value.message
    assert "the version of jsf that wrote it" in refusal.value.fix


def test_a_changed_graph_is_refused(root):
    path = graph_path(root, "fp32", "matcher")
    path.write_bytes(path.read_bytes() + b"\0")
    bundle = Bundle.open(root)
    with pytest.raises(JsfError) as refusal:
        bundle.graph("fp32", "matcher")
    assert f"{path} was changed: its SHA-256 is {sha256(path)[:12]}" in refusal.value.message
    assert bundle.manifest.hashes["fp32"]["matcher"][:12] in refusal.value.message
    assert EXPORT in refusal.value.fix
    assert bundle.graph("fp32", "frame_encoder").is_file()


def test_a_missing_graph_is_refused(root):
    graph_path(root, "fp32", "word_encoder").unlink()
    with pytest.raises(JsfError, match=r"word_encoder\.onnx is missing") as refusal:
        Bundle.open(root).graph("fp32", "word_encoder")
    assert EXPORT in refusal.value.fix


def test_changed_samples_are_refused(root):
    bundle = Bundle.open(root)
    (root / "samples.npz").write_bytes(b"others")
    with pytest.raises(JsfError, match=r"samples\.npz was changed: its SHA-256 is ") as refusal:
        _ = bundle.samples
    assert EXPORT in refusal.value.fix
    (root / "samples.npz").unlink()
    with pytest.raises(JsfError, match=r"samples\.npz is missing"):
        _ = bundle.samples


@pytest.mark.parametrize(
    ("variant", "options"),
    [
        ("fp16", "--fp16"),
        ("int8", "--int8 --features F --captions C"),
        ("int8-cpu", "--int8 --features F --captions C"),
    ],
)
def test_a_variant_that_the_bundle_does_not_have(tiny_bundle, variant, options):
    with pytest.raises(JsfError, match=f"has no {variant} graphs, only: fp32") as refusal:
        Bundle.open(tiny_bundle).graph(variant, "matcher")
    assert refusal.value.fix == f"Make them with: jsf build-engine {options} --bundle {tiny_bundle}"


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_variant_has_a_folder_of_its_own(root, variant):
    bundle = Bundle.open(root)
    bundle.manifest.hashes[variant] = bundle.manifest.hashes["fp32"]
    if variant != "fp32":
        shutil.copytree(root / "fp32", root / variant)
    assert bundle.graph(variant, "matcher") == root / variant / "matcher.onnx"


@pytest.mark.parametrize("precision", ["fp8", "", "..", "../fp32"])
def test_an_unknown_precision(tiny_bundle, precision):
    with pytest.raises(JsfError, match="is not known, expected one of: fp32, fp16, int8"):
        Bundle.open(tiny_bundle).graph(precision, "matcher")


def test_no_file_name_comes_from_the_manifest(root):
    outside = root.parent / "outside.onnx"
    shutil.copy(graph_path(root, "fp32", "matcher"), outside)
    hashes = json.loads((root / "manifest.json").read_text())["hashes"]
    edit(root, hashes={"fp32": {**hashes["fp32"], "../../outside": sha256(outside)}})
    with pytest.raises(JsfError, match="'hashes' must name"):
        Bundle.open(root)
    edit(root, hashes={**hashes, "../../outside": hashes["fp32"]})
    with pytest.raises(JsfError, match=r"precision '\.\./\.\./outside' is not known"):
        Bundle.open(root).graph("../../outside", "matcher")


scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["fp32", "fp16", *GRAPHS]) | st.text(max_size=3), inner, max_size=4)
    ),
    max_leaves=8,
)


@pytest.fixture(scope="module")
def victim(tiny_bundle, tmp_path_factory):
    return Path(shutil.copytree(tiny_bundle, tmp_path_factory.mktemp("victims") / "bundle"))


@given(changes=st.dictionaries(st.sampled_from(list(Manifest.__dataclass_fields__)), values, min_size=1, max_size=3))
def test_any_manifest_opens_or_is_refused_in_words(tiny_bundle, victim, changes):
    shutil.copy(tiny_bundle / "manifest.json", victim / "manifest.json")
    original = asdict(Bundle.open(victim).manifest)
    edit(victim, **changes)
    try:
        bundle = Bundle.open(victim)
        for name in GRAPHS:
            bundle.graph("fp32", name)
    except JsfError as error:
        assert str(victim) in error.message
    else:
        assert {name: type(value) for name, value in asdict(bundle.manifest).items()} == {
            name: type(value) for name, value in original.items()
        }
        assert bundle.manifest.hashes["fp32"] == original["hashes"]["fp32"]
