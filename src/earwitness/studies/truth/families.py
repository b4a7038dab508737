"""Four families of planted causes, each a function of the run that returns its trials: none where its recordings are missing.

| family | clips | classifier | truth |
|---|---|---|---|
| scenes | synthetic: an event among others as loud | trained here, in a minute | where the event is heard |
| mixtures | an event of ESC-10 in a background | `models/esc10` | where the event is heard in front |
| cheats | parts of ESC-10, marked by tone, clipping or gap | trained here to hear the mark | where the mark is |
| drawn | parts of ESC-10 with a stroke on the spectrogram | trained here to hear the stroke | the cells that it crosses |

All clips are held out, and only those that the classifier names rightly are explained: of a wrong answer the cause is unknown.
Cells of marked clips are replaced by the clip's noise floor, or an average clip: networks that never met silence answer to holes
in a way that has nothing to do with what was in them.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

from earwitness.audio import Audio
from earwitness.classifiers import Classifier, load_classifier
from earwitness.classifiers.zoo import SmallSpecCNN
from earwitness.components import Grid
from earwitness.components.base import DatasetMean
from earwitness.data.events import Events
from earwitness.data.readers import mixtures
from earwitness.data.synthetic import scenes
from earwitness.data.truth import truth_of
from earwitness.frontends import LogMel
from earwitness.studies.demonstration import shipped_model
from earwitness.studies.scene_training import train_scenes
from earwitness.studies.truth.artefacts import RATE, Artefact, Clipping, Gap, Stroke, Tone
from earwitness.studies.truth.cheating import HELD_OUT, draw_lot, train_cheat
from earwitness.studies.truth.trials import CREDIT, Planted, Study, Trial, named_rightly, shares_right

RECIPE = Events(sample_rate=RATE)
WITH, WITHOUT = "with the cause", "without it"
AVERAGED = 16  # clips in an average clip

TEXTS = {
    "scenes": (
        "Two seconds at 8 kHz with one event of three kinds (chirp, call, knock) that is the label, one event of two others "
        "(siren, hum) that isn't, and noise. Both have the same level over their spans, and the other is the longer of the two, "
        "so it has more energy. Truth: where the event is louder than everything else."
    ),
    "mixtures": (
        "Five seconds of rain, sea, helicopter or chainsaw with a dog, rooster, sneeze or baby in it, of fold 5, which "
        "`models/esc10` was not trained on. Truth: where the event, known sample by sample, is louder than its background."
    ),
    "tone": (
        "A watermark: a sine between 3.0 and 3.2 kHz, 12 dB below the clip, for 0.5 to 0.8 s. Truth: its time span and main lobe."
    ),
    "clipping": (
        "A stretch of 1 s is cut off at the level that a tenth of its samples stay below, and brought back to its loudness. "
        "Truth: the stretch, at all frequencies."
    ),
    "gap": (
        "0.15 to 0.3 s are digital silence. Truth: the time span, at all frequencies. The cause is an absence: to remove it, "
        "something has to be put in, and a baseline of silence puts in what is there already, so that no mask ever takes the gap "
        "away, while silence elsewhere makes further gaps. The noise floor is the level that a tenth of the frames stay below, "
        "and the gap may be longer than that. So cells are replaced by an average clip here: the mean of each frequency over "
        f"{AVERAGED} unmarked clips of the training folds."
    ),
    "stroke": (
        "A scribble on the spectrogram: a sine that glides between 300 Hz and 3.5 kHz along seven corners for 1.4 s, 6 dB below "
        "the clip. Truth: the cells in which it stays for 32 ms (a hop of the front end) or longer."
    ),
}


def scene_trials(study: Study) -> list[Trial]:
    """Synthetic scenes with a distractor of the cause's level."""
    s = study.settings
    frontend = LogMel(RATE, n_fft=512, hop_length=256, n_mels=64, standardise=True)

    def make(checkpoint: Path) -> tuple[Classifier, str]:
        trained = train_scenes(
            RECIPE, frontend, network=_scene_network, clips=s.scenes, epochs=s.scene_epochs, batch=32, learning_rate=3e-3,
            seed=s.seed, checkpoint=checkpoint, progress=lambda epoch, of, record: study.say(
                f"training on scenes: epoch {epoch} of {of}, accuracy {record['accuracy']:.3f}"
            ),
        )  # fmt: skip
        return (
            trained.classifier,
            f"# Events in noise\n\nTrained by `earwitness study truth` on {s.scenes[0]} scenes.\n",
        )

    classifier = study.kept("scenes", (RECIPE, s.seed, s.scenes, s.scene_epochs), make)
    made = [
        Planted(f"scene {number}", scene.label, scene.audio, scene.truth, _minus(scene.audio, scene.cause))
        for number, scene in enumerate(scenes(RECIPE, 2 * s.scenes[1], (s.seed, 2)))
    ]
    return [_trial(study, "scenes", "scenes", "Scenes with distractors", classifier, made)]


def _scene_network(classes: int) -> SmallSpecCNN:
    return SmallSpecCNN(classes, (16, 32, 32))


def mixture_trials(study: Study) -> list[Trial]:
    """Real events in real backgrounds, and the model that comes with the project."""
    folder = study.folder("localized", "esc10_mix")
    if folder is None:
        study.left_out("mixtures", "localized/esc10_mix")
        return []
    classifier, made = load_classifier(shipped_model("esc10"), device="cpu"), []
    for clip in mixtures(folder):
        if clip.group == "5":
            audio, event = clip.load(classifier.sample_rate), clip.load_event(classifier.sample_rate)
            made.append(Planted(clip.path.stem, clip.label, audio, truth_of(event, audio), _minus(audio, event)))
    return [_trial(study, "mixtures", "mixtures", "Events in backgrounds", classifier, made, credit=CREDIT)]


def cheat_trials(study: Study) -> list[Trial]:
    """A watermark tone, clipping and a gap."""
    return _marked(study, "cheats", (Tone(), Clipping(), Gap()))


def drawn_trials(study: Study) -> list[Trial]:
    """A stroke on the spectrogram."""
    return _marked(study, "drawn", (Stroke(),))


FAMILIES: dict[str, tuple[str, Callable[[Study], list[Trial]]]] = {
    "scenes": ("Scenes with distractors as loud as the cause", scene_trials),
    "mixtures": ("Real mixtures", mixture_trials),
    "cheats": ("Classifiers that cheat", cheat_trials),
    "drawn": ("Drawn on the spectrogram", drawn_trials),
}


def _marked(study: Study, family: str, artefacts: Sequence[Artefact]) -> list[Trial]:
    """A trial for each artefact: trained to hear it, asked about clips that have it."""
    if study.folder("esc10") is None:
        study.left_out(family, "esc10")
        return []
    trials = []
    for artefact in artefacts:
        lot = draw_lot(study, artefact, HELD_OUT, 1, 1)
        classifier, heard = train_cheat(study, artefact, lot), lot.heard()
        labels = [clip.label for clip in heard]
        right = named_rightly(classifier, [clip.audio for clip in heard], labels)
        table = shares_right(**{
            "half of them marked": right,
            "none of them marked": named_rightly(classifier, [clip.bare for clip in heard], labels),
        })  # fmt: skip
        found = [clip for clip, ok, marked in zip(heard, right, lot.marked, strict=True) if ok and marked]
        cut = study.grid(average_clip(study) if isinstance(artefact, Gap) else "noise")
        name = artefact.name
        trials.append(
            Trial(
                family,
                name,
                name.capitalize(),
                TEXTS[name],
                classifier,
                found[: study.settings.clips],
                table,
                cut,
                CREDIT,
            )
        )
    return trials


def average_clip(study: Study) -> DatasetMean:
    """Unmarked clips of the training folds, as a baseline."""
    clips = draw_lot(study, Gap(), ("1",), 1, 2).planted[:: max(1, len(study.recordings["1"]) // AVERAGED)]
    return DatasetMean([clip.bare for clip in clips[:AVERAGED]])


def _trial(
    study: Study, family: str, name: str, title: str, classifier: Classifier, made: Sequence[Planted],
    components: Grid | None = None, credit: str = "",
) -> Trial:  # fmt: skip
    """A trial of clips that each have their cause."""
    labels = [clip.label for clip in made]
    right = named_rightly(classifier, [clip.audio for clip in made], labels)
    table = shares_right(**{WITH: right, WITHOUT: named_rightly(classifier, [clip.bare for clip in made], labels)})
    found = [clip for clip, ok in zip(made, right, strict=True) if ok][: study.settings.clips]
    return Trial(family, name, title, TEXTS[name], classifier, found, table, components or study.grid(), credit)


def _minus(audio: Audio, cause: Audio) -> Audio:
    """The clip without its cause."""
    return audio.with_samples(audio.samples - cause.samples, "the cause taken out")
