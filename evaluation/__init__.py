"""Metrics and the tasks' protocols, over any scorer. numpy only."""
