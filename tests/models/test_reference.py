"""The whole model in eval mode, written a second time in NumPy, one video, one sentence and one pair at a time."""

import copy

import numpy as np
import pytest
import torch

LENGTHS = (1, 2, 3, 6, 7, 8, 19, 39, 40)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def relu(x):
    return np.maximum(x, 0)


class Reference:
    """JSFusion from the paper's equations, over the weights of a state_dict."""

    def __init__(self, state_dict):
        self.weights = {name: value.double().numpy() for name, value in state_dict.items()}

    def dense(self, name, x, activation=np.tanh):
        mean, variance, shift = (self.weights[f"{name}.norm.{key}"] for key in ("mean", "variance", "shift"))
        x = x @ self.weights[f"{name}.linear.weight"].T
        return activation((x - mean) / np.sqrt(variance + 1e-3) + shift)

    def encode_frames(self, features, length):
        """[40, D] -> [40, J]."""
        v = (features - self.weights["frame_encoder.feature_mean"]) * self.weights["frame_encoder.feature_scale"]
        v[length:] = 0
        h = v
        for i in range(3):
            weight = self.weights[f"frame_encoder.context.convolutions.{i}.weight"]  # [out, in, 3]
            past, future = np.vstack([0 * h[:1], h[:-1]]), np.vstack([h[1:], 0 * h[:1]])
            taps = zip((past, h, future), np.moveaxis(weight, 2, 0), strict=True)
            h = relu(sum(x @ tap.T for x, tap in taps) + self.weights[f"frame_encoder.context.convolutions.{i}.bias"])
        half = h.shape[1] // 2
        encoded = self.dense("frame_encoder.d1", np.hstack([h[:, :half] * sigmoid(h[:, half:]), v]))
        encoded[length:] = 0
        return encoded

    def lstm(self, x, suffix):
        """[40, W] -> [40, H], from the first row to the last; the four gates are i, f, g, o."""
        w_ih, w_hh, b_ih, b_hh = (
            self.weights[f"word_encoder.context.lstm.{part}_l0{suffix}"]
            for part in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        )
        hidden = cell = np.zeros(w_hh.shape[1])
        outputs = []
        for step in x:
            i, f, g, o = np.split(w_ih @ step + b_ih + w_hh @ hidden + b_hh, 4)
            cell = sigmoid(f) * cell + sigmoid(i) * np.tanh(g)
            hidden = sigmoid(o) * np.tanh(cell)
            outputs.append(hidden)
        return np.array(outputs)

    def encode_words(self, words, length):
        """[40] -> [40, J]."""
        w = self.weights["word_encoder.embedding.weight"][words]
        w[length:] = 0
        backward = self.lstm(w[::-1], "_reverse")[::-1]
        encoded = self.dense("word_encoder.d1", np.hstack([self.lstm(w, ""), backward, w]))
        encoded[length:] = 0
        return encoded

    def convolve(self, name, joint, stride):
        """[N, M, C] -> [N', M', C']."""
        weight, bias = self.weights[f"{name}.weight"], self.weights[f"{name}.bias"]
        windows = np.lib.stride_tricks.sliding_window_view(joint, (3, 3), axis=(0, 1))  # [N-2, M-2, C, 3, 3]
        return np.einsum("nmcij,ocij->nmo", windows[::stride, ::stride], weight) + bias

    def match(self, frames, n, words, m):
        """[40, J] and [40, J] -> a score."""
        t = frames[:, None] * words[None]  # equation 2
        alpha = self.dense("matcher.fusion.jst.w", self.dense("matcher.fusion.jst.d2", t), sigmoid)
        joint = alpha * self.dense("matcher.fusion.jst.d4", self.dense("matcher.fusion.jst.d3", t))  # equation 3
        joint[n:], joint[:, m:] = 0, 0
        for i, (stride, size) in enumerate(((1, 38), (1, 36), (2, 17))):
            gate = sigmoid(self.convolve(f"matcher.fusion.chd.stages.{i}.gate", joint, stride))
            joint = self.convolve(f"matcher.fusion.chd.stages.{i}.convolution", joint, stride) * gate  # equation 4
            assert joint.shape[:2] == (size, size)
            n, m = (max(1, k - 2) if stride == 1 else max(1, (k - 1) // 2) for k in (n, m))
            joint[n:], joint[:, m:] = 0, 0
        x = joint[:n, :m].mean((0, 1))
        for name in ("d5", "d6", "d7"):
            x = self.dense(f"matcher.head.{name}", x)
        return (self.weights["matcher.head.d8.weight"] @ x + self.weights["matcher.head.d8.bias"]).item()


@pytest.fixture(scope="module")
def model(tiny_model):
    return copy.deepcopy(tiny_model).double()


@pytest.fixture(scope="module")
def data(model):
    rng = np.random.default_rng(0)
    features = rng.standard_normal((len(LENGTHS), 40, model.config.feature_width))
    words = rng.integers(1, model.config.vocabulary_size, (len(LENGTHS), 40))
    return features, words


def test_frame_encoder(model, data):
    features, _ = data
    expected = [Reference(model.state_dict()).encode_frames(x, n) for x, n in zip(features, LENGTHS, strict=True)]
    with torch.no_grad():
        found = model.frame_encoder(torch.from_numpy(features), torch.tensor(LENGTHS))
    np.testing.assert_allclose(found, expected, atol=1e-10)


def test_word_encoder(model, data):
    _, words = data
    expected = [Reference(model.state_dict()).encode_words(x, m) for x, m in zip(words, LENGTHS, strict=True)]
    with torch.no_grad():
        found = model.word_encoder(torch.from_numpy(words), torch.tensor(LENGTHS))
    np.testing.assert_allclose(found, expected, atol=1e-10)


def test_scores_of_all_pairs_of_mixed_lengths(model, data):
    features, words = data
    reference = Reference(model.state_dict())
    videos = [(reference.encode_frames(x, n), n) for x, n in zip(features, LENGTHS, strict=True)]
    sentences = [(reference.encode_words(x, m), m) for x, m in zip(words, LENGTHS, strict=True)]
    expected = [reference.match(*video, *sentence) for video in videos for sentence in sentences]
    lengths = torch.tensor(LENGTHS)
    pairs = torch.cartesian_prod(torch.arange(len(LENGTHS)), torch.arange(len(LENGTHS))).T
    with torch.no_grad():
        found = model(torch.from_numpy(features), lengths, torch.from_numpy(words), lengths, *pairs)
    assert np.ptp(expected) > 0.1  # the scores differ, so that agreement means something
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-10)
