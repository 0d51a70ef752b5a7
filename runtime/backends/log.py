"""TensorRT's messages: kept, so that a failure can say what TensorRT said and a build leaves its log."""

from collections import deque
from typing import Any

KEPT = 10_000
"""The latest messages that are kept: more than any build has, and a bound for a program that runs for months."""


def keeping_log(trt: Any) -> Any:
    """A logger for `trt` (tensorrt or tensorrt_rtx) with what was said.

    `messages` are all from info upwards, in order, `errors` those of failures, and `layers` the builder's descriptions
    of the engine's layers, with the types that they read and write.
    """

    class Log(trt.ILogger):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.ILogger.__init__(self)  # the bindings need the explicit call
            self.messages: deque[str] = deque(maxlen=KEPT)
            self.errors: deque[str] = deque(maxlen=KEPT)
            self.layers: list[str] = []

        def log(self, severity: Any, message: str) -> None:
            if severity == trt.ILogger.VERBOSE:
                self.layers += [line for line in message.splitlines() if ", LayerType: " in line]
                return
            self.messages.append(f"{severity.name}: {message}")
            if severity in (trt.ILogger.ERROR, trt.ILogger.INTERNAL_ERROR):
                self.errors.append(message)

    return Log()
