"""ResNet18 for spectrograms: one channel in, residual blocks, a mean over what is left of frequency and time.

    y = relu( F(x) + x ),        F: convolution, batch norm, ReLU, convolution, batch norm

Source: He et al. (2016), "Deep residual learning for image recognition"; with one input channel as in a study of speech emotion.
"""

from jaxtyping import Float
from torch import Tensor, nn

from earwitness.errors import whole


class Residual(nn.Module):
    """Two convolutions of 3 x 3 beside a shortcut; where the size changes, the shortcut is a convolution of 1 x 1."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.relu1 = nn.ReLU()
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.relu2 = nn.ReLU()
        other = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))
        self.shortcut = other if stride > 1 or inputs != outputs else nn.Identity()

    def forward(self, x: Float[Tensor, "batch inputs rows columns"]) -> Float[Tensor, "batch outputs fewer less"]:
        """`[B, inputs, F, T]` to `[B, outputs, F/stride, T/stride]`."""
        y = self.bn2(self.conv2(self.relu1(self.bn1(self.conv1(x)))))
        return self.relu2(y + self.shortcut(x))


class ResNet18(nn.Module):
    """Spectrograms `[B, 1, frequency, time]` to logits `[B, classes]`.

    width: channels of the first blocks; doubled at each of three further stages.  dropout: in front of the last layer.
    With 64 channels and 6 classes 11,173,318 parameters; a clip of 128 x 141 ends as 4 x 5 places (`layer4`, for the CAM family).
    """

    def __init__(self, classes: int, width: int = 64, dropout: float = 0.5) -> None:
        super().__init__()
        whole(classes=classes, width=width)
        self.classes, self.width, self.dropout = classes, width, dropout
        self.stem = nn.Sequential(
            nn.Conv2d(1, width, 7, 2, 3, bias=False), nn.BatchNorm2d(width), nn.ReLU(), nn.MaxPool2d(3, 2, 1)
        )
        self.layer1 = nn.Sequential(Residual(width, width, 1), Residual(width, width, 1))
        self.layer2 = nn.Sequential(Residual(width, 2 * width, 2), Residual(2 * width, 2 * width, 1))
        self.layer3 = nn.Sequential(Residual(2 * width, 4 * width, 2), Residual(4 * width, 4 * width, 1))
        self.layer4 = nn.Sequential(Residual(4 * width, 8 * width, 2), Residual(8 * width, 8 * width, 1))
        self.head = nn.Sequential(nn.Dropout(dropout), nn.Linear(8 * width, classes))
        for part in self.modules():
            if isinstance(part, nn.Conv2d):
                nn.init.kaiming_normal_(part.weight, mode="fan_out", nonlinearity="relu")
            if isinstance(part, nn.Linear):
                nn.init.xavier_normal_(part.weight)
                nn.init.zeros_(part.bias)

    def forward(self, x: Float[Tensor, "batch 1 frequency time"]) -> Float[Tensor, "batch classes"]:
        """`[B, 1, frequency, time]` to logits `[B, classes]`."""
        x = self.layer4(self.layer3(self.layer2(self.layer1(self.stem(x)))))
        return self.head(x.mean((2, 3)))
