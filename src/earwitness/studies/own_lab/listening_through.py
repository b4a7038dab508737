"""What a set of recordings is like before anybody explains anything: level, offset, silence, band; and what the model says to it.

Six quantities of a recording should not tell its label, and in many sets some do:

    seconds       its length                        offset     |mean| / RMS
    level_db      RMS, of full scale                silence    share of 10 ms frames that never leave one step of 16 bits
    peak_db       largest sample                    band_hz    the highest frequency within 70 dB of the strongest

and, of silence, how much of it stands before and behind the sound. They are measured at the rate of the file, since resampling
turns digital silence into ripples.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from earwitness.audio import Audio
from earwitness.classifiers import Classifier
from earwitness.classifiers.base import evaluating
from earwitness.errors import EarwitnessError, ModelError
from earwitness.fingerprints import fingerprint
from earwitness.studies.finished_parts import Finished
from earwitness.studies.own_lab.material import Taken

STEP = 2.0**-15  # of 16 bits
FRAME = 0.010  # seconds
BAND_DB = 70.0
CHUNK = 32  # recordings that are kept together
FAILED = "the model failed: "
QUANTITIES = ("seconds", "level_db", "peak_db", "offset", "silence", "leading_s", "trailing_s", "band_hz", "rate_hz")
Change = Callable[[Audio], Tensor]


def measure(audio: Audio) -> dict[str, float]:
    """The quantities of a recording at its own rate."""
    x = audio.samples.double().numpy()
    frames = _frames(np.abs(x), audio.sample_rate)
    silent = frames.max(1) <= STEP
    loud = np.flatnonzero(~silent)
    before, behind = (int(loud[0]), len(silent) - 1 - int(loud[-1])) if len(loud) else (len(silent), 0)
    rms = float(np.sqrt(np.mean(x**2)))
    return {
        "seconds": audio.duration, "level_db": audio.rms_db, "peak_db": 20 * float(np.log10(max(audio.peak, 1e-12))),
        "offset": abs(float(x.mean())) / max(rms, 1e-12), "silence": float(silent.mean()), "leading_s": FRAME * before,
        "trailing_s": FRAME * behind, "band_hz": band_of(x, audio.sample_rate), "rate_hz": float(audio.sample_rate),
    }  # fmt: skip


def band_of(x: np.ndarray, sample_rate: int, n_fft: int = 2048) -> float:
    """The highest frequency, in hertz, whose mean power is within 70 dB of that of the strongest; 0 of silence."""
    x = np.pad(x, (0, max(0, n_fft - len(x))))
    rows = np.lib.stride_tricks.sliding_window_view(x, n_fft)[:: n_fft // 2] * np.hanning(n_fft)
    power = (np.abs(np.fft.rfft(rows)) ** 2).mean(0)
    heard = np.flatnonzero(power > power.max() * 10 ** (-BAND_DB / 10))
    return float(heard[-1] * sample_rate / n_fft) if len(heard) and power.max() > 0 else 0.0


def _frames(x: np.ndarray, sample_rate: int) -> np.ndarray:
    """`[frames, samples]` of 10 ms; what is left over is a frame filled up with its own last sample."""
    size = max(1, round(FRAME * sample_rate))
    return np.pad(x, (0, -len(x) % size), mode="edge").reshape(-1, size)


@dataclass(frozen=True, eq=False)
class Listener:
    """Goes through recordings, and keeps what it has found.

    classifier.  finished: where.  known: the fingerprint of the classifier.  say: is told how far it is.
    """

    classifier: Classifier
    finished: Finished
    known: str
    say: Callable[[str], None] = lambda line: None

    def survey(self, clips: Sequence[Taken]) -> pd.DataFrame:
        """A row for each recording: its quantities, what was done to it, what the model says; or the reason why not."""
        return self._through(clips, ("survey",), self._surveyed)

    def answers_to(self, clips: Sequence[Taken], name: str, key: object, change: Change) -> pd.DataFrame:
        """A row for each recording, changed: what the model says to it, and by how much the change changed it.

        name: of the change.  key: all that it depends on.  change: from the clip at the model's rate to samples.
        """

        def row(clip: Taken) -> dict[str, Any]:
            audio = clip.load(self.classifier.sample_rate)
            samples = change(audio)
            size = min(len(samples), len(audio.samples))
            apart = float((samples[:size] - audio.samples[:size]).square().mean().sqrt()) if size else 1.0
            changed = len(samples) != len(audio.samples) or apart > 1e-6
            return {"changed": changed, **self._said(samples, clip.label)}

        return self._through(clips, (name, key), row)

    def _through(self, clips: Sequence[Taken], key: object, row: Callable[[Taken], dict]) -> pd.DataFrame:
        parts = [clips[first : first + CHUNK] for first in range(0, len(clips), CHUNK)]
        found = []
        for number, part in enumerate(parts):
            content = [(clip.name, clip.label, clip.seconds, _content(clip)) for clip in part]
            self.say(f"listening: {CHUNK * number + len(part)} of {len(clips)} recordings")
            found.append(
                self.finished.table(
                    (self.known, key, content), lambda part=part: pd.DataFrame(list(_rows(part, row))), _lasting
                )
            )
        return pd.concat(found, ignore_index=True)

    def _surveyed(self, clip: Taken) -> dict[str, Any]:
        own = clip.load()
        audio = own.resampled(self.classifier.sample_rate or own.sample_rate)
        done = "; ".join(line for line in audio.provenance if not line.startswith("read "))
        if own.peak == 0:
            return {**measure(own), "done": done, "reason": "it is digital silence"}
        return {**measure(own), "done": done, **self._said(audio.samples, clip.label)}

    def _said(self, samples: Tensor, label: str) -> dict[str, Any]:
        """What the model says, or the reason why it says nothing; a machine without memory is no property of the clip."""
        try:
            return self._answer(samples, label)
        except (ModelError, RuntimeError) as error:
            if _full(error):
                raise
            return {"reason": f"{FAILED}{error}"}
        except EarwitnessError as error:
            return {"reason": str(error)}

    def _answer(self, samples: Tensor, label: str) -> dict[str, Any]:
        with evaluating(self.classifier), torch.no_grad():
            logits = self.classifier(samples[None].to(self.classifier.device)).cpu()
            probability = self.classifier.probabilities(logits)[0]
        best, labels = int(probability.argmax()), self.classifier.labels
        of_label = float(probability[labels.index(label)]) if label else np.nan
        return {"said": labels[best], "probability": float(probability[best]), "of_label": of_label, "reason": ""}


def _rows(part: Sequence[Taken], row: Callable[[Taken], dict]) -> Iterator[dict]:
    for clip in part:
        empty = {
            "clip": clip.name,
            "label": clip.label,
            "done": "",
            "said": "",
            "probability": np.nan,
            "of_label": np.nan,
        }
        empty |= dict.fromkeys(QUANTITIES, np.nan) | {"changed": False}
        try:
            yield empty | row(clip)
        except EarwitnessError as error:
            if _full(error):
                raise
            yield empty | {"reason": str(error).replace(str(clip.path), clip.name)}


def _full(error: Exception) -> bool:
    """Whether the machine was out of memory, which says nothing of the recording."""
    return any(isinstance(what, torch.OutOfMemoryError | MemoryError) for what in (error, error.__cause__))


def _lasting(rows: pd.DataFrame) -> bool:
    """Whether the rows may be kept: a network that failed may have failed for the machine's sake."""
    return not rows["reason"].str.startswith(FAILED).any()


def _content(clip: Taken) -> str:
    try:
        return fingerprint(clip.path.read_bytes())
    except OSError:
        return "unread"
