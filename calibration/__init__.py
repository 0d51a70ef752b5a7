"""Reduced precision written into the graphs: FP16, INT8 from activation ranges, and what both cost. Never torch."""
