"""The run of the study: its settings, its folder, its data sets, and the models that it trains or is given."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from earwitness.classifiers import Classifier
from earwitness.components import Factorization
from earwitness.data.readers import Clip, fsdd, manifest
from earwitness.errors import InputError
from earwitness.explainers import Explainer, GradientSHAP
from earwitness.explanations import Explanation
from earwitness.fingerprints import fingerprint
from earwitness.questions import ask
from earwitness.questions.audio import prepared
from earwitness.studies.finished_parts import Finished
from earwitness.studies.keeping import kept
from earwitness.studies.model_cards import data_hash
from earwitness.studies.wavlm.learning import SpeechRecipe, train_speech

DIGITS_CREDIT = "Recordings: Free Spoken Digit Dataset, Z. Jackson and others, CC BY-SA 4.0."
EMOTION_CREDIT = "Recordings: Berlin Database of Emotional Speech (cut to 2 s), F. Burkhardt and others, CC0."
LINEAR = {"digits": 0.94, "emotion": 0.58}  # a linear classifier on log-mel statistics, on these very clips


@dataclass(frozen=True)
class Settings:
    """How much is done.

    seed.  epochs: on the digits.  emotion_epochs: on the emotions, beginning with what the digits have taught.
    pairs: of speakers that are left out, one after the other.  training: clips to learn from, at most (None: all).
    clips: that are explained.  references: GradientSHAP's.  top: frames that are marked.  layer: of the transformer, from 0.
    steps: of parameter randomisation.
    """

    seed: int = 0
    epochs: int = 32
    emotion_epochs: int = 12
    pairs: int = 5
    training: int | None = None
    clips: int = 30
    references: int = 50
    top: int = 20
    layer: int = 2
    steps: int = 6


QUICK = Settings(epochs=1, emotion_epochs=1, pairs=1, training=96, clips=3, references=8, top=5, layer=1, steps=2)


@dataclass(eq=False)
class Run:
    """A run.

    out: its folder.  data: of the recordings.  say: is told what is being done.  jobs, progress: as in `compare`.
    """

    settings: Settings
    out: Path
    data: Path
    say: Callable[[str], None] = lambda line: None
    jobs: int = 1
    progress: Callable[[int, int | None], None] | None = None

    @property
    def method(self) -> GradientSHAP:
        """The method of the study."""
        return GradientSHAP(self.settings.references, self.settings.seed)

    @cached_property
    def digits(self) -> dict[str, list[Clip]]:
        """The spoken digits, "train" and "test" (the official split)."""
        clips = fsdd(self._folder("fsdd"))
        return {split: [clip for clip in clips if clip.group == split] for split in ("train", "test")}

    @cached_property
    def emotions(self) -> dict[str, list[Clip]]:
        """Acted emotions by speaker, the smallest number first."""
        clips = manifest(self._folder("emotion", "emodb_2s") / "metadata.csv", "speaker")
        return {who: [clip for clip in clips if clip.group == who] for who in sorted({c.group for c in clips}, key=int)}

    @property
    def phones(self) -> Path:
        """The phones of the emotions' sentences, with their times."""
        return self._folder("emotion", "emodb_2s") / "phones.csv"

    @cached_property
    def digit_model(self) -> Classifier:
        """A small WavLM that has learnt the digits."""
        return self._trained("digits", self.digits["train"], self.settings.epochs, None)

    def emotion_model(self, pair: tuple[str, ...]) -> Classifier:
        """One that has learnt the emotions of all speakers but these."""
        clips = [clip for who, several in self.emotions.items() if who not in pair for clip in several]
        return self._trained(f"emotion-{'-'.join(pair)}", clips, self.settings.emotion_epochs, self.digit_model)

    @property
    def pairs(self) -> list[tuple[str, ...]]:
        """Speakers that are left out together."""
        who = list(self.emotions)
        return [tuple(who[at : at + 2]) for at in range(0, len(who), 2)][: self.settings.pairs]

    def _trained(self, name: str, clips: Sequence[Clip], epochs: int, start: Classifier | None) -> Classifier:
        """From the folder of the run, or trained and kept there."""
        labels = sorted({clip.label for clip in clips})
        if self.settings.training is not None:
            clips = clips[:: max(1, len(clips) // self.settings.training)]
        recipe, content = SpeechRecipe(epochs=epochs), data_hash(clips)
        key = (recipe, content, self.settings.seed, None if start is None else fingerprint(start.network))

        def told(epoch: int, of: int, record: dict[str, float]) -> None:
            self.say(f"{name}: epoch {epoch} of {of}, loss {record['loss']:.3f}")

        def make(checkpoint: Path) -> tuple[Classifier, str]:
            classifier, _ = train_speech(
                clips, labels, recipe,
                start=start, seed=self.settings.seed, checkpoint=checkpoint, run=fingerprint(key), progress=told,
            )  # fmt: skip
            card = f"# {name}\n\nA small WavLM of `earwitness study wavlm`, trained on {len(clips)} clips (SHA-256 {content}).\n"
            return classifier, card

        return kept(self.out / "models", name, key, make)

    def explained(self, clip: Clip, method: Explainer, components: Factorization) -> Explanation:
        """Why the model of the digits says what it says to a clip: from the folder of the run, or computed and kept there."""
        question = ask(self.digit_model, prepared(self.digit_model, clip.path), components)
        kept_as = fingerprint((self._digits_known, question.x))
        return Finished(self.out / "shards" / "finished").explained(question, method, kept_as)

    @cached_property
    def _digits_known(self) -> str:
        return fingerprint(self.digit_model)

    def _folder(self, *names: str) -> Path:
        found = self.data.joinpath(*names)
        if not (found / "metadata.csv").is_file():
            raise InputError(f"there is no {found} with a metadata.csv: give the folder of the recordings, --data")
        return found


def spread(clips: Sequence[Clip], count: int) -> list[Clip]:
    """So many clips, evenly from a list that is sorted by label."""
    order = sorted(clips, key=lambda clip: (clip.label, clip.path.name))
    return [order[number] for number in np.linspace(0, len(order) - 1, min(count, len(order))).round().astype(int)]
