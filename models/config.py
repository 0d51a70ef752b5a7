"""What a JSFusion model is made of. A preset is data: networks are built from it, and none branches on its name."""

from dataclasses import dataclass
from typing import Literal, get_args, get_origin, get_type_hints

from jsf.data.errors import JsfError
from jsf.data.task_names import FILLS

Activation = Literal["linear", "relu", "leaky", "tanh"]

WIDTHS = ("feature_width", "vocabulary_size", "frame_channels", "word_width", "lstm", "joint", "refine", "conv")


@dataclass(frozen=True)
class JSFusionConfig:
    """A JSFusion model; the defaults are the paper's, with the sizes of its Table 1.

    Attributes:
        preset: the name that this configuration goes by.
        feature_width: D of a frame's features (2176 in the paper: ResNet-152 and VGGish).
        vocabulary_size: rows of the embedding matrix, padding included.
        task: "retrieval", "multiple-choice" or "fill-in-the-blank"; the last gives a score per word, not per pair.
        unseen: the last so many numbers of a frame are not looked at (the sound, in the no-audio ablation).

        left_padded: videos shorter than 40 frames end, not begin, with the array.
        timing: add a sinusoidal timing signal to the frames.
        frame_context: what surrounds a frame: three convolutions, or an LSTM.
        frame_channels: width of the frame CNN, halved by its gated linear unit.
        frame_norm: batch norm in the frame CNN.
        frame_skip: x_v has the frame itself beside its context.
        word_width: width of a word vector.
        word_context: what surrounds a word: a BLSTM, an LSTM, or nothing but a dense layer.
        lstm: hidden units in each direction.
        word_skip: x_w has the word vector itself beside its context.
        blank_hidden: the blank is a zero vector, not a learned word.

        fusion: "jst-chd", or the product of the encoders' final states.
        joint: width of D1, where frames and words meet.
        refine: width of D2 to D4.
        blank_only: frames meet the blank's word alone, so that CHD's convolutions are 3 x 1.
        composer: what CHD reduces the joint tensor with.
        conv: channels of CHD's convolutions.
        conv_activation: of the convolutions; gate_activation: of the gates, before their sigmoid.
        gated: whether CHD has gates.
        pool: over the valid cells of the last stage.

        head: widths of D5, D6 and D7; head_activation: theirs.
        skip: what the sum of D7 and the blank's encoding is multiplied with.
        video_skip: the mean encoded frame joins that sum, of fill-in-the-blank (not in the paper).
        score_norm: batch norm after D8.

        frame_dropout, cnn_dropout, embedding_dropout, lstm_in_dropout, lstm_out_dropout, word_dropout: drop rates of
            the raw frames, the CNN's output, the word vectors, the LSTM's input and output, and D1w's output.
        whole_dropout: a number is dropped at all steps of a sequence or at none.
        norm_decay: decay of batch norm's running statistics.
        norm_padding: batch norm's statistics count padding too.
    """

    preset: str
    feature_width: int
    vocabulary_size: int
    task: Literal["retrieval", "multiple-choice", "fill-in-the-blank"] = "retrieval"
    unseen: int = 0

    left_padded: bool = False
    timing: bool = False
    frame_context: Literal["cnn", "lstm"] = "cnn"
    frame_channels: int = 2048
    frame_norm: bool = False
    frame_skip: bool = True
    word_width: int = 300
    word_context: Literal["blstm", "lstm", "dense"] = "blstm"
    lstm: int = 512
    word_skip: bool = True
    blank_hidden: bool = False

    fusion: Literal["jst-chd", "final-states"] = "jst-chd"
    joint: int = 512
    refine: int = 512
    blank_only: bool = False
    composer: Literal["convolution", "max", "mean"] = "convolution"
    conv: int = 256
    conv_activation: Activation = "linear"
    gate_activation: Activation = "linear"
    gated: bool = True
    pool: Literal["mean", "sum"] = "mean"

    head: tuple[int, int, int] = (256, 256, 128)
    head_activation: Activation = "tanh"
    skip: float = 1.0
    video_skip: bool = False
    score_norm: bool = False

    frame_dropout: float = 0.0
    cnn_dropout: float = 0.0
    embedding_dropout: float = 0.0
    lstm_in_dropout: float = 0.0
    lstm_out_dropout: float = 0.0
    word_dropout: float = 0.0
    whole_dropout: bool = False
    norm_decay: float = 0.999
    norm_padding: bool = False

    def __post_init__(self) -> None:
        """Raises JsfError where a choice is none of those there are, a width is none, or parts do not fit together."""
        check_choices(self)
        for name in WIDTHS:
            if getattr(self, name) < 1:
                raise JsfError(f"{name} is {getattr(self, name)}, expected 1 or more.")
        if min(self.head) < 1:
            raise JsfError(f"head is {list(self.head)}, expected widths of 1 or more.")
        if self.frame_channels % 2:
            raise JsfError(f"frame_channels is {self.frame_channels}, expected an even number: half are a gate.")
        if not 0 <= self.norm_decay <= 1:
            raise JsfError(f"norm_decay is {self.norm_decay}, expected 0 to 1.")
        if self.video_skip and not self.fills_blanks:
            raise JsfError("video_skip is for fill-in-the-blank: there is no blank that the mean frame could join.")
        if self.fills_blanks and self.head[2] != self.joint:
            raise JsfError(f"D7 is {self.head[2]} wide, and the blank that is added to it {self.joint}.")

    @property
    def fills_blanks(self) -> bool:
        """Whether the model predicts a word."""
        return self.task == FILLS


def check_choices(settings: object) -> None:
    """Raises JsfError where a field of a dataclass that is a `Literal` holds none of its choices."""
    for name, hint in get_type_hints(type(settings)).items():
        if get_origin(hint) is Literal and getattr(settings, name) not in get_args(hint):
            raise JsfError(f"{name} is {getattr(settings, name)!r}, expected one of: {', '.join(get_args(hint))}.")
