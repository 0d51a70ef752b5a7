"""Model configurations. A preset is data: every network is built from one of these, and none branches on its name."""

from dataclasses import dataclass, replace

from jsf.data.errors import JsfError


@dataclass(frozen=True)
class JSFusionConfig:
    """The sizes of a JSFusion model; the defaults are Table 1 of the paper.

    Attributes:
        preset: the name this configuration goes by.
        feature_width: D of a frame's features (2176 in the paper: ResNet-152 and VGGish).
        vocabulary_size: rows of the embedding matrix, padding included.
        word_width: width of a word vector.
        frame_channels: width of the frame CNN, halved by its gated linear unit.
        lstm: hidden units in each direction of the word BLSTM.
        joint: width of D1 to D4.
        conv: channels of the three convolutions of CHD.
        head: widths of D5, D6 and D7.
        dropout: drop rate of word vectors, BLSTM outputs and frame features.
        norm_decay: decay of batch norm's running statistics (0.999 in the authors' code).
    """

    preset: str
    feature_width: int
    vocabulary_size: int
    word_width: int = 300
    frame_channels: int = 2048
    lstm: int = 512
    joint: int = 512
    conv: int = 256
    head: tuple[int, int, int] = (256, 256, 128)
    dropout: float = 0.0
    norm_decay: float = 0.999


PRESETS = {
    "paper": JSFusionConfig("paper", feature_width=0, vocabulary_size=0),
    "small": JSFusionConfig(
        "small",
        feature_width=0,
        vocabulary_size=0,
        frame_channels=128,
        lstm=64,
        joint=64,
        conv=48,
        head=(64, 64, 64),
        dropout=0.2,
        norm_decay=0.9,
    ),
}


def preset(name: str, feature_width: int, vocabulary_size: int) -> JSFusionConfig:
    """The configuration `name` for features of this width and a vocabulary of this size.

    Raises:
        JsfError: there is no such preset.
    """
    if name not in PRESETS:
        raise JsfError(f"there is no preset '{name}', expected one of: {', '.join(PRESETS)}.")
    return replace(PRESETS[name], feature_width=feature_width, vocabulary_size=vocabulary_size)
