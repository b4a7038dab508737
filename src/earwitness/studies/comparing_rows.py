"""What one clip gives a comparison: a row for each method and metric, a score or the reason why there is none.

| status | meaning | reason |
|---|---|---|
| "ok" | there is a score | "" |
| "not applicable" | the method or metric doesn't fit this question: no known cause, no sound, another stage | why |
| "failed" | the clip can't be read or explained, or a method or metric broke down on it | what happened |

A row is known by a fingerprint of everything that its score depends on. Rows that are stored are not computed again; those of a
clip are stored after each method.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

import earwitness
from earwitness.classifiers import Classifier
from earwitness.components import Factorization
from earwitness.errors import EarwitnessError, UsageError
from earwitness.explainers import Explainer, Random
from earwitness.explanations import Explanation
from earwitness.fingerprints import fingerprint
from earwitness.metrics import Metric
from earwitness.questions import AudioQuestion, ask
from earwitness.studies.comparing_clips import Reading
from earwitness.studies.shards import Row, Shards
from earwitness.targets import Target

FORMAT = 2  # raised whenever the same ingredients begin to give other rows
OK, NOT_APPLICABLE, FAILED = "ok", "not applicable", "failed"


@dataclass(frozen=True, eq=False)
class Plan:
    """What is asked of each clip.

    explainers, metrics: by their names in the table, in its order.  folder: of the shards.
    prints: fingerprints of the explainers and metrics, by their names.  common: of everything else but the clip.
    """

    classifier: Classifier
    explainers: Mapping[str, Explainer]
    metrics: Mapping[str, Metric]
    components: Factorization | None
    target: str | int | Target | None
    folder: Path
    prints: Mapping[str, str]
    common: str

    @classmethod
    def of(
        cls, classifier: Classifier, explainers: Mapping[str, Explainer], metrics: Mapping[str, Metric],
        components: Factorization | None, target: str | int | Target | None, folder: Path,
    ) -> "Plan":  # fmt: skip
        """A plan, with its fingerprints."""
        prints = {f"method {name}": known(thing, name) for name, thing in explainers.items()}
        prints |= {f"metric {name}": known(thing, name) for name, thing in metrics.items()}
        model, cut = known(classifier, "the classifier"), known(components, "the components")
        common = fingerprint((earwitness.__version__, FORMAT, model, cut, target))
        return cls(classifier, explainers, metrics, components, target, folder, prints, common)

    def shard(self, reading: Reading) -> str:
        """The name of the clip's shard."""
        return fingerprint((self.common, reading.print))[:32]

    def key(self, reading: Reading, explainer: str, metric: str) -> str:
        """What a row depends on: version, model, components, target, clip, method and metric with their seeds."""
        return fingerprint(
            (self.common, reading.print, self.prints[f"method {explainer}"], self.prints[f"metric {metric}"])
        )

    def row(self, reading: Reading, explainer: str, metric: str, **known: Any) -> Row:
        """A row of the table; what isn't known yet is empty."""
        empty = {"score": None, "target": "", "seconds": None, "evaluations": None, "seed": None, "reason": ""}
        names = {"clip": reading.name, "label": reading.label, "explainer": explainer, "metric": metric}
        judged = {"better": self.metrics[metric].better, "key": self.key(reading, explainer, metric)}
        return names | judged | empty | known

    def rows(self, reading: Reading, **known: Any) -> list[Row]:
        """All rows of a clip, with the same in each."""
        return [
            self.row(reading, explainer, metric, **known) for explainer in self.explainers for metric in self.metrics
        ]


def known(thing: object, what: str) -> str:
    """The fingerprint of an object; `UsageError` where it has none."""
    try:
        return fingerprint(thing)
    except (TypeError, ValueError) as error:
        raise UsageError(
            f"{what} can't be told from others by its content, so its results can't be stored: {error}"
        ) from error


def missing(plan: Plan, reading: Reading, stored: Mapping[str, Row]) -> dict[str, list[str]]:
    """For each method the metrics that are not stored; methods that lack none are left out."""
    lacking = {
        name: [metric for metric in plan.metrics if plan.key(reading, name, metric) not in stored]
        for name in plan.explainers
    }
    return {name: metrics for name, metrics in lacking.items() if metrics}


def fill(plan: Plan, reading: Reading) -> Iterator[int]:
    """Compute and store the rows of a clip that are missing; yields how many were, after each method."""
    shards = Shards(plan.folder)
    name = plan.shard(reading)
    stored = shards.read(name)
    lacking = missing(plan, reading, stored)
    try:
        question = _asked(plan, reading)
        problem = {}
    except EarwitnessError as error:
        question, problem = None, _reason(error, FAILED)
    for explainer, metrics in lacking.items():
        if question is None:
            rows = [plan.row(reading, explainer, metric, **problem) for metric in metrics]
        else:
            rows = _rows(plan, shards, reading, question, explainer, metrics)
        stored |= {row["key"]: row for row in rows}
        shards.write(name, list(stored.values()))
        yield len(rows)


def _asked(plan: Plan, reading: Reading) -> AudioQuestion:
    """The question about a clip, cut."""
    assert reading.audio is not None  # what could not be read is not asked about
    question = ask(plan.classifier, reading.audio, plan.components, plan.target, truth=reading.truth)
    _ = question.components
    return question


def _rows(
    plan: Plan, shards: Shards, reading: Reading, question: AudioQuestion, explainer: str, metrics: list[str]
) -> list[Row]:
    """The rows of one method."""
    target = question.resolved.name(plan.classifier.labels)
    method = _for_clip(plan.explainers[explainer], reading)
    kept = fingerprint((plan.common, reading.print, plan.prints[f"method {explainer}"]))[:32]
    explanation = shards.explanation(kept)
    if explanation is None:
        try:
            explanation = method(question)
        except Exception as error:
            problem = _reason(error, NOT_APPLICABLE if isinstance(error, UsageError) else FAILED)
            return [plan.row(reading, explainer, metric, target=target, **problem) for metric in metrics]
        if explanation.stopped == "interrupted":  # an answer that Ctrl-C cut short is not the method's
            raise KeyboardInterrupt
        if method.cost(question.size) > 0:
            shards.keep(kept, explanation)
    explanation = replace(explanation, question=question, explainer=method)
    about = {
        "target": target, "seconds": explanation.seconds, "evaluations": explanation.evaluations, "seed": explanation.seed,
    }  # fmt: skip
    return [
        plan.row(reading, explainer, metric, **about, **_score(plan.metrics[metric], question, explanation))
        for metric in metrics
    ]


def _for_clip(explainer: Explainer, reading: Reading) -> Explainer:
    """The explainer; `Random` with a seed of its own for each clip, or all clips would get the same map."""
    if not isinstance(explainer, Random):
        return explainer
    return replace(explainer, seed=int(fingerprint((explainer.seed, reading.print))[:8], 16))


def _score(metric: Metric, question: AudioQuestion, explanation: Explanation) -> dict[str, Any]:
    try:
        score = float(metric(question, explanation))
    except Exception as error:
        return _reason(error, NOT_APPLICABLE if isinstance(error, UsageError) else FAILED)
    if not np.isfinite(score):
        return {"status": FAILED, "reason": f"the score is {score}"}
    return {"status": OK, "score": score}


def _reason(error: Exception, status: str) -> dict[str, str]:
    text = str(error) if isinstance(error, EarwitnessError) else f"{type(error).__name__}: {error}"
    return {"status": status, "reason": text}
