"""What people mean by LSE: each published way from a file to the two numbers, step by step, and our corrected one."""

from __future__ import annotations

from dataclasses import dataclass

from syncnet.errors import InputError
from syncnet.score import Pairs

ARITHMETIC = (
    "windows of 5 frames and 20 MFCC columns, one per frame; the shorter stream in frames, less 5 (one fewer than fit)",
    "distances (p = 2, eps 1e-6) to the sound shifted by -15 ... +15 frames; past its ends a vector of zeros, which "
    "counts in the mean",
    "LSE-D = smallest mean distance over the 31 shifts; LSE-C = median (torch: the lower middle) minus smallest; "
    "reference offset = 15 - index of the smallest, positive = audio leads",
)
SOUND = "sound as 16 bits, mono, 16 kHz, from the first picture on; MFCC of python_speech_features at its defaults"
JPEG = "every picture through JPEG at ffmpeg's default quality (200 kbit/s), read back by OpenCV as BGR, 0 to 255"
CROPS = (
    "boxes and cuts from our own finders in place of S3FD and PySceneDetect (hence own-faces in the recipe's id)",
    "within a shot, greedy tracks by overlap > 0.5, gaps up to 25 frames, straight lines over them; longer side > 100 "
    "pixels on average",
    "square of 2.8 half-sides, centre 0.4 half-sides below that of the box, both median-filtered over 13 frames, "
    "grey 110 past the edges, 224 x 224 bilinear, MPEG-4 as OpenCV writes XVID",
)


@dataclass(frozen=True)
class Recipe:
    """One way from a file to LSE-D and LSE-C.

    `name`: on the command line; `id`: in results, with a version that changes with any step. `min_track`: frames, a
    face track must have more detections; None: the whole picture, no faces. `min_face`: pixels, likewise.
    `native_rate`: pictures at the file's own rate instead of 25 a second. `lossy`: with the release's JPEG and MPEG-4
    copies. `pairs`: what the mean takes in; `Pairs.VALID` also scores the last window and keeps the sound unrounded.
    """

    name: str
    id: str
    title: str
    steps: tuple[str, ...]
    min_track: int | None
    min_face: float
    native_rate: bool
    lossy: bool
    pairs: Pairs

    @property
    def corrected(self) -> bool:
        """Whether this is our own recipe and none that others have published figures with."""
        return self.pairs is Pairs.VALID


RECIPES = {
    recipe.name: recipe
    for recipe in (
        Recipe(
            name="wav2lip-lrs",
            id="wav2lip-lrs@1",
            title="Wav2Lip's calculate_scores_LRS.py: the whole picture, no face finder; mean over clips",
            steps=(
                "pictures at the file's own rate, in order; frame i is taken to be at i / 25 s whatever that rate is",
                JPEG,
                "the whole picture squeezed to 224 x 224 (bilinear), no crop",
                SOUND,
                *ARITHMETIC,
                "set: unweighted mean over the clips that could be scored",
            ),
            min_track=None,
            min_face=0.0,
            native_rate=True,
            lossy=True,
            pairs=Pairs.PADDED,
        ),
        Recipe(
            name="wav2lip-real",
            id="wav2lip-real+own-faces@1",
            title="Wav2Lip's calculate_scores_real_videos.sh: every face track of more than 100 detections by itself",
            steps=(
                "pictures at 25 per second by nearest presentation time",
                *CROPS,
                JPEG,
                SOUND,
                *ARITHMETIC,
                "tracks of more than 100 detections, one row each; set: unweighted mean over all rows (the release "
                "prints the rows and leaves the mean to the reader)",
            ),
            min_track=100,
            min_face=100.0,
            native_rate=False,
            lossy=True,
            pairs=Pairs.PADDED,
        ),
        Recipe(
            name="latentsync",
            id="latentsync+own-faces@1",
            title="LatentSync's eval_sync_conf.py: face tracks of more than 50 detections, mean over a clip's tracks",
            steps=(
                "pictures at 25 per second by nearest presentation time",
                *CROPS,
                JPEG,
                SOUND + " (without the AAC copy that this release makes of each track's sound)",
                *ARITHMETIC,
                "clip: mean over its tracks of more than 50 detections, the offset's mean cut down to a whole number; "
                "set: mean over clips (the release prints confidence and offset; the mean distance is ours)",
            ),
            min_track=50,
            min_face=100.0,
            native_rate=False,
            lossy=True,
            pairs=Pairs.PADDED,
        ),
        Recipe(
            name="ours",
            id="ours@1",
            title="corrected: faces as decoded, time by the container's clock, the mean over real pairs only",
            steps=(
                "pictures at 25 per second by nearest presentation time, sound from the same clock, nothing re-encoded",
                "faces as in wav2lip-real, but from 40 pixels and 25 detections on",
                "MFCC as in the release; every window of 5 frames and 20 columns",
                "distances as in the release, but a shift's mean takes only windows whose partner exists, at least 5",
                "D = smallest mean distance; C = median minus smallest",
                "clip: mean over tracks weighted by their windows; set: mean over clips",
            ),
            min_track=25,
            min_face=40.0,
            native_rate=False,
            lossy=False,
            pairs=Pairs.VALID,
        ),
    )
}


def recipe_named(name: str) -> Recipe:
    """The recipe of that name. Raises InputError naming those there are."""
    try:
        return RECIPES[name]
    except KeyError:
        raise InputError(f"There is no recipe {name!r}; known are: {', '.join(RECIPES)}.") from None
