"""The command line: one function per verb. Each calls one function of the package and shows what it returns."""

import sys
from pathlib import Path
from typing import Annotated

import typer

ABLATIONS = "lstm-fusion, jst-fc, jst-lstm, jst-max, jst-mean, no-attention, no-audio, vgg-no-audio"

app = typer.Typer(
    help="Match video with language, frame by word, and carry the match to the edge.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

BundleOption = Annotated[
    Path | None, typer.Option(help="Bundle folder; default $JSF_BUNDLE or ./bundle.", show_default=False)
]
DeviceOption = Annotated[
    str, typer.Option(help="cpu, openvino (the CPU too), cuda, or auto: an engine where there is a GPU, else cpu.")
]
PrecisionOption = Annotated[
    str, typer.Option(help="fp32, fp16, int8, or auto: fp32 on a CPU, the smallest built on a GPU.")
]
EmbeddingOption = Annotated[
    Path | None, typer.Option(help="Bundle of an embedding, HSE or FSE: the first stage.", show_default=False)
]
IndexBundleOption = Annotated[
    Path | None, typer.Option(help="Where the index's bundle is, if it was moved.", show_default=False)
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, for machines.")]
TaskOption = Annotated[str, typer.Option(help="retrieval, multiple-choice, fill-in-the-blank; or captioning.")]
DatasetOption = Annotated[
    str | None,
    typer.Option(help="A data set: lsmdc, msrvtt, activitynet or didemo; or folder, with train.csv, test.csv."),
]
ClipsOption = Annotated[
    str, typer.Option(help="The clips of paragraphs: given, uniform-4 (four equal ones), or a JSON file of spans.")
]
RootOption = Annotated[Path | None, typer.Option(help="The data set's folder.")]
SeedOption = Annotated[int, typer.Option(help="Seed of everything random.", min=0, max=2**32 - 1)]


@app.command()
def demo(
    out: Annotated[Path, typer.Option("-o", "--out", help="Folder for all that the demo makes.")] = Path("jsf-demo"),
    render_only: Annotated[
        Path | None, typer.Option(help="Only render the clips and their captions into this folder.")
    ] = None,
    seed: SeedOption = 0,
    json: JsonOption = False,
) -> None:
    """Render clips, extract, train, export, build, evaluate and search: the whole chain in a few minutes."""
    from jsf.demo import show_demo

    show_demo(out, render_only, seed, json)


@app.command()
def extract(
    paths: Annotated[list[Path], typer.Argument(help='Video files, folders of them, and patterns: "clips/*.mp4".')],
    out: Annotated[
        Path, typer.Option("-o", "--out", help="OUT.npz for one video; for many a folder of .npz, or OUT.h5.")
    ],
    bundle: Annotated[Path | None, typer.Option(help="Use the extractor of this bundle.")] = None,
    extractor: Annotated[Path | None, typer.Option(help="Use this extractor's folder.")] = None,
    all_frames: Annotated[bool, typer.Option("--all-frames", help="Keep the whole 5 fps grid, not 40 frames.")] = False,
    device: DeviceOption = "auto",
    precision: Annotated[str, typer.Option(help="Of the CNN: fp32, fp16 or int8, where it has been made.")] = "fp32",
    json: JsonOption = False,
) -> None:
    """Turn video files into feature sequences; a run that was stopped goes on where it was."""
    from jsf.verbs.extract import show_extraction

    if bundle and extractor:
        raise typer.BadParameter("a bundle has an extractor of its own.", param_hint="--extractor")
    if not show_extraction(paths, out, bundle, extractor, all_frames, device, precision, json):
        raise typer.Exit(1)


@app.command()
def extractor(
    name: Annotated[
        str | None,
        typer.Argument(help="efficientnet-lite0, resnet-50, resnet-101 or resnet-152.", show_default=False),
    ] = None,
    onnx: Annotated[
        Path | None, typer.Option(help="Instead: an ONNX file, images [B, 3, S, S] -> features [B, W].")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("-o", "--out", help="Folder; default: a place in the user's cache.")
    ] = None,
    sound: Annotated[
        str, typer.Option(help="log-mel (mean and deviation of the spectrum), vggish (128 numbers), or none.")
    ] = "log-mel",
    weights: Annotated[
        Path | None, typer.Option(help="A ResNet's checkpoint, file or folder; without, microsoft/NAME of the hub.")
    ] = None,
    sound_weights: Annotated[
        Path | None, typer.Option(help="Folder with torchvggish's two files; without, they are downloaded.")
    ] = None,
    size: Annotated[int | None, typer.Option(help="With --onnx: S, pixels; default 224.", min=1, max=4096)] = None,
    resize: Annotated[
        int | None, typer.Option(help="With --onnx: the short side before the centre is cut out; default S.", max=8192)
    ] = None,
    interpolation: Annotated[
        str | None, typer.Option(help="With --onnx: bicubic (the default), bilinear, area or lanczos.")
    ] = None,
    mean: Annotated[
        str | None, typer.Option(help="With --onnx: of pixels 0..1, RGB; default 0.485,0.456,0.406.")
    ] = None,
    std: Annotated[
        str | None, typer.Option(help="With --onnx: of pixels 0..1, RGB; default 0.229,0.224,0.225.")
    ] = None,
    output: Annotated[str | None, typer.Option(help="With --onnx: the features' name, if there are others.")] = None,
) -> None:
    """Write an extractor, a CNN and a recipe for the sound, as a folder for `jsf extract --extractor`."""
    from jsf.verbs.extractor import show_extractor

    show_extractor(name, onnx, out, sound, weights, sound_weights, size, resize, interpolation, mean, std, output)


@app.command()
def train(
    out: Annotated[Path, typer.Option("-o", "--out", help="Folder of the run; best.pt is written there.")],
    features: Annotated[Path | None, typer.Option(help="Training features: an HDF5 file or a folder of .npz.")] = None,
    captions: Annotated[
        Path | None,
        typer.Option(help="A table of captions (video_id, sentence), questions or blanks; or paragraphs.json."),
    ] = None,
    val_features: Annotated[Path | None, typer.Option(help="Features of the videos that choose the epoch.")] = None,
    val_captions: Annotated[
        Path | None, typer.Option(help="Their captions; without, a tenth of the training videos is held out.")
    ] = None,
    dataset: DatasetOption = None,
    root: RootOption = None,
    training: Annotated[str | None, typer.Option(help="MSR-VTT's training list: 9k or 7k.")] = None,
    task: TaskOption = "retrieval",
    preset: Annotated[str, typer.Option(help="paper, official (the authors' code of JSFusion), or small.")] = "paper",
    model: Annotated[
        str, typer.Option(help="jsfusion; an embedding, hse or fse; or an ablation: " + ABLATIONS + ".")
    ] = "jsfusion",
    start: Annotated[
        Path | None, typer.Option(help="With --task captioning: the embedding's checkpoint that it tells of.")
    ] = None,
    clips: ClipsOption = "given",
    audio_width: Annotated[
        int | None, typer.Option(help="How many of a frame's last numbers are sound: what no-audio leaves out.", min=0)
    ] = None,
    word_vectors: Annotated[Path | None, typer.Option(help="Word vectors in GloVe's text format.")] = None,
    epochs: Annotated[int | None, typer.Option(help="At most so many; default: the preset's.", min=1)] = None,
    setting: Annotated[
        list[str] | None,
        typer.Option("--set", help="Another value of a recipe's or a model's setting, as KEY=VALUE: batch=16."),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Continue the run in OUT.")] = False,
    trainer: Annotated[
        list[str] | None, typer.Option(help="Lightning's own, as KEY=VALUE: precision=bf16-mixed, devices=2.")
    ] = None,
    seed: SeedOption = 0,
    json: JsonOption = False,
) -> None:
    """Train a model: RUN/best.pt is its best epoch."""
    from jsf.verbs.splits import named_dataset, training_splits
    from jsf.verbs.train import key_value, rows_for, show_training, unseen_width

    data = named_dataset(dataset, root, rows_for(task, model, start), training)
    splits = training_splits(features, captions, val_features, val_captions, data, clips)
    settings = dict(map(key_value, setting or [])) | ({"epochs": epochs} if epochs else {})
    what = {"task": task, "preset": preset, "model": model, "unseen": unseen_width(model, audio_width), "start": start}
    how = {"word_vectors": word_vectors, "settings": settings, "seed": seed, "resume": resume}
    show_training(*splits, out, {**what, **how, "trainer_options": dict(map(key_value, trainer or []))}, json)


@app.command()
def evaluate(
    features: Annotated[Path | None, typer.Option(help="Features: an HDF5 file or a folder of .npz.")] = None,
    captions: Annotated[
        Path | None,
        typer.Option(help="A table of captions (video_id, sentence), questions or blanks; or paragraphs.json."),
    ] = None,
    dataset: DatasetOption = None,
    root: RootOption = None,
    task: Annotated[
        str | None,
        typer.Option(
            help="retrieval, multiple-choice, fill-in-the-blank, captioning, or recognition of labels; "
            "default: what the table holds, or what the model was trained for."
        ),
    ] = None,
    clips: ClipsOption = "given",
    train_captions: Annotated[
        Path | None, typer.Option(help="With --task recognition: labelled videos that train a classifier too.")
    ] = None,
    train_features: Annotated[Path | None, typer.Option(help="Their features; default: --features.")] = None,
    incomplete: Annotated[
        bool, typer.Option("--incomplete", help="Show only the first quarter, half, ... of videos and paragraphs.")
    ] = False,
    picture: Annotated[Path | None, typer.Option(help="Draw --incomplete, which it implies: curve.png.")] = None,
    ckpt: Annotated[Path | None, typer.Option(help="A checkpoint, instead of a bundle.")] = None,
    bundle: BundleOption = None,
    device: DeviceOption = "auto",
    precision: PrecisionOption = "auto",
    json: JsonOption = False,
) -> None:
    """Measure a model: recall and ranks both ways, or how often its choices, words, labels or captions are right."""
    from jsf.verbs.caption import show_captioning
    from jsf.verbs.evaluate import open_scorer, show_evaluation
    from jsf.verbs.incomplete import show_incomplete
    from jsf.verbs.recognition import classifier_split, show_recognition
    from jsf.verbs.splits import evaluation_split

    scorer = open_scorer(ckpt, bundle, device, precision)
    split, task, protocol = evaluation_split(features, captions, dataset, root, task, clips, scorer)
    train = classifier_split(train_features, train_captions, task, split)
    if incomplete or picture:
        show_incomplete(scorer, split, protocol, picture, json)
    elif scorer.task == "captioning":
        show_captioning(scorer, split, protocol, json)
    elif task == "recognition":
        show_recognition(scorer, split, train, protocol, json)
    else:
        show_evaluation(scorer, split, task, protocol, json)


@app.command()
def embed(
    features: Annotated[Path, typer.Option(help="Features: an HDF5 file or a folder of .npz.")],
    captions: Annotated[
        Path | None, typer.Option(help="Embed this table's videos and texts: captions, labels or paragraphs.json.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("-o", "--out", help="The embeddings: OUT.npz.", show_default=False)
    ] = None,
    picture: Annotated[Path | None, typer.Option(help="A map of the videos, by t-SNE: map.png.")] = None,
    ckpt: Annotated[Path | None, typer.Option(help="A checkpoint, instead of a bundle.")] = None,
    bundle: BundleOption = None,
    device: DeviceOption = "auto",
    precision: PrecisionOption = "auto",
    json: JsonOption = False,
) -> None:
    """Embed videos and texts into one space, as arrays and as a map: of HSE and FSE."""
    from jsf.verbs.embed import show_embeddings

    show_embeddings(features, captions, out, picture, ckpt, bundle, device, precision, json)


@app.command()
def export(
    ckpt: Annotated[Path, typer.Option(help="The checkpoint: RUN/best.pt.")],
    out: Annotated[
        Path | None, typer.Option("-o", "--out", help="Bundle folder; default $JSF_BUNDLE or ./bundle.")
    ] = None,
    extractor: Annotated[
        Path | None, typer.Option(help="The extractor of its features, if it is not in the user's cache.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Write a checkpoint as a bundle of ONNX graphs, each compared with PyTorch."""
    from jsf.verbs.export import show_export

    show_export(ckpt, out, extractor, json)


@app.command()
def build_engine(
    fp16: Annotated[bool, typer.Option("--fp16", help="Convert the graphs to FP16 first.")] = False,
    int8: Annotated[bool, typer.Option("--int8", help="Calibrate and convert them to INT8 and FP16.")] = False,
    features: Annotated[
        Path | None, typer.Option(help="Features to calibrate and to measure on: an HDF5 file or a folder of .npz.")
    ] = None,
    captions: Annotated[Path | None, typer.Option(help="Their table of captions, questions or blanks.")] = None,
    extractor: Annotated[
        Path | None, typer.Option(help="Instead of a bundle: reduce the CNN of this extractor's folder.")
    ] = None,
    videos: Annotated[
        list[Path] | None,
        typer.Option(help="With --extractor: videos, or folders of them, to calibrate and to measure on; several."),
    ] = None,
    method: Annotated[
        str | None,
        typer.Option(
            help="How INT8 ranges are taken: minmax, entropy or percentile; default percentile, of a CNN minmax."
        ),
    ] = None,
    keep_fp16: Annotated[
        list[str] | None, typer.Option(help="A layer that is not to be INT8; the gate names those that cost most.")
    ] = None,
    auto: Annotated[bool, typer.Option("--auto", help="Keep such layers in FP16 until the gate passes.")] = False,
    max_drop: Annotated[float, typer.Option(help="Points of R@1, or of accuracy, that may be lost.")] = 0.5,
    min_correlation: Annotated[float, typer.Option(help="Rank correlation with FP32 that is wanted.")] = 0.99,
    max_error: Annotated[float, typer.Option(help="Mean score error allowed, in percent of the range.")] = 1.0,
    min_cosine: Annotated[
        float, typer.Option(help="With --extractor: the mean cosine with FP32 features that is wanted.")
    ] = 0.99,
    backend: Annotated[str, typer.Option(help="tensorrt, tensorrt-rtx, onnxruntime, or auto.")] = "auto",
    hardware_compatible: Annotated[
        bool, typer.Option("--hardware-compatible", help="Engines for any GPU from Ampere on.")
    ] = False,
    version_compatible: Annotated[
        bool, typer.Option("--version-compatible", help="Engines for newer TensorRT of the same major version too.")
    ] = False,
    bundle: BundleOption = None,
    json: JsonOption = False,
) -> None:
    """Reduce a bundle's graphs or an extractor's CNN, measure what that costs, and build engines, here or ahead."""
    from jsf.calibration.features import FeatureLimits
    from jsf.calibration.gate import Limits
    from jsf.calibration.publish import Choices
    from jsf.export.options import BuildOptions
    from jsf.verbs.build_engine import named_precision, show_engines

    of_features, of_scores = FeatureLimits(min_cosine), Limits(max_drop, min_correlation, max_error)
    options, kept = BuildOptions(hardware_compatible, version_compatible), tuple(keep_fp16 or ())
    if extractor:
        from jsf.verbs.build_cnn import show_cnn_engines

        if bundle or features or captions:
            raise typer.BadParameter(
                "it goes with --videos, and with no bundle, features or captions.", param_hint="--extractor"
            )
        if of_scores != Limits():
            raise typer.BadParameter("the limit of a CNN is --min-cosine.", param_hint="--extractor")
        of_cnn, precision = Choices(method or "minmax", kept, auto), named_precision(fp16, int8)
        show_cnn_engines(precision, backend, extractor, videos or [], of_cnn, of_features, options, json)
        return
    if videos or of_features != FeatureLimits():
        raise typer.BadParameter("it goes with --extractor.", param_hint="--videos" if videos else "--min-cosine")
    choices = Choices(method or "percentile", kept, auto, of_scores)
    show_engines(named_precision(fp16, int8), backend, bundle, features, captions, choices, options, json)


@app.command()
def inspect(
    path: Annotated[
        Path | None,
        typer.Argument(
            metavar="BUNDLE|ENGINE",
            help="A bundle's folder, or an .engine file; default: $JSF_BUNDLE or ./bundle.",
            show_default=False,
        ),
    ] = None,
    json: JsonOption = False,
) -> None:
    """Show what a bundle or an engine holds, whether it is whole and runs here, and what its precisions cost."""
    from jsf.verbs.inspect import show_inspection

    show_inspection(path, json)


@app.command()
def doctor(json: JsonOption = False) -> None:
    """Check this machine: packages, driver, TensorRT, providers, memory, power; each finding with its fix."""
    from jsf.verbs.doctor import show_findings

    show_findings(json)


@app.command()
def bench(
    captions: Annotated[
        Path | None, typer.Option(help="A table: pairs have the lengths of its sentences; default: usual captions.")
    ] = None,
    frames: Annotated[int, typer.Option(help="Frames of every video.", min=1, max=40)] = 40,
    ckpt: Annotated[
        Path | None, typer.Option(help="The bundle's checkpoint: PyTorch runs it too, eager and compiled, at 40x40.")
    ] = None,
    device: Annotated[
        list[str] | None,
        typer.Option(help="cpu (ONNX Runtime), openvino, cuda; several; default: all that are here."),
    ] = None,
    precision: Annotated[
        list[str] | None, typer.Option(help="fp32, fp16 or int8; several; default: all that the bundle has.")
    ] = None,
    rounds: Annotated[int, typer.Option(help="Rounds of which medians are taken.", min=1)] = 5,
    out: Annotated[
        Path | None, typer.Option("-o", "--out", help="All numbers as JSON: bench.json.", show_default=False)
    ] = None,
    chart: Annotated[Path | None, typer.Option(help="A bar chart: bench.png.")] = None,
    bundle: BundleOption = None,
    json: JsonOption = False,
) -> None:
    """Measure how fast a bundle runs here: every backend and precision in turn, beside peers and the floor."""
    from jsf.verbs.bench import show_bench

    show_bench(device or (), precision or (), captions, frames, ckpt, rounds, out, chart, bundle, json)


@app.command()
def score(
    inputs: Annotated[
        list[str] | None,
        typer.Argument(
            metavar='VIDEO... "SENTENCE"', help="video.npz, store.h5#id or a video file; the sentence last."
        ),
    ] = None,
    pairs: Annotated[Path | None, typer.Option(help="Score a table of pairs: columns video_id, sentence.")] = None,
    features: Annotated[Path | None, typer.Option(help="Features of the table's videos.")] = None,
    out: Annotated[Path | None, typer.Option("-o", "--out", help="The scored table, a CSV.")] = None,
    bundle: BundleOption = None,
    device: DeviceOption = "auto",
    precision: PrecisionOption = "auto",
    json: JsonOption = False,
) -> None:
    """Score how well a sentence fits a video; several videos give a ranked table."""
    from jsf.verbs.score import show_pairs, show_scores

    if pairs or features or out:
        show_pairs(inputs or [], pairs, features, out, bundle, device, precision, json)
    else:
        show_scores(inputs or [], bundle, device, precision, json)


@app.command()
def index(
    paths: Annotated[
        list[Path], typer.Argument(help="video.npz, store.h5, video files, and folders of .npz or of video files.")
    ],
    out: Annotated[Path, typer.Option("-o", "--out", help="The index, a folder; one that is there grows.")],
    bundle: BundleOption = None,
    embedding: EmbeddingOption = None,
    captions: Annotated[
        Path | None, typer.Option(help="A table of captions, on which the recall of the first stage is measured.")
    ] = None,
    device: DeviceOption = "auto",
    precision: PrecisionOption = "auto",
    json: JsonOption = False,
) -> None:
    """Make a collection of videos that can be searched, or add to one; a killed run continues."""
    from jsf.verbs.index import show_index

    show_index(paths, out, bundle, embedding, captions, device, precision, json)


@app.command()
def search(
    query: Annotated[str | None, typer.Argument(metavar='["SENTENCE"]', help="What is looked for.")] = None,
    video: Annotated[
        str | None, typer.Option(help="Rank texts for this video instead: video.npz, store.h5#id or a video file.")
    ] = None,
    texts: Annotated[Path | None, typer.Option(help="The texts to rank for --video: a file, one a line.")] = None,
    index: Annotated[Path, typer.Option(help="The index, a folder.")] = Path("index"),
    top: Annotated[int, typer.Option(help="How many to show.", min=1)] = 10,
    rerank: Annotated[int, typer.Option(help="How many of the first stage JSFusion ranks again.", min=1)] = 100,
    bundle: IndexBundleOption = None,
    embedding: EmbeddingOption = None,
    device: DeviceOption = "auto",
    precision: PrecisionOption = "auto",
    json: JsonOption = False,
) -> None:
    """Search an index: the videos that fit a sentence best, or the texts that fit a video best."""
    from jsf.verbs.search import show_search

    show_search(query, video, texts, index, top, rerank, bundle, embedding, device, precision, json)


@app.command()
def explain(
    video: Annotated[str, typer.Argument(help="video.npz, store.h5#id or a video file.")],
    sentence: Annotated[str, typer.Argument(help="A sentence, with _____ for a model that fills blanks.")],
    against: Annotated[str | None, typer.Option(help="Another sentence to draw beside it: a negative.")] = None,
    out: Annotated[
        Path | None, typer.Option("-o", "--out", help="The picture: map.png, or .pdf, .svg.", show_default=False)
    ] = None,
    ckpt: Annotated[Path | None, typer.Option(help="A checkpoint, instead of a bundle.")] = None,
    bundle: BundleOption = None,
    json: JsonOption = False,
) -> None:
    """Draw what a score rests on: attention over frames and words, and what each stage lets through."""
    from jsf.verbs.explain import show_explanation

    show_explanation(video, sentence, against, out, ckpt, bundle, json)


@app.command()
def choose(
    video: Annotated[str, typer.Argument(help="video.npz, store.h5#id or a video file.")],
    sentences: Annotated[list[str], typer.Argument(metavar='"SENTENCE"...', help="Two or more sentences.")],
    bundle: BundleOption = None,
    device: DeviceOption = "auto",
    precision: PrecisionOption = "auto",
    json: JsonOption = False,
) -> None:
    """Choose the sentence that fits a video best; the others follow, ranked."""
    from jsf.verbs.choose import show_choice

    show_choice(video, sentences, bundle, device, precision, json)


@app.command()
def fill(
    video: Annotated[str, typer.Argument(help="video.npz, store.h5#id or a video file.")],
    sentence: Annotated[str, typer.Argument(metavar='"SENTENCE"', help="A sentence with one blank: _____.")],
    top: Annotated[int, typer.Option(help="How many words to show.", min=1)] = 5,
    bundle: BundleOption = None,
    device: DeviceOption = "auto",
    precision: PrecisionOption = "auto",
    json: JsonOption = False,
) -> None:
    """Fill the blank of a sentence about a video: the most probable words."""
    from jsf.verbs.fill import show_words

    show_words(video, sentence, top, bundle, device, precision, json)


@app.command()
def caption(
    videos: Annotated[list[str], typer.Argument(help="video.npz, store.h5#id or a video file; several.")],
    ckpt: Annotated[Path, typer.Option(help="The captioner's checkpoint: RUN/best.pt.")],
    device: Annotated[str, typer.Option(help="cpu, cuda, or auto: CUDA where there is one.")] = "auto",
    json: JsonOption = False,
) -> None:
    """Tell what is seen in each clip of a video, in a sentence each."""
    from jsf.verbs.caption import show_captions

    show_captions(videos, ckpt, device, json)


@app.command()
def import_checkpoint(
    ckpt: Annotated[
        Path, typer.Argument(help="The weights: an .npz of name -> array, or the prefix of a TensorFlow checkpoint.")
    ],
    vocabulary: Annotated[Path, typer.Option(help="Its words, one a line, in the order of their ids.")],
    out: Annotated[Path, typer.Option("-o", "--out", help="The checkpoint to write: best.pt.")],
    json: JsonOption = False,
) -> None:
    """Turn the authors' released weights into a checkpoint of jsf."""
    from jsf.verbs.import_checkpoint import show_import

    show_import(ckpt, vocabulary, out, json)


def main() -> None:
    """Runs the command line; a mistake that a user can fix is printed without a traceback, with exit status 1."""
    from jsf.data.errors import JsfError

    try:
        app()
    except JsfError as error:
        print(f"error: {error.message}", file=sys.stderr)
        if error.fix:
            print(error.fix, file=sys.stderr)
        sys.exit(1)
