"""Whether these are the models that made an index, recognised by the SHA-256 of their graphs."""

from pathlib import Path

from jsf.data.errors import JsfError
from jsf.runtime.index.contents import Contents
from jsf.runtime.index.models import Models
from jsf.runtime.index.records import BundleRecord


def check_made_by(contents: Contents, models: Models, folder: Path) -> None:
    """Refuses models that did not make an index: they would compare what cannot be compared.

    Raises:
        JsfError: a bundle is another one, is absent, or is one too many.
    """
    given = models.contents(folder)
    for name, ours, theirs in (
        ("embedding", contents.embedding, given.embedding),
        ("matcher", contents.matcher, given.matcher),
    ):
        if (ours and ours.hashes) != (theirs and theirs.hashes):
            made, offered = (_named(name, bundle, ours, theirs) for bundle in (ours, theirs))
            raise JsfError(
                f"{folder} was made with {made}; given is {offered}.",
                "Name the bundles that made it with --bundle and --embedding, or index into a new folder: "
                "jsf index PATHS -o NEW",
            )


def _named(name: str, bundle: BundleRecord | None, *both: BundleRecord | None) -> str:
    """A bundle with the hash of the first of its graphs that differs in both."""
    if not bundle:
        return f"no {name}"
    others = [each.hashes if each else {} for each in both]
    graph = next(g for g in bundle.hashes if others[0].get(g) != others[1].get(g))
    return f"the {name} {bundle.path} ({graph} {bundle.hashes[graph][:12]}...)"
