"""How fast a bundle runs here: every backend and precision side by side, with peers, beside the arithmetic's floor."""
