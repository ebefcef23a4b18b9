"""Everything that docs/reports/recognition.md says of a recogniser's accuracy, as Markdown.

    python tools/recognition_figures.py model.xml --lfw lfw.identities.json ../shared/data/lfw/lfw \
        --set "AT&T" att.identities.json ../shared/data/att_faces \
        --groups unlabelled_test.identities.json ../shared/data/face_unlabelled [--roc roc.png]

LFW by its protocol of ten folds, with bootstrap intervals over people; all pairs, rank 1 and open
sets of each `--set`; false matches among strangers of one group, by the tags of `--groups`. With
`--peer NAME` the first argument is the file of a third party's recogniser. `--beside` compares what
other files of the same network decide of LFW's pairs, at the model's thresholds.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pocketface.data.identities import IdentityPhoto, read_identities
from pocketface.evaluation.identification import open_set, rank_one
from pocketface.evaluation.verification import (
    Counts,
    all_pairs,
    counted,
    equal_error_rate,
    fold_accuracy,
    similarities,
    tar_at_far,
    threshold_at,
)
from pocketface.evaluation.verification_bootstrap import tar_intervals
from pocketface.evaluation.verification_groups import differential, false_matches
from pocketface.evaluation.verification_plots import draw_roc
from pocketface.tasks.load import load_as
from pocketface.tasks.recognition.embeddings import embeddings_of
from pocketface.tasks.recognition.measure import FAR, people_of
from pocketface.tasks.recognition.model import FaceRecognizer
from pocketface.tasks.recognition.peers import open_peer

Vectors = NDArray[np.float32]


def main() -> None:
    """Measure, and print tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", type=Path)
    parser.add_argument("--peer", help="its name, if it is a third party's")
    parser.add_argument("--lfw", nargs=2, type=Path, metavar=("LIST", "ROOT"))
    parser.add_argument("--beside", nargs="+", default=[], metavar="FILE")
    parser.add_argument("--set", nargs=3, action="append", metavar=("NAME", "LIST", "ROOT"))
    parser.add_argument("--groups", nargs=2, type=Path, metavar=("LIST", "ROOT"))
    parser.add_argument("--fmr", type=float, default=1e-3, help="of the threshold for groups")
    parser.add_argument("--roc", type=Path, help="PNG for the ROC curves")
    asked = parser.parse_args()
    model = (
        open_peer(asked.peer, asked.model, runtime="openvino", threads=1, device="cpu")
        if asked.peer
        else load_as(FaceRecognizer, asked.model, threads=1)
    )

    def read(
        listed: Path, root: Path
    ) -> tuple[Sequence[IdentityPhoto], NDArray[np.int64], Vectors]:
        content = read_identities([Path(listed)], [Path(root)])
        return content.photos, content.pairs, embeddings_of(model, content.photos)

    curves: dict[str, tuple[Counts, Counts]] = {}
    strict: float | None = None
    if asked.lfw:
        photos, pairs, vectors = read(*asked.lfw)
        curves["LFW"] = lfw(photos, pairs, vectors)
        strict = threshold_at(all_pairs(vectors, people_of(photos))[1], asked.fmr)
        if asked.beside:
            assert isinstance(model, FaceRecognizer)
            decisions(model, similarities(vectors, pairs), asked.beside, photos, pairs)
    for name, listed, root in asked.set or []:
        photos, _, vectors = read(Path(listed), Path(root))
        curves[name] = people_of_a_set(name, photos, vectors)
    if asked.roc and curves:
        draw_roc(curves, asked.roc)
    if asked.groups:
        if isinstance(model, FaceRecognizer):
            strict = model.threshold(max_fmr=asked.fmr)
        if strict is None:
            raise SystemExit("--groups of a third party's recogniser: expected --lfw too")
        photos, _, vectors = read(*asked.groups)
        groups(photos, vectors, strict)


def lfw(
    photos: Sequence[IdentityPhoto], pairs: NDArray[np.int64], vectors: Vectors
) -> tuple[Counts, Counts]:
    """Print the figures of the protocol; its scores."""
    print(f"LFW, {missing(vectors)}:\n")
    return lfw_by_scores(similarities(vectors, pairs), photos, pairs)


def lfw_by_scores(
    scores: NDArray[np.floating], photos: Sequence[IdentityPhoto], pairs: NDArray[np.int64]
) -> tuple[Counts, Counts]:
    """Print the figures of the protocol, of a score for each pair, -1 to 1; the scores."""
    who = people_of(photos)[pairs[:, :2]]
    same = who[:, 0] == who[:, 1]
    genuine, impostor = counted(scores[same]), counted(scores[~same])
    folds = fold_accuracy(scores, same, pairs[:, 2])
    print(f"{len(pairs)} pairs, {len(folds.folds)} folds:\n")
    print(f"accuracy {100 * folds.mean:.2f} ± {100 * (folds.error or 0):.2f} %; by fold "
          + ", ".join(f"{100 * one:.2f}" for one in folds.folds) + "; thresholds "
          f"{min(folds.thresholds):.3f} to {max(folds.thresholds):.3f}\n")  # fmt: skip
    print("| FAR | TAR, % | 95 % interval over people |\n|---|---|---|")
    fars = [far for far in FAR.values() if impostor.sum() * far >= 1]
    for far, interval in zip(fars, tar_intervals(scores, who, fars), strict=True):
        tar = tar_at_far(genuine, impostor, far)
        ends = "" if interval is None else f"{100 * interval[0]:.2f} to {100 * interval[1]:.2f}"
        print(f"| {far:g} | {percent(tar)} | {ends} |")
    print(f"\nequal error rate {percent(equal_error_rate(genuine, impostor))} %\n")
    return genuine, impostor


def decisions(
    model: FaceRecognizer,
    scores: NDArray[np.floating],
    files: Sequence[str],
    photos: Sequence[IdentityPhoto],
    pairs: NDArray[np.int64],
) -> None:
    """Print of each file how many pairs it decides as the model does."""
    rates = (1e-2, 1e-3)
    thresholds = [model.threshold(max_fmr=rate) for rate in rates]
    heads = " | ".join(f"decided alike at {rate:g}, %" for rate in rates)
    print(f"| file | cosines differ by up to | {heads} |\n|---|---|{'---|' * len(rates)}")
    for file in files:
        other = load_as(FaceRecognizer, file, threads=1)
        found = similarities(embeddings_of(other, photos), pairs)
        alike = [((found >= one) == (scores >= one)).mean() for one in thresholds]
        cells = " | ".join(f"{100 * share:.2f}" for share in alike)
        print(f"| {file} | {np.abs(found - scores).max():.1e} | {cells} |", flush=True)
    print()


def people_of_a_set(
    name: str, photos: Sequence[IdentityPhoto], vectors: Vectors
) -> tuple[Counts, Counts]:
    """Print the figures of all pairs of a set; their scores."""
    people = people_of(photos)
    genuine, impostor = all_pairs(vectors, people)
    known = len(set(people[people >= 0].tolist()))
    print(f"{name}, {len(photos)} photos of {known} people, {missing(vectors)}:\n")
    print("| FAR | TAR of all pairs, % | found in an open set (DIR), % |\n|---|---|---|")
    fars = list(FAR.values())[:3]
    opened = open_set(vectors, people, fars)
    for far, rate in zip(fars, opened.rate, strict=True):
        print(f"| {far:g} | {percent(tar_at_far(genuine, impostor, far))} | {percent(rate)} |")
    print(f"\nrank 1 {percent(rank_one(vectors, people))} %, equal error rate "
          f"{percent(equal_error_rate(genuine, impostor))} %; open set: one photo of each of "
          f"{opened.people} people, {opened.known} probes of these, {opened.strangers} of "
          "strangers\n")  # fmt: skip
    return genuine, impostor


def groups(photos: Sequence[IdentityPhoto], vectors: Vectors, threshold: float) -> None:
    """Print the false match rates among strangers of each group, for each kind of tag."""
    kinds = dict.fromkeys(tag.partition("=")[0] for photo in photos for tag in photo.tags)
    print(f"false matches at cosine {threshold:.4f}, {missing(vectors)}:\n")
    print("| group | photos | pairs | false match rate | of all |\n|---|---|---|---|---|")
    strangers = np.full(len(photos), -1)
    (whole,) = false_matches(vectors, strangers, ["all"] * len(photos), threshold=threshold)
    print(f"| all | {whole.photos} | {whole.pairs} | {_rate(whole.fmr)} | 1 |")
    for kind in kinds:
        named = [_of_kind(photo, kind) for photo in photos]
        found = false_matches(vectors, strangers, named, threshold=threshold)
        for one in found:
            share = f"{one.fmr / whole.fmr:.1f}" if one.fmr and whole.fmr else ""
            cells = (one.group, str(one.photos), str(one.pairs), _rate(one.fmr), share)
            print(f"| {' | '.join(cells)} |")
        ratio = differential(found)
        print(f"| {kind}: highest / lowest | | | {'-' if ratio is None else f'{ratio:.1f}'} | |")


def _rate(share: float | None) -> str:
    """A share of 1 in percent; of no pair at all there is none."""
    return "-" if share is None else f"{100 * share:.3f} %"


def _of_kind(photo: IdentityPhoto, kind: str) -> str | None:
    """The group of one kind that a photo is tagged with; years of age in steps."""
    value = next((t.partition("=")[2] for t in photo.tags if t.startswith(f"{kind}=")), None)
    if value is None or not value.isdigit() or kind != "age":
        return None if value is None else f"{kind} {value}"
    years = int(value)
    ends = [0, 3, 10, 20, 40, 60, 200]
    low = max(one for one in ends if one <= years)
    high = min(one for one in ends if one > years)
    return f"age {low:02d} to {high - 1}" if high < 200 else f"age {low} on"


def missing(vectors: Vectors) -> str:
    """How many photos have no face, in words."""
    return f"{int(np.isnan(vectors[:, 0]).sum())} photos without a face"


def percent(share: float | None) -> str:
    """A share of 1 in percent."""
    return "-" if share is None else f"{100 * share:.2f}"


if __name__ == "__main__":
    main()
