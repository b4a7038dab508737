"""A VGG-like network: small convolutions in pairs, each pair followed by a pooling, a mean over what is left, one linear layer.

    block(x) = pool( relu( conv( relu( conv(x) ) ) ) ),        logits = W mean(block_n( ... block_1(x))) + b

Source: Simonyan and Zisserman (2015), Very deep convolutional networks for large-scale image recognition: convolutions of 3 x 3.
Differs: two convolutions in each block, batch norm behind each, and the mean over frequency and time where VGG has three large
linear layers: so it takes pictures of any size, of which 1/16 is left behind four blocks.
"""

from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor, nn

from earwitness.errors import UsageError, whole


class VGG(nn.Module):
    """Spectrograms or pictures `[B, inputs, frequency, time]` to logits `[B, classes]`.

    classes: number of labels.  channels: of each block.  inputs: 1, or 3 for a `Picture` in colours.
    norm: batch norm behind each convolution.  dropout: in front of the linear layer.
    bias: of the linear layer, and of convolutions without batch norm. With neither bias nor batch norm LRP keeps the whole score.
    With 3 inputs and 10 classes 4,692,426 parameters; the CAM family asks about the last ReLU, `features.26` of four blocks.
    """

    def __init__(
        self,
        classes: int,
        channels: Sequence[int] = (64, 128, 256, 512),
        inputs: int = 1,
        norm: bool = True,
        dropout: float = 0.5,
        bias: bool = True,
    ) -> None:
        super().__init__()
        whole(classes=classes, inputs=inputs, **{f"channels[{at}]": count for at, count in enumerate(channels)})
        if not channels:
            raise UsageError("a VGG has one block or more: give channels for each, such as (64, 128)")
        self.classes, self.channels, self.inputs = classes, tuple(channels), inputs
        self.norm, self.dropout, self.bias = norm, dropout, bias
        layers: list[nn.Module] = []
        for before, after in zip((inputs, *channels[:-1]), channels, strict=True):
            for count in (before, after):
                layers.append(nn.Conv2d(count, after, 3, padding=1, bias=bias and not norm))
                layers += [nn.BatchNorm2d(after), nn.ReLU()] if norm else [nn.ReLU()]
            layers.append(nn.MaxPool2d(2, ceil_mode=True))
        self.features = nn.Sequential(*layers)
        self.head = nn.Sequential(nn.Dropout(dropout), nn.Linear(channels[-1], classes, bias))
        for part in self.modules():
            if isinstance(part, nn.Conv2d):
                nn.init.kaiming_normal_(part.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Float[Tensor, "batch inputs frequency time"]) -> Float[Tensor, "batch classes"]:
        """`[B, inputs, F, T]` to logits `[B, classes]`."""
        return self.head(self.features(x).mean((2, 3)))
