"""Videos and paragraphs made of clips and their captions, with distractors that only the order or one clip tells apart.

Usage: python benchmarks/paragraphs.py --features val.h5 --captions val.csv -o val
       python benchmarks/paragraphs.py --features train.h5 --captions train.csv --count 1000 -o train

A video is a few clips one after another, and its paragraph their captions. Beside each such group there are others with
the same clips in another order, and with one clip exchanged for another. No two have the same clips in the same order,
or the same words. The groups share no clip until all clips are used; then the clips are shuffled and dealt again.
Writes OUT/features.h5 and OUT/paragraphs.json, which `jsf train` and `jsf evaluate` read as --features and --captions.
"""

import argparse
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import numpy as np

from jsf.data.captions import Caption, read_captions
from jsf.data.errors import JsfError
from jsf.data.extras import require
from jsf.data.files import replacing, write_json
from jsf.data.progress import track
from jsf.data.store import FeatureStore, open_features
from jsf.data.text import tokenize

ATTEMPTS = 1_000
Group = tuple[Caption, ...]


def main() -> None:
    """Writes both files."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--features", type=Path, required=True)
    options.add_argument("--captions", type=Path, required=True)
    options.add_argument("--clips", type=int, default=4, help="of a video")
    options.add_argument("--count", type=int, help="groups; default: as many as share no clip")
    options.add_argument("--orders", type=int, default=1, help="videos with a group's clips in another order")
    options.add_argument("--swaps", type=int, default=1, help="videos with one of a group's clips exchanged")
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("-o", "--out", type=Path, required=True, help="folder of the two files")
    chosen = options.parse_args()
    captions, store = read_captions(chosen.captions), open_features(chosen.features)
    groups = compose(captions, chosen.clips, chosen.count, chosen.orders, chosen.swaps, chosen.seed)
    write(groups, store, chosen.out)
    print(f"{chosen.out}: {len(groups):,} videos of {chosen.clips} clips")


def compose(
    captions: list[Caption], clips: int, count: int | None, orders: int, swaps: int, seed: int
) -> dict[str, Group]:
    """Groups by name: "00007" and its distractors "00007-order-1", "00007-swap-1".

    Raises:
        JsfError: there are too few clips for a group, or for so many different ones.
    """
    dealer = Dealer(captions, clips, seed)
    if clips < 1 or len(dealer.about) < clips + bool(swaps):
        raise JsfError(f"{len(dealer.about)} clips are too few for videos of {clips}{' and a swap' * bool(swaps)}.")
    for number in range(len(dealer.about) // clips if count is None else count):
        group = dealer.add(f"{number:05}", dealer.deal)
        for i in range(orders):
            dealer.add(f"{number:05}-order-{i + 1}", dealer.reorder, group)
        for i in range(swaps):
            dealer.add(f"{number:05}-swap-{i + 1}", dealer.swap, group)
    return dealer.groups


class Dealer:
    """Deals groups of clips, each with one of its captions, of which no two are alike."""

    def __init__(self, captions: list[Caption], clips: int, seed: int) -> None:
        self.groups: dict[str, Group] = {}
        self.about: dict[str, list[Caption]] = defaultdict(list)
        for caption in captions:
            self.about[caption.video_id].append(caption)
        self.clips, self.random = clips, np.random.default_rng(seed)
        self._seen: set[tuple[str, ...]] = set()
        self._left: list[str] = []

    def add(self, name: str, draw: Callable[..., Group], *given: Group) -> Group:
        """Draws until the group has clips in another order, and other words, than each before it."""
        for _ in range(ATTEMPTS):
            group = draw(*given)
            clips, words = (c.video_id for c in group), (word for c in group for word in tokenize(c.sentence))
            marks = {("clips", *clips), ("words", *words)}
            if self._seen.isdisjoint(marks):
                self._seen |= marks
                self.groups[name] = group
                return group
        raise JsfError(
            f"{len(self.about)} clips give no '{name}' that is unlike the {len(self.groups):,} videos before it.",
            "Ask for less: --count, --orders, --swaps",
        )

    def deal(self) -> Group:
        """The next clips of the shuffled ones; where too few are left, all are shuffled again."""
        if len(self._left) < self.clips:
            ids = list(self.about)
            self._left = [ids[i] for i in self.random.permutation(len(ids))]
        return tuple(self._caption(self._left.pop()) for _ in range(self.clips))

    def reorder(self, group: Group) -> Group:
        """The group in another order."""
        return tuple(group[i] for i in self.random.permutation(len(group)))

    def swap(self, group: Group) -> Group:
        """The group with one clip exchanged for one that it lacks."""
        own = {caption.video_id for caption in group}
        others = [clip for clip in self.about if clip not in own]
        place, other = self.random.integers(len(group)), others[self.random.integers(len(others))]
        return (*group[:place], self._caption(other), *group[place + 1 :])

    def _caption(self, clip: str) -> Caption:
        return self.about[clip][self.random.integers(len(self.about[clip]))]


def write(groups: dict[str, Group], store: FeatureStore, out: Path) -> None:
    """Writes the groups' features, one clip after another, and their captions with the steps at which they begin."""
    used = sorted({caption.video_id for group in groups.values() for caption in group})
    store.width(used)
    features = {clip: store.read(clip).astype(np.float16) for clip in track(used, "reading clips", len(used))}
    h5py, paragraphs = require("h5py", "extract"), {}
    with replacing(out / "features.h5") as temporary, h5py.File(temporary, "w") as file:
        file.attrs["extractor"] = store.extractor
        for name, group in track(groups.items(), "writing videos", len(groups)):
            parts = [features[caption.video_id] for caption in group]
            ends = np.cumsum([len(part) for part in parts]).tolist()
            file[name] = np.concatenate(parts)
            paragraphs[name] = {
                "duration": ends[-1],
                "timestamps": list(zip([0, *ends], ends, strict=False)),
                "sentences": [caption.sentence for caption in group],
            }
    write_json(out / "paragraphs.json", paragraphs)


if __name__ == "__main__":
    main()
