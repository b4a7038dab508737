"""From the waveform to what the network eats: differentiable, in named steps, with axes in seconds and hertz."""

from earwitness.frontends.base import FrontEnd
from earwitness.frontends.cqt import LogCQT
from earwitness.frontends.extractors import ASTMel, SeamlessMel, WhisperMel
from earwitness.frontends.filterbanks import LogERB, LogMel
from earwitness.frontends.pictures import Picture
from earwitness.frontends.stft import LogSTFT
from earwitness.frontends.waveform import Waveform

__all__ = [
    "ASTMel",
    "FrontEnd",
    "LogCQT",
    "LogERB",
    "LogMel",
    "LogSTFT",
    "Picture",
    "SeamlessMel",
    "Waveform",
    "WhisperMel",
]
