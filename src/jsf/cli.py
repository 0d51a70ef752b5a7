"""The command line: one function per verb. Each calls one function of the package and shows what it returns."""

import sys
from pathlib import Path
from typing import Annotated

import typer

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
DeviceOption = Annotated[str, typer.Option(help="cpu, cuda, or auto: an engine where there is a GPU, else the CPU.")]
PrecisionOption = Annotated[str, typer.Option(help="fp32, fp16, or auto: fp32 on a CPU, the smallest built on a GPU.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, for machines.")]
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
    paths: Annotated[list[Path], typer.Argument(help="Video files, and folders of them.")],
    out: Annotated[
        Path,
        typer.Option(
            "-o", "--out", help="OUT.npz for one video; for many a folder, which keeps each as it is done, or OUT.h5."
        ),
    ],
    bundle: Annotated[Path | None, typer.Option(help="Use the extractor of this bundle.")] = None,
    device: Annotated[str, typer.Option(help="cpu, cuda, or auto: the CPU.")] = "auto",
) -> None:
    """Turn video files into feature sequences."""
    from jsf.verbs.extract import show_extraction

    show_extraction(paths, out, bundle, device)


@app.command()
def train(
    features: Annotated[Path, typer.Option(help="Training features: an HDF5 file or a folder of .npz.")],
    captions: Annotated[Path, typer.Option(help="Training captions: a table key,vid_key,video_id,sentence.")],
    val_features: Annotated[Path, typer.Option(help="Features of the videos that choose the epoch.")],
    val_captions: Annotated[Path, typer.Option(help="Their captions.")],
    out: Annotated[Path, typer.Option("-o", "--out", help="Folder of the run; best.pt is written there.")],
    preset: Annotated[str, typer.Option(help="paper (full size) or small (a laptop's CPU).")] = "paper",
    word_vectors: Annotated[Path | None, typer.Option(help="Word vectors in GloVe's text format.")] = None,
    epochs: Annotated[int | None, typer.Option(help="At most so many; default: the preset's.", min=1)] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Continue the run in OUT.")] = False,
    trainer: Annotated[
        list[str] | None, typer.Option(help="Lightning's own, as KEY=VALUE: precision=bf16-mixed, devices=2.")
    ] = None,
    seed: SeedOption = 0,
    json: JsonOption = False,
) -> None:
    """Train a model: RUN/best.pt is its best epoch."""
    from jsf.verbs.train import show_training

    data = {"features": features, "captions": captions, "val_features": val_features, "val_captions": val_captions}
    how = {"preset": preset, "word_vectors": word_vectors, "epochs": epochs, "seed": seed, "resume": resume}
    show_training(out, {**data, **how}, trainer or [], json)


@app.command()
def evaluate(
    features: Annotated[Path, typer.Option(help="Features: an HDF5 file or a folder of .npz.")],
    captions: Annotated[Path, typer.Option(help="Captions: a table key,vid_key,video_id,sentence.")],
    ckpt: Annotated[Path | None, typer.Option(help="A checkpoint, instead of a bundle.")] = None,
    bundle: BundleOption = None,
    device: DeviceOption = "auto",
    precision: PrecisionOption = "auto",
    json: JsonOption = False,
) -> None:
    """Rank every video for every sentence, and the other way: recall, median and mean rank."""
    from jsf.verbs.evaluate import show_evaluation

    show_evaluation(features, captions, ckpt, bundle, device, precision, json)


@app.command()
def export(
    ckpt: Annotated[Path, typer.Option(help="The checkpoint: RUN/best.pt.")],
    out: Annotated[
        Path | None, typer.Option("-o", "--out", help="Bundle folder; default $JSF_BUNDLE or ./bundle.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Write a checkpoint as a bundle of ONNX graphs, each compared with PyTorch."""
    from jsf.verbs.export import show_export

    show_export(ckpt, out, json)


@app.command()
def build_engine(
    fp16: Annotated[bool, typer.Option("--fp16", help="Convert the graphs to FP16 first.")] = False,
    backend: Annotated[str, typer.Option(help="tensorrt, tensorrt-rtx, onnxruntime, or auto.")] = "auto",
    bundle: BundleOption = None,
    json: JsonOption = False,
) -> None:
    """Build engines of a bundle's graphs for this machine's GPU, or ahead of time."""
    from jsf.verbs.build_engine import show_engines

    show_engines("fp16" if fp16 else "fp32", backend, bundle, json)


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
