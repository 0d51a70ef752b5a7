"""TensorRT's messages: kept, so that a failure can say what TensorRT said."""

from typing import Any


def keeping_log(trt: Any) -> Any:
    """A logger for `trt` (tensorrt or tensorrt_rtx) with `errors`, the messages of failures, and `layers`.

    `layers` holds the builder's description of each layer of the engine, with the types it reads and writes.
    """

    class Log(trt.ILogger):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.ILogger.__init__(self)  # the bindings need the explicit call
            self.errors: list[str] = []
            self.layers: list[str] = []

        def log(self, severity: Any, message: str) -> None:
            if severity in (trt.ILogger.ERROR, trt.ILogger.INTERNAL_ERROR):
                self.errors.append(message)
            else:
                self.layers += [line for line in message.splitlines() if ", LayerType: " in line]

    return Log()
