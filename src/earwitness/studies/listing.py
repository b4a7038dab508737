"""What there is: every method, way to cut a clip, and metric, as their classes say it themselves; and the layers of a model."""

from typing import Any

import torch
from torch import Tensor, nn

from earwitness.classifiers.base import Classifier, evaluating, first_tensor
from earwitness.classifiers.layouts import layout_of
from earwitness.components import FACTORIZATIONS
from earwitness.errors import UsageError
from earwitness.explainers import METHODS
from earwitness.metrics import METRICS
from earwitness.naming import kebab


def everything() -> dict[str, list[dict[str, Any]]]:
    """`{"methods": rows, "components": rows, "metrics": rows}`; a row is names and what they stand for."""
    methods = [
        {
            "method": kebab(method),
            "kind": method.kind,
            "evaluations_for_64_components": method().cost(64),
            "axioms": list(method.axioms),
            "idea": _idea(method),
        }
        for method in METHODS
    ]
    cuts = [{"components": kebab(cut), "idea": _idea(cut)} for cut in FACTORIZATIONS]
    metrics = [
        {"metric": kebab(metric), "better": metric.better, "family": metric.family, "idea": _idea(metric)}
        for metric in METRICS
    ]
    return {"methods": methods, "components": cuts, "metrics": metrics}


def layers_of(classifier: Classifier) -> list[dict[str, Any]]:
    """The layers that one can ask about (`ew.Units`), in the order in which they are first used.

    A row is `{layer, kind, output, parameters}`: its path, its class, what it answers to a clip (without the batch), and its own
    number of parameters. Left out are layers that are used more than once, and those whose output has no channels and places.
    Cost: two evaluations.
    """
    if classifier.frontend is None:
        raise UsageError("without a front end nobody knows what the network is fed: ask from Python, ew.Units(...)")
    samples = round((classifier.duration or 1.0) * classifier.frontend.sample_rate)
    axes = classifier.axes("features", samples)
    seen: dict[str, list[tuple[nn.Module, Tensor | None]]] = {}
    handles = [
        module.register_forward_hook(
            lambda module, _, output, name=name: seen.setdefault(name, []).append((module, first_tensor(output)))
        )
        for name, module in classifier.network.named_modules()
        if name
    ]
    try:
        with evaluating(classifier), torch.no_grad():
            classifier(torch.zeros(2, samples, device=classifier.device))
    finally:
        for handle in handles:
            handle.remove()
    return [
        {"layer": name, "kind": type(module).__name__, "output": list(x.shape[1:]), "parameters": _own(module)}
        for name, ((module, x), *again) in seen.items()
        if not again and x is not None and len(x) == 2 and layout_of(classifier.network, name, x.shape[1:], axes)
    ]


def _own(module: nn.Module) -> int:
    """The number of parameters that are not those of a part of it."""
    return sum(parameter.numel() for parameter in module.parameters(recurse=False))


def _idea(named: type) -> str:
    """The first paragraph of a class's docstring, in one line."""
    return " ".join((named.__doc__ or "").split("\n\n")[0].split())
