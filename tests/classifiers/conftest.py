"""Models of Hugging Face for the tests: every architecture, tiny and untrained, saved and read through the real loading code."""

import numpy as np
import pytest
import torch
import transformers as hf

import earwitness as ew

RATE = 16000
SIZES = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64, "num_labels": 3}
CONVOLUTIONS = {"conv_dim": (16,) * 7, "num_conv_pos_embeddings": 16, "num_conv_pos_embedding_groups": 4}
SMALL = SIZES | {"classifier_proj_size": 8}
SPEECH = SMALL | CONVOLUTIONS
SEW = SPEECH | {"conv_dim": (16,) * 13, "squeeze_factor": 2}
DATA2VEC = SMALL | {"conv_dim": (16,) * 7, "conv_pos_kernel_size": 3}
WHISPER = {"d_model": 32, "encoder_layers": 2, "encoder_attention_heads": 2, "encoder_ffn_dim": 64} | {
    "decoder_layers": 1, "decoder_attention_heads": 2, "decoder_ffn_dim": 64, "num_labels": 3, "classifier_proj_size": 8,
}  # fmt: skip
LAYERED = {"feat_extract_norm": "layer", "do_stable_layer_norm": True, "conv_bias": True}


def plain(normalised):
    return hf.Wav2Vec2FeatureExtractor(do_normalize=normalised)


MODELS = {
    "wav2vec2": (hf.Wav2Vec2ForSequenceClassification, hf.Wav2Vec2Config(**SPEECH, **LAYERED), plain(True)),
    "wav2vec2-conformer": (
        hf.Wav2Vec2ConformerForSequenceClassification,
        hf.Wav2Vec2ConformerConfig(**SPEECH),
        plain(True),
    ),
    "hubert": (hf.HubertForSequenceClassification, hf.HubertConfig(**SPEECH), plain(True)),
    "wavlm": (hf.WavLMForSequenceClassification, hf.WavLMConfig(**SPEECH), plain(False)),
    "data2vec": (hf.Data2VecAudioForSequenceClassification, hf.Data2VecAudioConfig(**DATA2VEC), plain(True)),
    "sew": (hf.SEWForSequenceClassification, hf.SEWConfig(**SEW), plain(True)),
    "sew-d": (hf.SEWDForSequenceClassification, hf.SEWDConfig(**SEW), plain(True)),
    "unispeech": (hf.UniSpeechForSequenceClassification, hf.UniSpeechConfig(**SPEECH), plain(True)),
    "unispeech-sat": (hf.UniSpeechSatForSequenceClassification, hf.UniSpeechSatConfig(**SPEECH), plain(True)),
    "ast": (hf.ASTForAudioClassification, hf.ASTConfig(**SIZES), hf.ASTFeatureExtractor()),
    "whisper": (hf.WhisperForAudioClassification, hf.WhisperConfig(**WHISPER), hf.WhisperFeatureExtractor()),
    "wav2vec2-bert": (
        hf.Wav2Vec2BertForSequenceClassification,
        hf.Wav2Vec2BertConfig(**SMALL),
        hf.SeamlessM4TFeatureExtractor(),
    ),
}
PICTURES = {
    "vit": (hf.ViTForImageClassification, hf.ViTConfig(**SIZES, image_size=64, patch_size=16)),
    "convnext": (
        hf.ConvNextForImageClassification,
        hf.ConvNextConfig(hidden_sizes=[8, 8, 16, 16], depths=[1, 1, 1, 1], num_labels=3),
    ),
    "focalnet": (
        hf.FocalNetForImageClassification,
        hf.FocalNetConfig(image_size=64, embed_dim=8, depths=[1, 1, 1, 1], hidden_sizes=[8, 16, 32, 64], num_labels=3),
    ),
    "resnet": (
        hf.ResNetForImageClassification,
        hf.ResNetConfig(embedding_size=8, hidden_sizes=[8, 16, 16, 16], depths=[1, 1, 1, 1], layer_type="basic", num_labels=3),
    ),
}  # fmt: skip
VIEW = ew.Picture("LogMel(sample_rate=16000, n_fft=512, hop_length=160, n_mels=64)", 64, 64)


def save_model(folder, kind, config, extractor=None):
    """Save a model with seeded weights, larger than they are initialised, so that answers differ."""
    if not folder.exists():
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(1)
            model = kind(config)
            with torch.no_grad():
                for name, weights in model.named_parameters():
                    weights.mul_(3 if weights.ndim > 1 and "conv" not in name else 1)
        model.save_pretrained(folder)
        if extractor is not None:
            extractor.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def models():
    """Of each model its class, its configuration and (of those for sound) its extractor, by their names."""
    return MODELS | PICTURES


@pytest.fixture(params=MODELS)
def audio_model(request):
    """The name of each model for sound."""
    return request.param


@pytest.fixture(params=PICTURES)
def image_model(request):
    """The name of each model for pictures."""
    return request.param


@pytest.fixture(params=MODELS | PICTURES)
def any_model(request):
    """The name of each model."""
    return request.param


@pytest.fixture(scope="session")
def saved():
    """The function `save_model`."""
    return save_model


@pytest.fixture(scope="session")
def view():
    """The front end of the models for pictures."""
    return VIEW


@pytest.fixture(scope="session")
def home(tmp_path_factory):
    """The folder of the models, each saved when it is first wanted."""
    return tmp_path_factory.mktemp("models")


@pytest.fixture
def wrapped(home):
    """`wrapped(name)`: the classifier, through the disk."""

    def make(name, **given):
        if name in PICTURES:
            given = {"frontend": VIEW} | given
        return ew.hugging_face(save_model(home / name, *(MODELS | PICTURES)[name]), **given)

    return make


@pytest.fixture(scope="session")
def clip():
    """A second and a bit: a tone that comes and goes, in noise, off zero."""
    t = np.arange(17000) / RATE
    tone = 0.3 * np.sin(2 * np.pi * 700 * t) * (np.abs(t - 0.5) < 0.2)
    return ew.Audio(tone + 0.02 * np.random.default_rng(0).standard_normal(len(t)) + 0.003, RATE)
