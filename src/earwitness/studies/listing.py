"""What there is: every method, every way to cut a clip, every metric, as their classes say it themselves."""

from typing import Any

from earwitness.components import FACTORIZATIONS
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


def _idea(named: type) -> str:
    """The first paragraph of a class's docstring, in one line."""
    return " ".join((named.__doc__ or "").split("\n\n")[0].split())
