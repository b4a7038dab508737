"""What there is: every method, way to cut a clip, and metric, as their classes say it themselves; and the layers of a model."""

from typing import Any

import torch
from torch import nn

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
    number of parameters. Layers whose output has no channels and places are left out. Cost: one evaluation.
    """
    if classifier.frontend is None:
        raise UsageError("without a front end nobody knows what the network is fed: ask from Python, ew.Units(...)")
    samples = round((classifier.duration or 1.0) * classifier.frontend.sample_rate)
    axes = classifier.axes("features", samples)
    found: dict[str, dict[str, Any]] = {}
    names = {module: name for name, module in classifier.network.named_modules() if name}

    def seen(module: nn.Module, _: Any, output: Any) -> None:
        name, tensor = names[module], first_tensor(output)
        if tensor is None or tensor.ndim < 3 or name in found:
            return
        if layout_of(classifier.network, name, tensor.shape[1:], axes) is not None:
            own = sum(parameter.numel() for parameter in module.parameters(recurse=False))
            row = {"kind": type(module).__name__, "output": list(tensor.shape[1:]), "parameters": own}
            found[name] = {"layer": name} | row

    handles = [module.register_forward_hook(seen) for module in names]
    try:
        with evaluating(classifier), torch.no_grad():
            classifier(torch.zeros(1, samples, device=classifier.device))
    finally:
        for handle in handles:
            handle.remove()
    return list(found.values())


def _idea(named: type) -> str:
    """The first paragraph of a class's docstring, in one line."""
    return " ".join((named.__doc__ or "").split("\n\n")[0].split())
