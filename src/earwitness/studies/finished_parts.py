"""A memory of what a study has finished: tables and explanations in a folder, each under a fingerprint of all that it depends on.

A run that was killed goes on behind the last part that is whole, and what is asked for again is read, not computed. A part whose
file is damaged is computed anew.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd
import pyarrow as pa

import earwitness
from earwitness.errors import InputError
from earwitness.explainers import Explainer
from earwitness.explanations import Explanation
from earwitness.fingerprints import fingerprint
from earwitness.questions import AudioQuestion
from earwitness.writing import appearing


@dataclass(frozen=True)
class Finished:
    """A folder of finished parts, made when the first is kept."""

    folder: Path

    def table(
        self, key: object, make: Callable[[], pd.DataFrame], lasting: Callable[[pd.DataFrame], bool] = lambda made: True
    ) -> pd.DataFrame:
        """A table that is kept, or made and kept.

        key: everything that it depends on but the version.  lasting: whether a table that was made may be kept.
        """
        path = self._path(key, ".parquet")
        try:
            return pd.read_parquet(path)
        except (pa.ArrowException, OSError, ValueError):
            made = make()
            if not lasting(made):
                return made
            with appearing(path) as part:
                made.to_parquet(part, index=False)
            return pd.read_parquet(path)  # the same, from the first run on

    def explained(self, question: AudioQuestion, method: Explainer, print_of: str) -> Explanation:
        """What a method answers to a question, with the question. print_of: a fingerprint of the classifier and the clip."""
        path = self._path((print_of, question.factorization, question.resolved, method), ".npz")
        try:
            return replace(Explanation.load(path), question=question, explainer=method)
        except InputError:
            found = method(question)
            if found.stopped == "interrupted":  # an answer that Ctrl-C cut short is not the method's
                raise KeyboardInterrupt from None
            found.save(path)
            return found

    def _path(self, key: object, suffix: str) -> Path:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"cannot make the folder {self.folder}: {error}") from error
        return self.folder / f"{fingerprint((earwitness.__version__, key))[:32]}{suffix}"
