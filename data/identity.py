"""The name of what made features: name, version, starts of its graphs' hashes, and of a reduced CNN its precision.

"efficientnet-lite0+logmel 1 0a1b2c3d4e5f" in FP32; with " int8 5f4e3d2c1b0a" behind it in INT8.
"""

import re

_REDUCED = re.compile(r" (fp16|int8) [0-9a-f]{12}$")


def in_precision(identity: str, precision: str, graph_sha256: str) -> str:
    """The name of an extractor whose CNN is reduced to "fp16" or "int8"; the hash is of that graph."""
    return f"{identity} {precision} {graph_sha256[:12]}"


def full_precision(identity: str) -> str:
    """The name of the same extractor in FP32."""
    return _REDUCED.sub("", identity)


def same_extractor(ours: str, theirs: str) -> bool:
    """Whether features of two names can meet in one model: of one extractor, in whatever precision.

    One that is not known, "", may be any.
    """
    return not (ours and theirs) or full_precision(ours) == full_precision(theirs)
