"""Facts as lines of text: a name and what it is."""

from collections.abc import Mapping
from typing import Any


def print_facts(facts: Mapping[str, Any]) -> None:
    """Name and value, a line each; values that say nothing are left out."""
    width = max(map(len, facts)) + 2
    for name, value in facts.items():
        if value not in ("", None, [], {}):
            print(f"{name:<{width}}{', '.join(map(str, value)) if isinstance(value, list) else value}")


def in_words(values: Mapping[str, Any]) -> str:
    """{"float16": 12, "P": [1, 64, 64]} -> "float16 12, P 1 64 64"."""
    return ", ".join(f"{name} {_plain(value)}" for name, value in values.items())


def _plain(value: Any) -> str:
    if isinstance(value, dict):
        return " ".join(map(_plain, value.values()))
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)
