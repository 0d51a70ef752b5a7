"""`jsf build-engine`: reduced graphs and engines."""

from pathlib import Path

from jsf.export.engine import build_engines, choose_backend
from jsf.runtime.bundle import Bundle, default_bundle
from jsf.verbs.output import note, print_json, print_table


def show_engines(precision: str, backend: str, root: Path | None, json: bool) -> None:
    """Builds, and prints what was built and what the precision costs.

    Raises:
        JsfError: bad input, or the backend that was asked for cannot be had.
    """
    choice = choose_backend(backend)
    note(f"backend {choice.backend}: {choice.reason}")
    bundle = Bundle.open(root or default_bundle())
    engines = build_engines(bundle, precision, choice.backend)
    loss = bundle.manifest.losses.get(precision, {})
    if json:
        built = [str(path) for path in engines]
        print_json({"backend": choice.backend, "reason": choice.reason, "engines": built, "loss": loss})
        return
    if engines:
        rows = [(str(path.relative_to(bundle.root)), f"{path.stat().st_size / 1e6:.1f}") for path in engines]
        print_table(str(bundle.root), ("engine", "MB"), rows)
    else:
        print(f"{bundle.root / precision}: graphs for ONNX Runtime, no engines")
    for name, value in loss.items():
        print(f"{precision} {name.replace('_', ' ')}: {value if isinstance(value, str) else format(value, '.2g')}")
