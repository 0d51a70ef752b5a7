"""Metrics and the tasks' protocols, over any scorer. numpy, and scikit-learn for a classifier or a map."""
