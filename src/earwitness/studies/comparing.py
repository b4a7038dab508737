"""Which method explains better, over a whole set of clips? One tidy table, with controls, that any interruption leaves intact.

    comparison = ew.compare(classifier, paths, [ew.Sobol(), ew.Saliency()], [ew.metrics.Deletion()], "comparison/")
    print(comparison)

Each clip is explained by each method, and each explanation is judged by each metric: a row each. `Random` and `Loudness` always
take part, since what doesn't beat them has told nothing. Rows are kept in the folder as they are computed, each known by a
fingerprint of everything it depends on; the same call again goes on where the last one stopped, and with more clips, methods or
metrics computes only those.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, fields, is_dataclass
from operator import length_hint
from pathlib import Path
from typing import Any, TypeVar

from earwitness.classifiers import Classifier
from earwitness.components import Factorization
from earwitness.errors import InputError, UsageError, whole
from earwitness.explainers import Explainer, Loudness, Random
from earwitness.metrics import Metric
from earwitness.naming import kebab
from earwitness.questions import reporting
from earwitness.studies.comparing_clips import Reading, read_clip
from earwitness.studies.comparing_rows import FAILED, Plan, fill, known, missing
from earwitness.studies.comparison import Comparison, tidy
from earwitness.studies.shards import Row, Shards
from earwitness.studies.workers import share_out
from earwitness.targets import Target, find_target

T = TypeVar("T")


def compare(
    classifier: Classifier,
    clips: Iterable[Any],
    explainers: Sequence[Explainer],
    metrics: Sequence[Metric],
    folder: str | os.PathLike,
    *,
    components: Factorization | None = None,
    target: str | int | Target | None = None,
    jobs: int = 1,
    progress: Callable[[int, int | None], None] | None = None,
) -> Comparison:
    """Explain every clip by every method, and judge every explanation by every metric.

    clips: paths, `Audio`s, or whatever leads to a sound (see `comparing_clips`), read one at a time.
    explainers, metrics: `Random` and `Loudness` are added where they are missing; `Random` draws another map for each clip.
    folder: of the shards, made if it is not there; for one comparison at a time.
    components: how each clip is cut, the same for all methods; by default as in `ask`.
    target: as in `ask`; None explains the label that the model gives each clip.
    jobs: how many processes compute; the numbers are the same, bit for bit. Each has one thread.
    progress(rows, expected): called with the rows just computed, and how many there are to compute (None: not known).
    Cost: for each clip, what each method and each metric costs; nothing for rows that are in the folder.
    Of a recording that is longer than the classifier takes the beginning is explained; a note says of how many.
    A clip that can't be read or explained, or a metric that isn't applicable, is a row with its reason and never the end.
    Raises `UsageError` for an unknown target, a method that is given twice, or what can't be sent to another process.
    Ctrl-C, and whatever else ends it, loses only what is being computed.
    """
    whole(jobs=jobs)
    if target is not None:
        find_target(target, classifier.labels)
    methods, notes = _with_controls(list(explainers), classifier)
    named, judges = _named(methods, "method"), _named(list(metrics), "metric")
    if not judges:
        raise UsageError("a comparison needs a metric or more")
    plan = Plan.of(classifier, named, judges, components, target, Path(folder))
    run = _Run(plan, Shards(plan.folder), length_hint(clips) or None)
    run.shards.open()
    with reporting(lambda rows, expected: None), closing(share_out(fill, plan, run.tasks(clips), jobs)) as work:
        for done in work:
            if progress is not None:
                progress(done, run.expected)
    if not run.seen:
        raise UsageError("there are no clips to compare methods on")
    table = tidy(run.rows())
    controls = {type(method): name for name, method in reversed(named.items())}
    return Comparison(table, controls[Random], controls.get(Loudness), (*notes, *run.told(), *run.shards.told))


@dataclass
class _Run:
    """What is known of the clips while they go by: their rows, and no sound.

    clips: how many there are, if known.  seen: of each clip its reading without the sound.
    """

    plan: Plan
    shards: Shards
    clips: int | None
    seen: list[Reading] = field(default_factory=list)
    spared: int = 0

    def tasks(self, clips: Iterable[Any]) -> Iterator[Reading]:
        """Read the clips one by one, and hand on those of which rows are missing."""
        begun = set()
        for number, item in enumerate(clips):
            classifier = self.plan.classifier
            reading = read_clip(item, number, classifier.sample_rate, classifier.duration)
            name = self.plan.shard(reading)
            self.seen.append(
                Reading(reading.name, reading.label, print=reading.print, reason=reading.reason, cut=reading.cut)
            )
            lacking = {} if reading.reason or name in begun else missing(self.plan, reading, self.shards.read(name))
            begun.add(name)
            self.spared += self.size - sum(map(len, lacking.values()))
            if lacking:
                yield reading
            del reading  # one sound at a time

    def told(self) -> list[str]:
        """What there is to say about the clips."""
        cut, longest = sum(reading.cut for reading in self.seen), self.plan.classifier.duration
        said = f"{cut} of {len(self.seen)} recordings last longer than the {longest} s that the model takes: what is compared is "
        return [f"{said}their beginnings"] if cut else []

    @property
    def size(self) -> int:
        """Rows of a clip."""
        return len(self.plan.explainers) * len(self.plan.metrics)

    @property
    def expected(self) -> int | None:
        """How many rows there are to compute, as far as is known."""
        return None if self.clips is None else self.clips * self.size - self.spared

    def rows(self) -> Iterator[Row]:
        """All rows that were asked for, in order: by clip, method, metric."""
        for clip in self.seen:
            if clip.reason:
                yield from self.plan.rows(clip, status=FAILED, reason=clip.reason)
                continue
            stored = self.shards.read(self.plan.shard(clip))
            for row in self.plan.rows(clip):
                if row["key"] not in stored:
                    raise InputError(
                        f"rows of {clip.name} are no longer in {self.plan.folder}: did somebody else write there? The same call "
                        "again computes what is missing"
                    )
                yield stored[row["key"]] | {
                    name: row[name] for name in ("clip", "label", "explainer", "metric", "better")
                }


def _with_controls(explainers: list[Explainer], classifier: Classifier) -> tuple[list[Explainer], list[str]]:
    """The methods and the controls, and what there is to say about that."""
    deaf = classifier.frontend is None
    notes = ["no Loudness beside the methods: ready features have none"] if deaf else []
    controls = [Random()] if deaf else [Loudness(), Random()]
    given = {type(explainer) for explainer in explainers}
    return explainers + [control for control in controls if type(control) not in given], notes


def _named(things: list[T], what: str) -> dict[str, T]:
    """Objects by names for the table, as short as they can be while each has one of its own."""
    for spell in (
        _spelled,
        lambda thing: _spelled(thing, seed=True),
        lambda thing: f"{_spelled(thing)} {_short(thing)}",
    ):
        names = [spell(thing) for thing in things]
        if len(set(names)) == len(names):
            return dict(zip(names, things, strict=True))
    twice = next(name for name in names if names.count(name) > 1)
    raise UsageError(f"the {what} {twice!r} is given twice")


def _spelled(thing: object, seed: bool = False) -> str:
    """As the command line takes it: "lime:samples=512", without what is as by default (and without seeds)."""
    options = []
    for option in fields(thing) if is_dataclass(thing) else ():
        value = getattr(thing, option.name)
        if option.init and (seed or option.name != "seed") and not _same(value, option.default):
            plain = value is None or isinstance(value, bool | int | float | str)
            options.append(f"{option.name}={value if plain else _short(value)}")
    return kebab(type(thing)) + (f":{','.join(options)}" if options else "")


def _same(value: object, default: object) -> bool:
    return (
        type(value) is type(default) and isinstance(value, bool | int | float | str | tuple | None) and value == default
    )


def _short(thing: object) -> str:
    return known(thing, type(thing).__name__)[:6]
