"""Models of Hugging Face: an id, a folder or a model becomes a classifier with gradients all the way from the sound.

The extractor's numpy is replaced by a front end in torch that computes the same, and the two are compared when the model is
wrapped. Where there is no such front end, or it is off by more than a thousandth of the features' range, the model is asked
through its own extractor as a black box, and says so (`classifier.notes`).

Layers keep their names behind "model.": `model.wavlm.encoder.layers.3`. Frames and patches have their exact places in the clip.
"""

import os
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from jaxtyping import Float
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from earwitness.axes import Axis
from earwitness.classifiers.base import BlackBox, Classifier
from earwitness.classifiers.folders import find_device
from earwitness.classifiers.layouts import Layout, Spans
from earwitness.classifiers.token_places import place_of, rows_of
from earwitness.errors import ModelError, UsageError
from earwitness.extras import need
from earwitness.frontends import FrontEnd, Waveform
from earwitness.frontends.extractors import ASTMel, WhisperMel, from_extractor, model_inputs, parity

transformers = need("transformers", "hf", "a Hugging Face model")

BOUND = 1e-3  # how far a front end may be off its extractor, as a share of the features' range


class Wrapped(nn.Module):
    """A model of transformers as a network: features in, logits out; it knows where its layers stand.

    model: with a classifier on top, or a backbone.  frontend: whose features it takes.
    head: of a backbone: from the mean over its tokens, `[B, channels]`, to logits.
    """

    def __init__(self, model: nn.Module, head: nn.Module | None, frontend: FrontEnd) -> None:
        super().__init__()
        self.model, self.head = model, head
        self._frontend = (frontend,)  # in a tuple, so that it is no part of the network

    def forward(self, features: Float[Tensor, "batch *x"]) -> Float[Tensor, "batch classes"]:
        """Features to `[B, classes]`."""
        answer = self.model(**model_inputs(self._frontend[0], features))
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
        if self.head is not None or not isinstance(frontend, Waveform):
            raise ModelError(
                "only a whole model on samples can be saved with its extractor: use model.save_pretrained(folder)"
            )
        cast(Any, self.model).save_pretrained(folder)
        extractor = transformers.Wav2Vec2FeatureExtractor(
            sampling_rate=frontend.sample_rate, do_normalize=frontend.standardise
        )
        extractor.save_pretrained(folder)

    def frames(self, axes: tuple[Axis, ...]) -> Spans | None:
        """What each frame in front of the transformer hears of a clip whose features have these axes; None for other models."""
        rows = rows_of(self.model.config, axes)
        return rows[0][0] if rows else None


def hugging_face(
    model: "str | os.PathLike | nn.Module",
    frontend: FrontEnd | None = None,
    *,
    head: "nn.Module | str | os.PathLike | None" = None,
    labels: Sequence[str] | None = None,
    device: str = "auto",
) -> Classifier:
    """Any audio classifier of Hugging Face, or an image classifier that looks at spectrograms, in evaluation mode.

    model: an id ("MIT/ast-finetuned-audioset-10-10-0.4593"), a folder, or a model of transformers.
    frontend: what computes the features; by default rebuilt from the model's own extractor. Image classifiers need one:
        `ew.Picture(ew.LogMel(), 224, 224)`.
    head: for a backbone without classifier: a module from the mean over its tokens, `[B, channels]`, to logits; or a file of its
        weights (safetensors, or a state dict), whose matrices become linear layers with a ReLU between.
    labels: names of the classes; by default the model's own.  device: "auto" (cuda where there is one), "cpu", "cuda".

    The models are those of `AutoModelForAudioClassification` and `AutoModelForImageClassification`. Nothing is fetched when
    HF_HUB_OFFLINE=1 is set, or for a folder. Weights are read from safetensors, or with `weights_only=True`; no code that came
    with them is run. Cost: one front end and one extractor on two seconds of noise.
    Raises `ModelError` where the model can't be read, lacks a classifier, or isn't one of these; `UsageError` where `head`,
        `labels` or `frontend` are missing, or transformers is not installed.
    """
    network, source = _network(model, head is not None)
    config, notes, extractor = network.config, [], None
    if frontend is None:
        extractor = _extractor(source, config)
        frontend, note = _rebuilt(extractor)
        notes.append(note)
    last = None if head is None else _head(head, _width(config))
    names = _labels(config, labels, last)
    outputs = (
        "multi-label logits" if getattr(config, "problem_type", None) == "multi_label_classification" else "logits"
    )
    if frontend is None:
        classifier: Classifier = _black_box(network, extractor, last, names, outputs)
    else:
        classifier = Classifier(Wrapped(network, last, frontend), frontend, names, _longest(frontend), outputs)
    if getattr(config, "feat_extract_norm", None) == "group":
        classifier.baseline = "shaped"
        notes.append(
            "it normalises each channel over the whole clip: its baseline is noise as loud as the clip, not silence"
        )
    classifier.notes = tuple(notes)
    return classifier.requires_grad_(False).to(find_device(device)).eval()


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


def _network(model: "str | os.PathLike | nn.Module", backbone: bool) -> tuple[Any, str]:
    """The model of transformers, and where its extractor is to be found."""
    if not isinstance(model, str | os.PathLike):
        if not isinstance(model, transformers.PreTrainedModel):
            raise UsageError(
                f"a Hugging Face model is an id, a folder or a model of transformers, not {type(model).__name__}"
            )
        return model, str(getattr(cast(Any, model).config, "_name_or_path", ""))
    source = os.fspath(model)
    try:
        config = transformers.AutoConfig.from_pretrained(source)
        found, report = _family(config, backbone).from_pretrained(
            source, config=config, dtype=torch.float32, output_loading_info=True
        )
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        raise ModelError(
            f"{source} is not a Hugging Face model that can be read: {str(error).strip().splitlines()[0]}"
        ) from error
    missing = sorted(report["missing_keys"])
    if missing and not backbone:
        raise ModelError(
            f"{source} has no weights for {', '.join(missing[:3])}: it is no trained classifier. A backbone needs a head of your "
            "own, ew.hugging_face(.., head=, labels=)"
        )
    return (found.get_encoder() if backbone and config.is_encoder_decoder else found), source


def _family(config: Any, backbone: bool) -> Any:
    """The class of transformers that reads such a model."""
    if backbone:
        return transformers.AutoModel
    for family in (transformers.AutoModelForAudioClassification, transformers.AutoModelForImageClassification):
        if type(config) in family._model_mapping:
            return family
    raise ModelError(
        f"a {config.model_type} model classifies neither sound nor pictures. A backbone needs a head of your own, "
        "ew.hugging_face(.., head=, labels=)"
    )


def _extractor(source: str, config: Any) -> Any:
    """The model's own feature extractor."""
    if type(config) in transformers.AutoModelForImageClassification._model_mapping:
        raise UsageError(
            f"a {config.model_type} model looks at pictures: say how a sound becomes one, "
            "ew.hugging_face(.., frontend=ew.Picture(ew.LogMel(), 224, 224))"
        )
    try:
        return transformers.AutoFeatureExtractor.from_pretrained(source)
    except (OSError, ValueError, KeyError) as error:
        raise UsageError(
            f"there is no preprocessor_config.json with the model {source!r}, so nobody knows what it eats: give it, "
            "ew.hugging_face(.., frontend=ew.Waveform(16000, standardise=True)), or another front end"
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


def _head(head: "nn.Module | str | os.PathLike", width: int) -> nn.Module:
    """The head, or a perceptron from the weights in a file."""
    if isinstance(head, nn.Module):
        return head
    path = Path(head)
    try:
        weights = load_file(path) if path.suffix == ".safetensors" else torch.load(path, "cpu", weights_only=True)
        matrices = [
            name for name, value in sorted(weights.items(), key=lambda pair: _counted(pair[0])) if value.ndim == 2
        ]
        layers: list[nn.Module] = []
        for name in matrices:
            bias = weights.get(name.removesuffix("weight") + "bias")
            linear = nn.Linear(weights[name].shape[1], weights[name].shape[0], bias is not None)
            linear.load_state_dict({"weight": weights[name]} | ({} if bias is None else {"bias": bias}))
            layers += [linear, nn.ReLU()]
        sizes = [width, *(size for name in matrices for size in weights[name].T.shape)]
    except Exception as error:  # torch.load raises whatever a foreign file makes it raise
        raise ModelError(
            f"{path} holds no weights of a head that can be read: {str(error).strip().splitlines()[0]}"
        ) from error
    if not matrices or sizes[0::2][: len(matrices)] != sizes[1::2]:
        raise ModelError(f"the matrices in {path} do not follow on {width} channels: {sizes[1:]}")
    return nn.Sequential(*layers[:-1])


def _counted(name: str) -> list:
    """A key that puts layer 10 behind layer 9."""
    return [int(part) if part.isdigit() else -1 for part in name.split(".")]


def _longest(frontend: FrontEnd) -> float | None:
    """Seconds that the model takes; None for any."""
    if isinstance(frontend, ASTMel):
        return cast(int, frontend.max_frames) * 160 / frontend.sample_rate
    return float(frontend.duration) if isinstance(frontend, WhisperMel) else None


def _black_box(
    model: nn.Module, extractor: Any, head: nn.Module | None, labels: Sequence[str], outputs: str
) -> Classifier:
    """The model behind its own extractor."""

    def ask(waveform: np.ndarray) -> np.ndarray:
        inputs = extractor(list(waveform), sampling_rate=extractor.sampling_rate, return_tensors="pt")
        answer = model(**inputs)
        return (answer.logits if head is None else head(answer.last_hidden_state.mean(1))).detach().numpy()

    return BlackBox(ask, extractor.sampling_rate, labels, outputs=outputs)
