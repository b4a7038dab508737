"""What does each layer answer while the network runs, and how steeply does the score depend on that?

Every layer is watched from outside, by hooks that are gone afterwards: nothing is patched, and the network answers what it did.
A layer that answers several things (a tuple, a ModelOutput) is known by its first tensor, as everywhere.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from earwitness.classifiers.base import first_tensor
from earwitness.numerics.attention import head_means


@dataclass(eq=False)
class Answer:
    """What one call of a layer answered, a copy, and in time the gradient there; None where there is none.

    name: the layer's path; when it is asked again with a number, "relu (2)".
    """

    name: str
    value: Tensor
    slope: Tensor | None = None

    def arrived(self, slope: Tensor) -> None:
        """The backward pass has come here."""
        self.slope = slope.detach()


@contextmanager
def answers_of(network: nn.Module) -> Iterator[list[Answer]]:
    """The answers of a network's layers inside, as far as they have gradients, in the order in which they come."""
    seen: list[Answer] = []

    def see(name: str, value: Tensor) -> None:
        again = sum(answer.name.split(" (")[0] == name for answer in seen)
        seen.append(Answer(f"{name} ({again + 1})" if again else name, value.detach().clone()))
        value.register_hook(seen[-1].arrived)

    with _watched(network, see):
        yield seen


def attended_and_read(network: nn.Module, slope: Callable[[], Tensor], tokens: int) -> tuple[list[Tensor], Tensor]:
    """The attention maps of all blocks, `[tokens, tokens]` each, and how much of each token is read at the end, `[tokens]`.

    slope: asks the network about one input and goes back to a layer of tokens; answers the score's gradient there, `[tokens,
        channels]`. Read is a token as steeply as the score depends on it behind the last layer of tokens: the length of the
        gradient there, as a share of all lengths; all 0 where the score depends on none.
    No maps where nothing attends to these tokens (see `head_means`).
    """
    back: list[Tensor] = []  # gradients come from behind: that of the last layer first

    def see(_: str, value: Tensor) -> None:
        if value.ndim == 3 and value.shape[:2] == (1, tokens):
            value.register_hook(lambda slope: None if back else back.append(slope[0].detach()))

    with _watched(network, see):
        maps = head_means(lambda: back.append(slope()), tokens)
    steep = back[0].norm(dim=-1)
    return maps, steep / steep.sum().clamp(min=1e-30)


@contextmanager
def _watched(network: nn.Module, see: Callable[[str, Tensor], None]) -> Iterator[None]:
    """Inside, each call of a layer is told with its path and what it answers, where that has a gradient."""

    def tell(name: str, output: Any) -> None:
        found = first_tensor(output)
        if found is not None and found.requires_grad:
            see(name, found)

    handles = [
        module.register_forward_hook(lambda _, __, output, name=name: tell(name, output))
        for name, module in network.named_modules()
        if name
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
