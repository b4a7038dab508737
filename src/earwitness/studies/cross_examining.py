"""`earwitness verify` as a function: a recording is explained, and the explanation cross-examined.

The object is that of `earwitness explain`, and beside it `verdict`: `{outcome, reasons, tests, arithmetic, remarks, flip,
evaluations, seed}`. `tests` lists `{name, better, score, low, high, random_median, p, corrected, loudness, random_maps}`;
`flip` is null where no decision can flip, else `{decision, size, fewest, becomes, enough}`.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from earwitness.errors import unknown
from earwitness.explanations.flipping import Flip
from earwitness.studies import jobs
from earwitness.studies.verifying import OUTCOMES, Verdict, verify

WORSE = {"can't tell": OUTCOMES[1:], "does not stand": OUTCOMES[1:2]}  # for each limit, the outcomes that are beyond it


def failing(limit: str) -> tuple[str, ...]:
    """The outcomes at which a pipeline is to fail: "does not stand" alone, or all but "stands" for "can't tell"."""
    plain = {"".join(filter(str.isalpha, name)): name for name in WORSE}
    name = plain.get("".join(filter(str.isalpha, limit)))
    if name is None:
        raise unknown("outcome to fail on", limit, WORSE)
    return WORSE[name]


def cross_examine(
    job: jobs.Job, clip: Path, out: Path, at: float | None, seed: int, told: Callable[[str], None]
) -> tuple[Verdict, dict[str, Any]]:
    """Explain a recording, verify the explanation, and write both into the folder `out`.

    Writes the files of `jobs.run_recording`, flip-removed.wav and flip-kept.wav where the decision flips, and verdict.json.
    """
    (explanation,), record = jobs.run_recording(job, clip, out, at, False, told)
    verdict = verify(explanation, seed=seed)
    sounds = {"removed": verdict.flip.removed, "kept": verdict.flip.kept} if verdict.flip else {}
    for name, heard in sounds.items():
        if heard is not None:
            heard.save(out / f"flip-{name}.wav")
            record["files"][f"flip_{name}"] = str(out / f"flip-{name}.wav")
    record["verdict"] = described(verdict)
    jobs.write_json(record, out / "verdict.json")
    return verdict, record


def described(verdict: Verdict) -> dict[str, Any]:
    """A verdict as plain numbers and words."""
    tests = verdict.to_frame().astype(object)
    words = {name: list(getattr(verdict, name)) for name in ("reasons", "arithmetic", "remarks")}
    numbers = {"evaluations": verdict.evaluations, "seed": verdict.seed}
    rows = tests.where(tests.notna(), None).to_dict("records")
    return {"outcome": verdict.outcome, **words, "tests": rows, "flip": _flip(verdict.flip), **numbers}


def _flip(flip: Flip | None) -> dict[str, Any] | None:
    if flip is None:
        return None
    return {name: getattr(flip, name) for name in ("decision", "size", "fewest", "becomes", "enough")}
