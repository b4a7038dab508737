"""Published accuracies of the sets that the lab knows by their labels, to stand beside its own, with what differs.

Source: Piczak (2015), "ESC: Dataset for Environmental Sound Classification", for ESC-10; Warden (2018), "Speech Commands", and
Gong, Chung, Glass (2021), "AST: Audio Spectrogram Transformer", for Speech Commands. `docs/references.md` has them in full.
"""

from collections.abc import Sequence

import pandas as pd

from earwitness.studies.own_lab.material import matched

ESC10 = "chainsaw clock_tick crackling_fire crying_baby dog helicopter rain rooster sea_waves sneezing".split()
COMMANDS = "down go left no off on right silence stop unknown up yes".split()
PUBLISHED = (
    (
        ESC10,
        "random forest on MFCC and zero crossings (Piczak 2015)",
        0.727,
        "mean of five folds; 44.1 kHz; another classifier",
    ),
    (ESC10, "people (Piczak 2015)", 0.957, "untrained listeners, over the internet"),
    (COMMANDS, "convolutional network (Warden 2018)", 0.882, "learnt from version 2, a set of 105,829 recordings"),
    (
        COMMANDS,
        "AST-B (Gong and others 2021)",
        0.981,
        "35 words, not 12; the whole set; 87 million weights, pretrained on pictures",
    ),
)


def published_for(labels: Sequence[str], accuracy: float, recordings: int) -> pd.DataFrame:
    """A row for each published accuracy of the set that has these labels, behind one of our own; none of an unknown set.

    accuracy: ours.  recordings: of known label that it is measured on.
    """
    rows = [
        {"what": what, "accuracy": value, "what_differs": differs}
        for names, what, value, differs in PUBLISHED
        if len(labels) == len(names) and all(matched(names, labels, lenient=True).values())
    ]
    ours = {"what": "here", "accuracy": accuracy, "what_differs": f"{recordings} recordings"}
    return pd.DataFrame([ours, *rows] if rows else [], columns=["what", "accuracy", "what_differs"])
