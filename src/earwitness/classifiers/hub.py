"""Models of Hugging Face: an id, a folder or a model becomes a classifier with gradients all the way from the sound.

The extractor's numpy is replaced by a front end in torch that computes the same, and the two are compared when the model is
wrapped. Where there is no such front end, or it is off by more than a thousandth of the features' range, the model is asked
through its own extractor as a black box, and says so (`classifier.notes`).

Layers keep their names behind "model.": `model.wavlm.encoder.layers.3`. Frames and patches have their exact places in the clip.
"""

import math
import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from jaxtyping import Float
from safetensors.torch import load_file
from torch import Tensor, nn

from earwitness.axes import Axis
from earwitness.classifiers.base import BlackBox, Classifier, evaluating
from earwitness.classifiers.folders import find_device
from earwitness.classifiers.layouts import Layout, Spans
from earwitness.classifiers.token_places import place_of, rows_of
from earwitness.errors import InputError, ModelError, UsageError
from earwitness.extras import need
from earwitness.frontends import FrontEnd, Picture, Waveform
from earwitness.frontends.extractors import ASTMel, WhisperMel, from_extractor, model_inputs, parity

transformers = need("transformers", "hf", "a Hugging Face model")

HEADLESS = "{} is no trained classifier. A backbone needs a head of your own, ew.hugging_face(.., head=, labels=)"
BOUND = 1e-3  # how far a front end may be off its extractor, as a share of the features' range


class Wrapped(nn.Module):
    """A model of transformers as a network: features in, logits out; it knows where its layers stand.

    model: with a classifier on top, or a backbone.  frontend: whose features it takes; None where it is only `answered`.
    head: of a backbone: from the mean over its tokens, `[B, channels]`, to logits.
    """

    def __init__(self, model: nn.Module, head: nn.Module | None, frontend: FrontEnd | None) -> None:
        super().__init__()
        self.model, self.head = model, head
        self._frontend = (frontend,)  # in a tuple, so that it is no part of the network

    @property
    def frontend(self) -> FrontEnd | None:
        """Whose features it takes."""
        return self._frontend[0]

    def forward(self, features: Float[Tensor, "batch *x"]) -> Float[Tensor, "batch classes"]:
        """Features to `[B, classes]`."""
        reach = getattr(self.model.config, "conv_kernel", None)
        if reach and features.shape[-1] < (least := _reach(reach, cast(Any, self.model.config).conv_stride)):
            raise InputError(f"the clip is too short: it has {features.shape[-1]} samples, and the model needs {least}")
        return self.answered(model_inputs(cast(FrontEnd, self._frontend[0]), features))

    def answered(self, inputs: Mapping[str, Tensor]) -> Float[Tensor, "batch classes"]:
        """What the model, or the head on it, answers to inputs of its own kind."""
        answer = self.model(**inputs)
        if self.head is None:
            return answer.logits
        hidden = answer.last_hidden_state
        return self.head(hidden.mean(1) if hidden.ndim == 3 else hidden.flatten(2).mean(2))

    def layout(self, layer: str, shape: Sequence[int], axes: tuple[Axis, ...]) -> Layout | None:
        """Where the output `[*shape]` of a layer stands in a clip whose features have these axes."""
        return place_of(self.model.config, layer, tuple(shape), axes)

    def save_pretrained(self, folder: Path) -> None:
        """Write the model and its extractor as transformers does. Raises `ModelError` for what it has no form for."""
        frontend = self._frontend[0]
        if self.head is not None or not isinstance(frontend, Waveform | ASTMel):
            raise ModelError(
                "only a whole model on samples, or an AST, can be saved with its extractor: use model.save_pretrained(folder)"
            )
        with _quietly():
            cast(Any, self.model).save_pretrained(folder)
            if isinstance(frontend, ASTMel):
                sizes = {"num_mel_bins": frontend.n_mels, "max_length": frontend.max_frames}
                level = {"mean": frontend.mean, "std": frontend.std}
                extractor = transformers.ASTFeatureExtractor(sampling_rate=frontend.sample_rate, **sizes, **level)
            else:
                extractor = transformers.Wav2Vec2FeatureExtractor(
                    sampling_rate=frontend.sample_rate, do_normalize=frontend.standardise
                )
            extractor.save_pretrained(folder)

    def frames(self, axes: tuple[Axis, ...]) -> Spans | None:
        """What each frame in front of the transformer hears of a clip whose features have these axes; None for other models."""
        rows = rows_of(self.model.config, axes)
        return rows[0][0] if rows else None


def _reach(kernels: Sequence[int], strides: Sequence[int]) -> int:
    """How many samples a frame takes."""
    return 1 + sum((kernel - 1) * math.prod(strides[:at]) for at, kernel in enumerate(kernels))


def hugging_face(
    model: "str | os.PathLike | nn.Module",
    frontend: FrontEnd | None = None,
    *,
    head: "nn.Module | Mapping[str, Tensor] | str | os.PathLike | None" = None,
    labels: Sequence[str] | None = None,
    device: str = "auto",
) -> Classifier:
    """Any audio classifier of Hugging Face, or an image classifier that looks at spectrograms, in evaluation mode.

    model: an id ("MIT/ast-finetuned-audioset-10-10-0.4593"), a folder, or a model of transformers.
    frontend: what computes the features; by default rebuilt from the model's own extractor. Image classifiers need one:
        `ew.Picture(ew.LogSTFT(16000), 224, 224)`.
    head: for a backbone without classifier: a module from the mean over its tokens, `[B, channels]`, to logits; or its weights (a
        state dict, or a file of one, or safetensors), of linear layers with a ReLU between and nothing else.
    labels: names of the classes; by default the model's own.  device: "auto" (cuda where there is one), "cpu", "cuda".

    The models are those of `AutoModelForAudioClassification` and `AutoModelForImageClassification`. Nothing is fetched when
    HF_HUB_OFFLINE=1 is set, or for a folder. Weights are read from safetensors, or with `weights_only=True`; no code that came
    with them is run. Cost: one front end and one extractor on two seconds of noise.
    Raises `ModelError` where the model can't be read, lacks a classifier, or isn't one of these; `UsageError` where `head`,
        `labels` or `frontend` are missing, or transformers is not installed.
    """
    with _quietly():
        network, source = _network(model, head is not None)
        config, notes, extractor = network.config, [], None
        if frontend is None:
            extractor = _extractor(source, config)
            frontend, note = _rebuilt(extractor)
            notes.append(note)
        elif isinstance(frontend, Picture) and not _sees(config):
            raise UsageError(
                f"a {config.model_type} model takes no pictures: it brings its own front end, so give it no other"
            )
    last = None if head is None else _head(head, _width(config))
    names = _labels(config, labels, last)
    outputs = (
        "multi-label logits" if getattr(config, "problem_type", None) == "multi_label_classification" else "logits"
    )
    whole_clip = getattr(config, "feat_extract_norm", None) == "group"
    if whole_clip:
        notes.append(
            "it normalises each channel over the whole clip: its baseline is noise as loud as the clip, not silence"
        )
    given = {"outputs": outputs, "baseline": "shaped" if whole_clip else "silence"}
    where = find_device(device)
    if frontend is None:
        classifier: Classifier = _black_box(Wrapped(network, last, None).to(where).eval(), extractor, names, outputs)
        classifier.baseline = given["baseline"]
    else:
        classifier = Classifier(Wrapped(network, last, frontend), frontend, names, _longest(frontend), **given)
    classifier.notes = tuple(notes)
    return classifier.to(where).eval()


@contextmanager
def _quietly() -> Iterator[None]:
    """Without transformers' bars and reports: what they have to say is told, or is an error, here."""
    talk = transformers.utils.logging
    level, bars = talk.get_verbosity(), talk.is_progress_bar_enabled()
    talk.set_verbosity(talk.CRITICAL)
    talk.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module="transformers")
            yield
    finally:
        talk.set_verbosity(level)
        if bars:
            talk.enable_progress_bar()


def new_wavlm(labels: Sequence[str], sample_rate: int = 16000, *, seed: int = 0, **sizes: Any) -> Classifier:
    """An untrained WavLM, the real architecture reduced to 1.4 million weights; front end: each clip standardised.

    sizes: of its configuration, `transformers.WavLMConfig`.  seed: of its weights.
    """
    small = {"hidden_size": 192, "num_hidden_layers": 4, "num_attention_heads": 4, "intermediate_size": 384}
    small |= {"conv_dim": (32, 64, 64, 64, 64, 64, 64), "feat_extract_norm": "layer", "do_stable_layer_norm": True}
    small |= {"num_conv_pos_embeddings": 31, "num_conv_pos_embedding_groups": 8, "classifier_proj_size": 192}
    small |= {"apply_spec_augment": False, "layerdrop": 0.0, "id2label": dict(enumerate(labels)), **sizes}
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        model = transformers.WavLMForSequenceClassification(transformers.WavLMConfig(**small))
    frontend = Waveform(sample_rate, standardise=True)
    return Classifier(Wrapped(model, None, frontend), frontend, labels)


def new_ast(labels: Sequence[str], frontend: ASTMel, *, seed: int = 0, **sizes: Any) -> Classifier:
    """An untrained AST, the real architecture reduced to 0.25 million weights; it takes what the front end computes.

    sizes: of its configuration, `transformers.ASTConfig`.  seed: of its weights.
    """
    small = {"hidden_size": 96, "num_hidden_layers": 3, "num_attention_heads": 4, "intermediate_size": 192}
    small |= {"num_mel_bins": frontend.n_mels, "max_length": frontend.max_frames}
    small |= {"id2label": dict(enumerate(labels)), **sizes}
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        model = transformers.ASTForAudioClassification(transformers.ASTConfig(**small))
    return Classifier(Wrapped(model, None, frontend), frontend, labels, _longest(frontend))


def _network(model: "str | os.PathLike | nn.Module", backbone: bool) -> tuple[Any, str]:
    """The model of transformers, and where its extractor is to be found."""
    if isinstance(model, str | os.PathLike):
        source = os.fspath(model)
        found = _read(source, backbone)
    elif isinstance(model, transformers.PreTrainedModel):
        found, source = cast(Any, model), str(getattr(cast(Any, model).config, "_name_or_path", ""))
        if not backbone and not isinstance(found, _family(found.config, False)._model_mapping[type(found.config)]):
            raise ModelError(HEADLESS.format(f"a {type(found).__name__}"))
    else:
        raise UsageError(
            f"a Hugging Face model is an id, a folder or a model of transformers, not {type(model).__name__}"
        )
    return (found.get_encoder() if backbone and found.config.is_encoder_decoder else found), source


def _read(source: str, backbone: bool) -> Any:
    """A model from the disk or the hub, all of whose weights were there."""
    try:
        config = transformers.AutoConfig.from_pretrained(source, trust_remote_code=False)
        found, report = _family(config, backbone).from_pretrained(
            source, config=config, dtype=torch.float32, output_loading_info=True, trust_remote_code=False
        )
    except ModelError:
        raise
    except Exception as error:  # whatever a foreign folder makes transformers raise
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        offline = (
            " HF_HUB_OFFLINE is set: nothing is fetched."
            if os.environ.get("HF_HUB_OFFLINE", "0") not in ("", "0")
            else ""
        )
        raise ModelError(f"{source!r} is not a Hugging Face model that can be read: {reason}{offline}") from error
    missing = sorted(name for name in report["missing_keys"] if not (backbone and "pooler" in name))
    if missing:
        lacking = f"{source} (it has no weights for {', '.join(missing[:3])})"
        raise ModelError(f"{lacking} lacks weights of the backbone itself" if backbone else HEADLESS.format(lacking))
    return found.requires_grad_(False)


def _families() -> tuple[Any, Any]:
    return transformers.AutoModelForAudioClassification, transformers.AutoModelForImageClassification


def _family(config: Any, backbone: bool) -> Any:
    """The class of transformers that reads such a model."""
    if backbone:
        return transformers.AutoModel
    for family in _families():
        if type(config) in family._model_mapping:
            return family
    raise ModelError(
        f"a {config.model_type} model classifies neither sound nor pictures. A backbone needs a head of your own, "
        "ew.hugging_face(.., head=, labels=)"
    )


def _sees(config: Any) -> bool:
    """Whether a model is one for pictures."""
    return type(config) in transformers.AutoModelForImageClassification._model_mapping


def _extractor(source: str, config: Any) -> Any:
    """The model's own feature extractor."""
    if _sees(config):
        side = getattr(config, "image_size", 224)
        raise UsageError(
            f"a {config.model_type} model looks at pictures: say how a sound becomes one, "
            f"ew.hugging_face(.., frontend=ew.Picture(ew.LogSTFT(16000), {side}, {side})); on the command line, --frontend "
            f"mel:sample_rate=16000,height={side},width={side}"
        )
    try:
        return transformers.AutoFeatureExtractor.from_pretrained(source, trust_remote_code=False)
    except Exception as error:  # whatever a foreign file makes transformers raise
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        known = transformers.models.auto.feature_extraction_auto.FEATURE_EXTRACTOR_MAPPING_NAMES
        kind = known.get(config.model_type) or "Wav2Vec2FeatureExtractor"
        raise ModelError(
            f"the model {source!r} has no preprocessor_config.json that can be read ({reason}), so nobody knows what "
            f'it eats: put one there, such as {{"feature_extractor_type": "{kind}", "sampling_rate": 16000}}, or say it in '
            "Python, ew.hugging_face(.., frontend=ew.Waveform(16000, standardise=True)) or another front end"
        ) from error


def _rebuilt(extractor: Any) -> tuple[FrontEnd | None, str]:
    """The front end that computes what an extractor does, if there is one, and what to say of it."""
    name = type(extractor).__name__
    try:
        frontend = from_extractor(extractor)
    except ModelError as error:
        warnings.warn(f"asked as a black box, without gradients: {error}", stacklevel=3)
        return None, f"asked through its own {name}, as a black box: there is no such front end here"
    clip = 0.1 * np.random.default_rng(0).standard_normal(2 * frontend.sample_rate).astype(np.float32) + 0.01
    off = parity(frontend, extractor, clip)
    if not off <= BOUND:
        warnings.warn(
            f"asked as a black box, without gradients: the front end is off {name} by {off:.2g}", stacklevel=3
        )
        return None, f"asked through its own {name}, as a black box: our front end is off by {off:.2g} of the range"
    return frontend, f"the front end is off the model's own {name} by {off:.1g} of the features' range"


def _labels(config: Any, labels: Sequence[str] | None, head: nn.Module | None) -> Sequence[str]:
    if labels is not None:
        return labels
    if head is not None:
        raise UsageError("a head of one's own has classes of its own: name them, ew.hugging_face(.., head=, labels=)")
    return [config.id2label[number] for number in range(config.num_labels)]


def _width(config: Any) -> int:
    """The number of channels of a backbone's last layer."""
    for name in ("hidden_size", "d_model"):
        if isinstance(found := getattr(config, name, None), int):
            return found
    return int(config.hidden_sizes[-1])


def _head(head: "nn.Module | Mapping[str, Tensor] | str | os.PathLike", width: int) -> nn.Module:
    """The head, or a perceptron from its weights; tried on `width` channels."""
    made = head if isinstance(head, nn.Module) else _perceptron(head)
    try:
        with torch.no_grad(), evaluating(made):
            made(torch.zeros(2, width))
    except RuntimeError as error:
        raise ModelError(
            f"the head does not take the {width} channels of the model: {str(error).splitlines()[0]}"
        ) from error
    return made


def _perceptron(head: "Mapping[str, Tensor] | str | os.PathLike") -> nn.Module:
    """Linear layers with a ReLU between, from their weights (or a file of them); `ModelError` where there is anything else."""
    try:
        weights = dict(head) if isinstance(head, Mapping) else _weights(Path(head))
        names = sorted((name for name, value in weights.items() if value.ndim == 2), key=_counted)
        layers: list[nn.Module] = []
        for name in names:
            matrix, bias = weights.pop(name), weights.pop(name.removesuffix("weight") + "bias", None)
            linear = nn.Linear(matrix.shape[1], matrix.shape[0], bias is not None)
            linear.load_state_dict({"weight": matrix} | ({} if bias is None else {"bias": bias}))
            layers += [linear, nn.ReLU()]
    except Exception as error:  # torch.load raises whatever a foreign file makes it raise
        raise ModelError(f"{head} holds no weights of a head that can be read, safetensors or a state dict") from error
    if weights or not layers:
        raise ModelError(
            "only linear layers with a ReLU between are built from weights, and these hold "
            f"{', '.join(weights) or 'none'}: give the head itself, a torch.nn.Module"
        )
    return nn.Sequential(*layers[:-1])


def _weights(path: Path) -> dict[str, Tensor]:
    return load_file(path) if path.suffix == ".safetensors" else torch.load(path, "cpu", weights_only=True)


def _counted(name: str) -> list:
    """A key that puts layer 10 behind layer 9."""
    return [int(part) if part.isdigit() else -1 for part in name.split(".")]


def _longest(frontend: FrontEnd) -> float | None:
    """Seconds that the model takes; None for any."""
    if isinstance(frontend, ASTMel):
        return cast(int, frontend.max_frames) * 160 / frontend.sample_rate
    return float(frontend.duration) if isinstance(frontend, WhisperMel) else None


def _black_box(network: Wrapped, extractor: Any, labels: Sequence[str], outputs: str) -> Classifier:
    """The model behind its own extractor."""
    where = next(network.parameters()).device

    def ask(waveform: np.ndarray) -> np.ndarray:
        inputs = extractor(list(waveform), sampling_rate=extractor.sampling_rate, return_tensors="pt")
        with torch.no_grad():
            return network.answered(inputs.to(where)).cpu().numpy()

    return BlackBox(ask, extractor.sampling_rate, labels, outputs=outputs)
