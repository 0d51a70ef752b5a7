"""The demo: generated video files whose scenes' order and sound matter, and the whole chain run on them."""

from pathlib import Path


def show_demo(out: Path, render_only: Path | None, seed: int, json: bool) -> None:
    """Runs the demo in `out` and prints its report, or only renders its clips.

    Raises:
        JsfError: a package is missing, or the folder holds something else.
    """
    from dataclasses import asdict

    from jsf.demo.render import render
    from jsf.demo.report import print_report
    from jsf.demo.run import run_demo
    from jsf.verbs.output import print_json

    if render_only:
        render(render_only, seed)
        print(render_only)
        return
    report = run_demo(out, seed)
    if json:
        print_json(asdict(report))
    else:
        print_report(report, out)
