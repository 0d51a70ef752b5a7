"""One file per backend behind the interface of `base`: a graph is a file that maps named arrays to named arrays."""
