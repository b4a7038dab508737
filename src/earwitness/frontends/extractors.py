"""What the audio models of Hugging Face eat, rebuilt so that it has gradients, can be frozen, and has a place in the clip.

The extractors of transformers answer with numpy arrays, where every gradient ends. The same numbers, step by step in torch:

| extractor | models | front end |
|---|---|---|
| Wav2Vec2FeatureExtractor | wav2vec2, HuBERT, WavLM, data2vec, SEW, UniSpeech | `Waveform` |
| ASTFeatureExtractor | Audio Spectrogram Transformer | `ASTMel` |
| WhisperFeatureExtractor | Whisper | `WhisperMel` |
| SeamlessM4TFeatureExtractor | wav2vec2-bert | `SeamlessMel` |
| (image processors) | ViT, FocalNet and other networks for images | `Picture` |

`from_extractor` makes the front end of an extractor, `parity` measures how far the two are apart, `model_inputs` lays our
features (`[B, 1, frequency, time]`, lowest frequency first) out as the model takes them.

Some extractors fill up or cut the clip to a fixed length. The features stop where the clip does: what is filled up is no part of
the explanation, and `model_inputs` adds it. Whisper's have one column behind their axes, the clip's own silence, to do it with.

Source: the extractors and `audio_utils.spectrogram` of transformers 5; for AST and Seamless they follow Kaldi's filterbank.
Differs: transformers itself is not needed here.
"""

import math
from typing import cast

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from earwitness.axes import Axis
from earwitness.errors import InputError, ModelError, positive, whole
from earwitness.frontends.base import Affine, FrontEnd, PerClip
from earwitness.frontends.filterbanks import Filterbank, mel_edges, mel_weights
from earwitness.frontends.pictures import Picture
from earwitness.frontends.stft import Decibel, Spectrum
from earwitness.frontends.waveform import Waveform

FRAME, HOP, N_FFT = 400, 160, 512  # samples, whatever the sample rate
LOWEST, EMPHASIS, FLOOR = 20.0, 0.97, 1.192092955078125e-07  # hertz; of the sample before; power
WINDOWS = {"hann": 1.0, "povey": 0.85}  # powers of the symmetric Hann window


class KaldiSpectrum(nn.Module):
    """`[B, time]` to power spectra of frames of 400 samples every 160, `[B, 1, 257, frames]`; the first frame begins at 0.

    Each frame is freed of its mean, sharpened (x[t] - 0.97 x[t-1]), windowed, and filled up with zeros to 512 samples. All in
    double precision, as the extractors do it: else a loud tone drowns the quiet bands in rounding errors (1e-3 of the range).
    """

    window: Tensor

    def __init__(self, window: str, scale: float) -> None:
        super().__init__()
        self.scale = scale
        self.register_buffer("window", torch.from_numpy(np.hanning(FRAME) ** WINDOWS[window]), persistent=False)

    def forward(self, waveform: Float[Tensor, "batch time"]) -> Float[Tensor, "batch 1 bins frames"]:
        _enough(waveform.shape[-1], FRAME)
        frames = (self.scale * waveform.double()).unfold(-1, FRAME, HOP)
        frames = frames - frames.mean(-1, keepdim=True)
        sharp = frames[..., 1:] - EMPHASIS * frames[..., :-1]  # the first sample stands where the window is 0
        z = torch.fft.rfft(sharp * self.window[1:], N_FFT)
        power = z.real.square() + z.imag.square()
        return power.to(waveform.dtype).transpose(1, 2).unsqueeze(1)


class MirroredSpectrum(Spectrum):
    """As `Spectrum`, but of a clip that goes on mirrored beyond its ends, and without the last frame."""

    def forward(self, waveform: Float[Tensor, "batch time"]) -> Float[Tensor, "batch 1 bins frames"]:
        z = torch.stft(waveform, self.n_fft, self.hop_length, window=self.window, return_complex=True)
        z = z[..., :-1].unsqueeze(1)
        return z.real.square() + z.imag.square()


class First(nn.Module):
    """The first `size` places of the last dimension, or all."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size

    def forward(self, x: Float[Tensor, "*x frames"]) -> Float[Tensor, "*x fewer"]:
        return x[..., : self.size]


class Silence(nn.Module):
    """Digital silence behind the clip, as long as it takes for one frame that hears nothing else; `longest` samples at most."""

    def __init__(self, n_fft: int, hop_length: int, longest: int) -> None:
        super().__init__()
        self.n_fft, self.hop_length, self.longest = n_fft, hop_length, longest

    def heard(self, n_samples: int) -> int:
        """How many frames hear something of the clip: frame k hears k hop_length - n_fft/2 + 1 and what follows."""
        return min(
            1 + (min(n_samples, self.longest) - 2 + self.n_fft // 2) // self.hop_length, self.longest // self.hop_length
        )

    def forward(self, x: Float[Tensor, "batch time"]) -> Float[Tensor, "batch longer"]:
        frames = min(self.heard(x.shape[-1]) + 1, self.longest // self.hop_length)
        return F.pad(x, (0, frames * self.hop_length - x.shape[-1]))


class StandardiseBands(PerClip):
    """(x - mean) / sqrt(variance + 1e-7) of each band over the clip's frames; the variance is over frames - 1."""

    def forward(
        self, x: Float[Tensor, "batch 1 bands frames"], like: Float[Tensor, "#batch 1 bands other"] | None = None
    ) -> Float[Tensor, "batch 1 bands frames"]:
        like = x if like is None else like
        if like.shape[-1] < 2:
            raise InputError(
                "the clip is too short: it is one frame long, and the model needs two, 560 samples or more"
            )
        variance, mean = torch.var_mean(like, -1, keepdim=True)
        return (x - mean) / torch.sqrt(variance + 1e-7)


class _KaldiMel(FrontEnd):
    """What AST and Seamless share: Kaldi's frames, triangles that are straight in mel, natural logarithm of the power."""

    max_frames: int | None = None

    def __init__(self, sample_rate: int, n_mels: int, window: str, scale: float, further: dict[str, nn.Module]) -> None:
        whole(sample_rate=sample_rate, n_mels=n_mels)
        self.fmax = sample_rate // 2
        weights = mel_weights(sample_rate, N_FFT, n_mels, LOWEST, self.fmax, "htk", None, straight="htk")
        steps = {
            "spectrum": KaldiSpectrum(window, scale),
            "filterbank": Filterbank(weights),
            "logarithm": Decibel(FLOOR, factor=math.log(10)),  # with this factor it is the natural logarithm
        }
        super().__init__(sample_rate, {**steps, **further})
        self.n_mels = n_mels

    def axes(self, n_samples: int) -> tuple[Axis, ...]:
        """Frequency (one place a band), and time as far as frames see the clip.

        Borders lie half-way between the middles of frames. The last place ends where its frame does: what is left, less than a
        hop, or beyond the longest clip that the extractor takes, nobody hears.
        """
        _enough(n_samples, FRAME)
        frames = min(1 + (n_samples - FRAME) // HOP, self.max_frames or n_samples)
        inner = np.arange(1, frames) * HOP + (FRAME - HOP) / 2
        samples = np.array([0, *inner, (frames - 1) * HOP + FRAME])
        return _axes(mel_edges(self.n_mels, LOWEST, self.fmax, "htk"), samples / self.sample_rate)


class ASTMel(_KaldiMel):
    """What ASTFeatureExtractor computes, `[B, 1, n_mels, frames]`: a log-mel spectrogram, (x - mean) / (2 std).

    sample_rate: hertz.  max_frames: cut to so many frames of 10 ms (at 16 kHz); `model_inputs` fills up to as many.
    mean, std: of the model's training data, in nepers of power; 0 and 0.5 leave the logarithms as they are.

    The extractor fills up with 0 *before* the normalisation: frames behind the clip stand at -mean / (2 std), which is loud
    (0.467 by default; silence is -1.278).
    Cannot see: below 20 Hz; and of 128 bands at 16 kHz one, which lies between two bins of the spectrum, is always silent.
    Source: Gong, Chung and Glass (2021), AST: Audio Spectrogram Transformer; transformers' ASTFeatureExtractor.
    Differs: where torchaudio is installed, the extractor uses its filterbank, with frames of 25 ms every 10 ms at any sample
    rate; ours, and the extractor's without it, have 400 and 160 samples. At 16 kHz that is the same.
    """

    def __init__(
        self,
        sample_rate: int = 16000,
        n_mels: int = 128,
        max_frames: int = 1024,
        mean: float = -4.2677393,
        std: float = 4.5689974,
    ) -> None:
        whole(max_frames=max_frames)
        positive(std=std)
        further = {"length": First(max_frames), "normalisation": Affine([mean], [2 * std])}
        super().__init__(sample_rate, n_mels, "hann", 1.0, further)
        self.max_frames, self.mean, self.std = max_frames, mean, std


class SeamlessMel(_KaldiMel):
    """What SeamlessM4TFeatureExtractor computes before it stacks frames, `[B, 1, n_mels, frames]`: each band standardised.

    sample_rate: hertz.  stride: how many frames the model takes as one.
    padding_value: what stands in the frame that is added where their number is odd.

    The extractor stacks `stride` frames to a column of stride x n_mels rows, the earlier frame first: row s n_mels + m of column
    j is band m of frame stride j + s. One frequency then has two rows, and no axis could say so. Here frames stay apart, 10 ms
    each at 16 kHz, and `model_inputs` stacks them.
    Cannot see: below 20 Hz; and of an odd number of frames the last, since the extractor adds one and masks the pair.
    Raises `InputError` for clips of fewer than two frames (35 ms at 16 kHz), which have no variance.
    Source: transformers' SeamlessM4TFeatureExtractor (samples times 2^15, Povey's window, Hann^0.85).
    """

    def __init__(self, sample_rate: int = 16000, n_mels: int = 80, stride: int = 2, padding_value: float = 0.0) -> None:
        whole(stride=stride)
        super().__init__(sample_rate, n_mels, "povey", 2.0**15, {"normalisation": StandardiseBands()})
        self.stride, self.padding_value = stride, padding_value


class WhisperMel(FrontEnd):
    """What WhisperFeatureExtractor computes, `[B, 1, n_mels, frames]`: (max(L, max L - 8) + 4) / 4, L the log10 of mel powers.

    sample_rate: hertz.  n_fft, hop_length: samples.
    duration: cut to so many seconds; `model_inputs` fills up to as many, with what the last frame hears: silence.

    Slaney's mel bands from 0 to 8000 Hz, at any sample rate. The maximum is the clip's: all that is 80 dB below it is levelled.
    Source: Radford et al. (2022), Robust speech recognition via large-scale weak supervision; transformers'
    WhisperFeatureExtractor.
    """

    def __init__(
        self,
        sample_rate: int = 16000,
        n_fft: int = 400,
        hop_length: int = 160,
        n_mels: int = 80,
        duration: float = 30.0,
    ) -> None:
        whole(sample_rate=sample_rate, n_mels=n_mels)
        positive(duration=duration)
        steps = {
            "length": Silence(n_fft, hop_length, round(duration * sample_rate)),
            "spectrum": MirroredSpectrum(n_fft, hop_length, 2.0),
            "filterbank": Filterbank(mel_weights(sample_rate, n_fft, n_mels, 0.0, 8000.0, "slaney", "slaney")),
            "logarithm": Decibel(1e-10, top_db=8.0, factor=1.0),  # with this factor in powers of ten
            "normalisation": Affine([-4.0], [4.0]),
        }
        super().__init__(sample_rate, steps)
        self.n_fft, self.hop_length, self.n_mels, self.duration = n_fft, hop_length, n_mels, float(duration)

    def axes(self, n_samples: int) -> tuple[Axis, ...]:
        """Frequency (one place a band), and time: each place reaches half a hop either side of its frame's middle, the last to
        the clip's end. What hears the end at the rim of its window has the end of the time before it.

        One column of the features lies behind: it hears nothing.
        """
        length = cast(Silence, self.length)
        end = min(n_samples, length.longest)
        edges = np.array([0, *(np.arange(1, length.heard(n_samples)) - 0.5) * self.hop_length])
        inside = edges[edges < end]
        rim = np.linspace(inside[-1], end, len(edges) - len(inside) + 2)[1:]
        return _axes(mel_edges(self.n_mels, 0.0, 8000.0, "slaney"), np.array([*inside, *rim]) / self.sample_rate)


def from_extractor(extractor) -> FrontEnd:
    """The front end that computes what a feature extractor of transformers does.

    Raises `ModelError` where there is none, or where the extractor does something by chance.
    """
    name = type(extractor).__name__
    if name == "Wav2Vec2FeatureExtractor":
        return Waveform(extractor.sampling_rate, standardise=extractor.do_normalize)
    if name == "ASTFeatureExtractor":
        mean, std = (extractor.mean, extractor.std) if extractor.do_normalize else (0.0, 0.5)
        return ASTMel(extractor.sampling_rate, extractor.num_mel_bins, extractor.max_length, mean, std)
    if name == "WhisperFeatureExtractor":
        _only(extractor, dither=0.0, padding_value=0.0, padding_side="right")
        sizes = extractor.n_fft, extractor.hop_length, extractor.feature_size, extractor.chunk_length
        return WhisperMel(extractor.sampling_rate, *sizes)
    if name == "SeamlessM4TFeatureExtractor":
        _only(extractor, padding_side="right")
        value = float(extractor.padding_value)
        return SeamlessMel(extractor.sampling_rate, extractor.num_mel_bins, extractor.stride, value)
    raise ModelError(
        f"there is no front end like {name}; there is one for Wav2Vec2FeatureExtractor, ASTFeatureExtractor, "
        "WhisperFeatureExtractor and SeamlessM4TFeatureExtractor. A network for images takes ew.Picture(frontend, height, "
        "width); any other model can be asked as ew.BlackBox"
    )


def model_inputs(frontend: FrontEnd, features: Float[Tensor, "batch *x"]) -> dict[str, Tensor]:
    """Features as the keyword arguments of the model that takes them.

    AST's and Whisper's are filled up to the length that the model takes, as the extractor does. Seamless has a mask
    `[B, columns]` as well, 0 where a column ends with a frame that was added.
    """
    if isinstance(frontend, ASTMel):
        missing = cast(int, frontend.max_frames) - features.shape[-1]
        filled = F.pad(features[:, 0], (0, missing), value=-frontend.mean / (2 * frontend.std))
        return {"input_values": filled.transpose(1, 2)}
    if isinstance(frontend, WhisperMel):
        missing = round(frontend.duration * frontend.sample_rate) // frontend.hop_length - features.shape[-1]
        return {"input_features": F.pad(features[:, 0], (0, missing), mode="replicate")}
    if isinstance(frontend, SeamlessMel):
        return _stacked(features[:, 0].transpose(1, 2), frontend.stride, frontend.padding_value)
    if isinstance(frontend, Picture):
        return {"pixel_values": features}
    if isinstance(frontend, Waveform):
        return {"input_values": features}
    raise ModelError(f"no model of transformers takes the features of {type(frontend).__name__}")


def parity(frontend: FrontEnd, extractor, samples: Float[np.ndarray | Tensor, "time"]) -> float:
    """The largest difference between our features and the extractor's for a clip, as a share of the range of the extractor's.

    samples: at the extractor's rate. Infinite where the shapes differ; where the extractor's answer is one number all over, the
    difference itself.
    """
    clip = torch.as_tensor(samples, dtype=torch.float32).cpu()
    key = extractor.model_input_names[0]
    theirs = np.asarray(extractor(clip.numpy(), sampling_rate=extractor.sampling_rate, return_tensors="np")[key])
    device = next((buffer.device for buffer in frontend.buffers()), clip.device)
    with torch.no_grad():
        ours = model_inputs(frontend, frontend(clip[None].to(device)))[key].cpu().numpy()
    if ours.shape != theirs.shape:
        return math.inf
    return float(np.abs(ours - theirs).max() / (np.ptp(theirs) or 1.0))


def _stacked(x: Float[Tensor, "batch frames bands"], stride: int, padding_value: float) -> dict[str, Tensor]:
    """`[B, columns, stride x bands]` and the mask; the extractor fills up to an even number, then drops what makes no column."""
    batch, frames, bands = x.shape
    x = F.pad(x, (0, 0, 0, frames % 2), value=padding_value)
    columns = x.shape[1] // stride
    stacked = x[:, : columns * stride].reshape(batch, columns, stride * bands)
    heard = torch.arange(columns, device=x.device) * stride + min(1, stride - 1) < frames
    return {"input_features": stacked, "attention_mask": heard.long().expand(batch, columns)}


def _axes(hertz: np.ndarray, seconds: np.ndarray) -> tuple[Axis, ...]:
    return Axis("frequency", "Hz", tuple(hertz)), Axis("time", "s", tuple(seconds))


def _enough(n_samples: int, needed: int) -> None:
    if n_samples < needed:
        raise InputError(f"the clip is too short: it has {n_samples} samples, and the model needs {needed} or more")


def _only(extractor, **expected: object) -> None:
    """Raise a `ModelError` for the first setting that cannot be rebuilt."""
    for name, value in expected.items():
        if (came := getattr(extractor, name, value)) != value:
            raise ModelError(
                f"{type(extractor).__name__} with {name}={came!r} has no front end, only with {value!r}: change the setting, or "
                "ask the model as ew.BlackBox"
            )
