"""The form that is exported: the trained network with the same scores and fewer operations."""

import torch
from torch import Tensor, nn

from jsf.models.chd import Stage
from jsf.models.jsfusion import JSFusion, folded


class SummedTaps(nn.Module):
    """A convolution to one channel as a 1x1 convolution to one map per tap, and the sum of the maps where taps meet.

    The same sums in another order. Backends compute 16 or more channels whether a convolution has them or not: a gate
    of 3x3 costs them nine such products of the whole tensor, its taps side by side cost one.
    """

    def __init__(self, convolution: nn.Conv2d) -> None:
        super().__init__()
        taps = convolution.weight.detach()[0].flatten(1).T  # [9, C]
        self.taps = nn.Conv2d(convolution.in_channels, len(taps), 1, bias=False)
        self.sum = nn.Conv2d(len(taps), 1, convolution.kernel_size, convolution.stride)  # type: ignore[arg-type]
        self.to(convolution.weight)
        with torch.no_grad():
            self.taps.weight.copy_(taps[:, :, None, None])
            self.sum.weight.copy_(torch.eye(len(taps)).view_as(self.sum.weight))
            assert convolution.bias is not None
            assert self.sum.bias is not None
            self.sum.bias.copy_(convolution.bias)

    def forward(self, joint: Tensor) -> Tensor:
        """[P, C, N, M] -> [P, 1, N', M']."""
        gates: Tensor = self.sum(self.taps(joint))
        return gates


def fused(model: JSFusion) -> JSFusion:
    """A copy in eval mode, batch norms folded into products, and each of CHD's gates as summed taps."""
    model = folded(model)
    for stage in model.modules():
        if isinstance(stage, Stage) and isinstance(stage.gate, nn.Conv2d):
            stage.gate = SummedTaps(stage.gate)
    return model
