"""What every graph that jsf writes has in common."""

from typing import Any


def strip_traces(model: Any) -> None:
    """Removes the exporter's notes from an ONNX ModelProto: they hold this machine's paths.

    Equal graphs then have equal hashes, wherever they were exported.
    """
    graph = model.graph
    for item in (graph, *graph.node, *graph.input, *graph.output, *graph.value_info, *graph.initializer):
        item.ClearField("metadata_props")
        item.ClearField("doc_string")
