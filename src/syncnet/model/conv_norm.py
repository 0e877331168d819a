"""The layer that both trunks are made of: convolution, batch norm, ReLU."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

NORM_EPS = 1e-3


class ConvNorm(nn.Module):
    """Convolution without bias, batch norm, ReLU.

    With `frozen_norm` (and always in eval mode) the running statistics are used and the norm is folded into the
    weights: one pass over memory less, and still trainable.
    """

    def __init__(self, inputs: int, outputs: int, kernel: tuple[int, int], *, stride: int | tuple[int, int] = 1,
                 padding: tuple[int, int] = (0, 0)) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride=stride, padding=padding, bias=False)
        nn.init.kaiming_normal_(self.conv.weight, mode="fan_out", nonlinearity="relu")
        self.norm = nn.BatchNorm2d(outputs, eps=NORM_EPS)
        self.frozen_norm = False

    def folded(self) -> tuple[Tensor, Tensor]:
        """Weight and bias of the one convolution that equals convolution and norm in eval mode."""
        norm = self.norm
        assert norm.running_var is not None and norm.running_mean is not None
        scale = norm.weight * (norm.running_var + norm.eps).rsqrt()
        return self.conv.weight * scale[:, None, None, None], norm.bias - norm.running_mean * scale

    @torch.no_grad()
    def unfold(self, weight: Tensor, bias: Tensor) -> None:
        """Become this one convolution, the opposite of `folded`; the weights stay as large as they were, since their
        size sets how fast a layer learns."""
        norm = self.norm
        assert norm.running_var is not None and norm.running_mean is not None
        size = self.conv.weight.flatten(1).norm(dim=1).mean()
        scale = size / weight.flatten(1).norm(dim=1).clamp(min=1e-3 * float(size))
        self.conv.weight.copy_(weight * scale[:, None, None, None])
        norm.running_mean.zero_()
        norm.running_var.fill_(1.0 - norm.eps)
        norm.weight.copy_(1.0 / scale)
        norm.bias.copy_(bias)

    @torch.no_grad()
    def recentre(self, mean: Tensor, variance: Tensor) -> None:
        """Give the norm these statistics, with weights and biases that leave the result in eval mode as it is."""
        norm = self.norm
        assert norm.running_var is not None and norm.running_mean is not None
        scale = norm.weight * (norm.running_var + norm.eps).rsqrt()
        norm.bias.add_((mean - norm.running_mean) * scale)
        norm.weight.copy_(scale * (variance + norm.eps).sqrt())
        norm.running_mean.copy_(mean)
        norm.running_var.copy_(variance)

    def plain(self, x: Tensor, step: int | None = None) -> Tensor:
        """The convolution alone, before its norm."""
        return self._conv(x, self.conv.weight, None, step)

    def forward(self, x: Tensor, step: int | None = None) -> Tensor:
        """(B, C, H, W) -> (B, C', H', W'). With `step` the kernel's (taps, 1) lie along the width, that far apart."""
        if self.training and not self.frozen_norm:
            return F.relu(self.norm(self.plain(x, step)), inplace=True)
        weight, bias = self.folded()
        fused = x.device.type == "cpu" and not torch.is_grad_enabled() and not torch.onnx.is_in_onnx_export()
        if fused and torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
            return self._conv_relu(x, weight, bias, step)
        return F.relu(self._conv(x, weight, bias, step), inplace=True)

    def _conv(self, x: Tensor, weight: Tensor, bias: Tensor | None, step: int | None) -> Tensor:
        if step is not None:
            return F.conv2d(x, weight.transpose(2, 3), bias, dilation=(1, step))
        return F.conv2d(x, weight, bias, self.conv.stride, self.conv.padding)

    def _conv_relu(self, x: Tensor, weight: Tensor, bias: Tensor, step: int | None) -> Tensor:
        """Both in one pass over memory, which oneDNN has for inference on the CPU: half the time."""
        kind = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else x.dtype
        if step is not None:
            weight = weight.transpose(2, 3)
        padding, stride, dilation = self.conv.padding, self.conv.stride, (1, step or 1)
        out: Tensor = torch.ops.mkldnn._convolution_pointwise(
            x.to(kind), weight.to(kind), bias.to(kind), padding, stride, dilation, 1, "relu", [], "")
        return out
