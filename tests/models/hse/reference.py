"""HSE and FSE once more, in NumPy and float64, one sequence at a time: written from the equations, not from the code.

A GRU: r = s(Wr x + br + Ur h + cr), z = s(Wz x + bz + Uz h + cz), n = tanh(Wn x + bn + r * (Un h + cn)),
h' = (1 - z) * n + z * h.
"""

import numpy as np


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


class Weights:
    """The state_dict below a name, as float64."""

    def __init__(self, values, prefix=""):
        self.values, self.prefix = values, prefix

    @classmethod
    def of(cls, module):
        return cls({name: value.numpy().astype(np.float64) for name, value in module.state_dict().items()})

    def __getitem__(self, name):
        return self.values[self.prefix + name]

    def under(self, name):
        return Weights(self.values, f"{self.prefix}{name}.")

    def __contains__(self, name):
        return any(key.startswith(self.prefix + name) for key in self.values)


def gru(weights, steps, state):
    """The state after each of the steps [n, C], from the first one [H]."""
    states = []
    for x in steps:
        i = weights["weight_ih_l0"] @ x + weights["bias_ih_l0"]
        h = weights["weight_hh_l0"] @ state + weights["bias_hh_l0"]
        (ir, iz, i_new), (hr, hz, h_new) = np.split(i, 3), np.split(h, 3)
        reset, update = sigmoid(ir + hr), sigmoid(iz + hz)
        new = np.tanh(i_new + reset * h_new)
        state = (1 - update) * new + update * state
        states.append(state)
    return np.array(states)


def pooled(weights, kind, states, each):
    """One vector of the states [n, H], of which the first `each` numbers are of units that read forwards."""
    if kind == "max":
        return states.max(0)
    if kind == "last":
        return np.concatenate([states[-1, :each], states[0, each:]])
    logits = np.tanh(states @ weights["pool.hidden.weight"].T + weights["pool.hidden.bias"])
    logits = logits @ weights["pool.weight.weight"][0]
    shares = np.exp(logits - logits.max())
    return (shares / shares.sum()) @ states


def encode(weights, kind, steps, begin=None):
    """The steps [n, C] of one sequence -> [H]."""
    each = weights["gru.weight_hh_l0"].shape[1]
    both = "backward_gru." in weights
    begin = np.zeros(each * (1 + both)) if begin is None else begin
    states = gru(weights.under("gru"), steps, begin[:each])
    if both:
        back = gru(weights.under("backward_gru"), steps[::-1], begin[each:])[::-1]
        states = np.concatenate([states, back], axis=1)
    return pooled(weights, kind, states, each)


def tower(weights, kind, whole, parts=None):
    """One video's or text's (top, context, parts)."""
    context = encode(weights.under("low"), kind, whole)
    if parts is None:
        return context, context, None
    encoded = np.array([encode(weights.under("low"), kind, part) for part in parts])
    return encode(weights.under("high"), kind, encoded, begin=context), context, encoded


def video(weights, kind, whole, clips=None):
    """Features [n, D], and clips of [n_k, D] each -> (top, context, clips)."""
    weights = weights.under("video_encoder")

    def standard(x):
        return (x - weights["feature_mean"]) * weights["feature_scale"]

    return tower(weights.under("tower"), kind, standard(whole), clips and [standard(clip) for clip in clips])


def text(weights, kind, whole, sentences=None):
    """Ids [m], and those of each sentence -> (top, context, sentences)."""
    weights = weights.under("text_encoder")
    vectors = weights["embedding.weight"]
    return tower(weights.under("tower"), kind, vectors[whole], sentences and [vectors[ids] for ids in sentences])
