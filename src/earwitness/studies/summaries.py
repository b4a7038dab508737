"""What a person wants to know of an explanation, line by line."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from earwitness.explanations import Explanation


def summary(explanation: Explanation, record: dict[str, Any], out: Path) -> Iterator[str]:
    """Lines for people. record: as `jobs` makes it.  out: the folder that holds everything."""
    said = record["prediction"]
    yield "; ".join(explanation.provenance["clip"] or ["a synthetic clip"])
    yield f"Cut at the {explanation.provenance['stage']} by {explanation.provenance['components']}"
    yield f"The model says {said['label']} ({said['probability']:.2f})."
    yield (
        f"Score of {record['target']}: {record['score']:.2f} {record['unit']}; "
        f"{record['baseline']:.2f} for {explanation.provenance['baseline']}."
    )
    yield f"{record['method']}, {record['evaluations']} evaluations, {record['seconds']:.1f} s, {record['kind']} of the best:"
    yield from (f"  {region}" for region in explanation.top(5))
    if record["stopped"]:
        yield f"Sampling stopped: {record['stopped']}."
    for name, sound in record["heard"].items():
        level = f"{sound['level_db']:.1f} dB" if sound["level_db"] is not None else "silent"
        yield f"{name} ({level}): the model says {sound['label']} ({sound['probability']:.2f}), score {sound['score']:.3g}"
    yield from (f"warning: {warning}" for warning in record["warnings"])
    yield from (f"{name}: {path}" for name, path in record["files"].items())
    yield f"all of it as JSON: {out / 'explanation.json'}"
