"""Feature sequences, text, vocabulary and dataset readers. numpy only; every other package builds on this one."""
