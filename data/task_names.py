"""The names of what models are trained for and measured on."""

FILLS = "fill-in-the-blank"
TASKS = ("retrieval", "multiple-choice", FILLS)
"""JSFusion's."""

EMBEDDINGS = ("hse", "fse")
"""The models that embed."""

EMBEDDING = "embedding"
"""What HSE and FSE are trained for: retrieval of captions or paragraphs by a vector each."""

CAPTIONING = "captioning"
"""What a captioner is trained for, over a trained embedding."""

RECOGNITION = "recognition"
"""A measure of embeddings: labels instead of sentences."""
