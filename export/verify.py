"""Model files run beside the trained network, at export and at any time later."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import ContractError, MissingPackageError, ModelFileError, UserError
from ..files import sha256_file
from ..model_templates.catalogue import template_names, template_path
from ..model_templates.contract import Contract
from ..runtimes import DEFAULT_RUNTIMES, load
from ..runtimes.model import Model
from ..runtimes.session import Outputs
from .certificate import Certificate, answers_in, certify, read_certificate
from .comparison import answers_of, compare, raw_outputs
from .photos import Photo, photos_for
from .report import Verified

if TYPE_CHECKING:
    from ..models.network import Network

_SUFFIXES = tuple(suffix for suffix, runtime in DEFAULT_RUNTIMES.items() if runtime != "torch")


@dataclass(frozen=True, eq=False)
class Reference:
    """The trained network's answers.

    Attributes:
        contract: Its contract, of any format.
        photos: What it was asked.
        outputs: Its raw answers.
        answers: Those that a user would see; see `answers_of`.
    """

    contract: Contract
    photos: Sequence[Photo]
    outputs: Sequence[Outputs]
    answers: Sequence[Outputs]

    def without_crowds(self) -> Reference:
        """The same, for files that leave NMS to the runtime."""
        kept = [index for index, photo in enumerate(self.photos) if not photo.is_crowd]
        return Reference(
            self.contract,
            [self.photos[index] for index in kept],
            [self.outputs[index] for index in kept],
            [self.answers[index] for index in kept],
        )


def reference_for(network: Network, contract: Contract, *, photos: Path | None = None) -> Reference:
    """Ask a network, in evaluation mode on the CPU, all that files will be asked.

    Args:
        network: The trained one.
        contract: That describes it.
        photos: A folder of photos; see `check_photos`.

    Raises:
        UserError: There is no such folder, or no photo in it.
    """
    from ..runtimes.torch import session_of

    network.eval()
    pictures = photos_for(contract, photos)
    session = session_of(network, contract)
    model = Model(contract=contract, session=session, path=Path(contract.name))
    outputs = raw_outputs(model, [photo.pixels for photo in pictures])
    answers = [answers_of(contract, one) for one in outputs]
    return Reference(contract, pictures, outputs, answers)


def check(path: Path, reference: Reference) -> tuple[Contract, Certificate]:
    """Run a model file, opened as a user opens it, beside the network's answers.

    Returns:
        The file's own contract; and its certificate, not yet written.

    Raises:
        ContractError, ModelFileError: `load` refuses the file, or its contract promises other
            answers than the network gives.
        MissingPackageError: Its runtime is not installed.
    """
    model = load(path)
    if model.contract.nms == "runtime":
        reference = reference.without_crowds()
    trained = reference.contract
    for name, said, true in (
        ("labels", model.contract.labels, trained.labels),
        ("landmarks of an aligned face", model.contract.input.points, trained.input.points),
    ):
        if said != true:
            raise ContractError(f"{path}: its {name} are {said}; the trained network's are {true}")
    images = [photo.pixels for photo in reference.photos]
    return model.contract, certify(
        path,
        model.contract,
        runtime=model.session.runtime,
        found=compare(trained, reference.outputs, model, images),
        photos=reference.photos,
        answers=reference.answers,
    )


def verify_files(
    paths: Sequence[Path], *, weights: Path | None = None, photos: Path | None = None
) -> list[Verified]:
    """Verify model files again, here; the certificates on disk stay as they are.

    A file is compared with the trained network where its checkpoint is at hand: `weights`, or
    the weights that ship with its template. Elsewhere it is compared with what the certificate
    beside it says that the network answered, on photos that are at hand.

    Args:
        paths: Model files, or folders of them.
        weights: The checkpoint that the files were made from.
        photos: A folder of photos; see `check_photos`.

    Raises:
        UserError: No such file, no model file in a folder, a file made from other weights.
        ModelFileError: The checkpoint is missing or damaged.
    """
    files = [file for path in paths for file in _model_files_in(path)]
    if weights is not None and find_spec("torch") is not None:
        from ..models.weights import read_weights

        read_weights(weights)  # what is wrong with it is not wrong with the files
    known: dict[str, Reference | None] = {}
    return [_verify(file, weights, photos, known) for file in files]


def _model_files_in(path: Path) -> list[Path]:
    if path.suffix == ".bin":
        path = path.with_suffix(".xml")
    if not path.exists():
        raise UserError(f"{path}: no such file or folder")
    if path.suffix in _SUFFIXES or path.is_file():
        return [path]
    found = sorted(file for file in path.iterdir() if file.suffix in _SUFFIXES)
    if not found:
        raise UserError(f"{path}: holds no model file ({', '.join(_SUFFIXES)})")
    return found


def _verify(
    path: Path,
    weights: Path | None,
    photos: Path | None,
    known: dict[str, Reference | None],
) -> Verified:
    try:
        model = load(path)
        if model.contract.compression is not None:
            # Its promise is about accuracy on many photos, not about numbers.
            return Verified(path, "not verified", reason="compressed: compression.md says how good")
        reference = _reference_of(model, weights, photos, known)
        if reference is None:
            return _by_certificate(model, photos)
        _, certificate = check(path, reference)
    except (ModelFileError, ContractError) as error:
        return Verified(path, "failed", reason=str(error))
    except MissingPackageError as error:
        return Verified(path, "not verified", reason=str(error))
    except UserError as error:
        if weights is not None or photos is not None:
            raise  # these concern all files
        return Verified(path, "not verified", reason=str(error))
    except Exception as error:  # of a runtime, which raises whatever it likes
        reason = textwrap.shorten(f"{type(error).__name__}: {error}", 200)
        return Verified(path, "failed", reason=reason)
    return Verified(path, certificate.status, certificate=certificate, reason=certificate.reason)


def _reference_of(
    model: Model, weights: Path | None, photos: Path | None, known: dict[str, Reference | None]
) -> Reference | None:
    """The network's answers to what this file is to be asked, which files of one export share."""
    contract = model.contract
    spec = contract.input
    asked = (spec.height, spec.width, spec.resize, spec.pad_value)
    judged = (contract.score_threshold, contract.nms_iou)
    key = repr((contract.provenance.checkpoint_sha256, asked, judged))
    if key not in known:
        known[key] = _reference_from_weights(contract, model.path, weights, photos)
    return known[key]


def _reference_from_weights(
    contract: Contract, path: Path, weights: Path | None, photos: Path | None
) -> Reference | None:
    """The network that a file was made from; None where it, or PyTorch, is not at hand."""
    if find_spec("torch") is None:
        if weights is not None:
            raise MissingPackageError("torch")
        return None
    from ..models.weights import build_network, contract_for, read_weights, shipped_weights

    checkpoint = contract.provenance.checkpoint_sha256
    if weights is None and contract.provenance.template in template_names():
        weights = shipped_weights(template_path(contract.provenance.template))
        if weights is None or sha256_file(weights) != checkpoint:
            return None
    if weights is None:
        return None
    read = read_weights(weights)
    if read.sha256 != checkpoint:
        raise UserError(
            f"--load-weights {weights}: has SHA-256 {read.sha256}, but {path} was made from "
            f"{checkpoint}"
        )
    # Size, look and thresholds may come from another template than that inside the weights.
    spec, template = contract.input, read.template
    size = template.input.model_copy(update={"height": spec.height, "width": spec.width})
    described = contract_for(template.model_copy(update={"input": size}), weights=read)
    look = described.input.model_copy(update={"resize": spec.resize, "pad_value": spec.pad_value})
    described = described.model_copy(
        update={
            "input": look,
            "score_threshold": contract.score_threshold,
            "nms_iou": contract.nms_iou,
        }
    )
    return reference_for(build_network(read), described, photos=photos)


def _by_certificate(model: Model, photos: Path | None) -> Verified:
    """Compare a file with the answers that the certificate beside it remembers."""
    path = model.path
    try:
        certificate = read_certificate(path)
    except ModelFileError as error:
        return Verified(path, "not verified", reason=str(error))
    if certificate is None:
        reason = "its checkpoint is not at hand, nor a certificate beside it"
        return Verified(path, "not verified", reason=reason)
    if certificate.checkpoint_sha256 != model.contract.provenance.checkpoint_sha256:
        reason = "the certificate beside it is that of another checkpoint's file"
        return Verified(path, "not verified", reason=reason)
    answers = answers_in(certificate)
    pictures = [photo for photo in photos_for(model.contract, photos) if photo.sha256 in answers]
    if all(photo.is_noise for photo in pictures):
        reason = (
            "neither its checkpoint nor the photos of the certificate beside it are at hand (those "
            "of an export without --photos are in the packages matplotlib and scikit-image)"
        )
        return Verified(path, "not verified", reason=reason)
    known = [answers[photo.sha256] for photo in pictures]
    images = [photo.pixels for photo in pictures]
    made = certify(
        path,
        model.contract,
        runtime=model.session.runtime,
        found=compare(model.contract, known, model, images, faces_only=True),
        against="certificate",
        photos=pictures,
        answers=known,
    )
    return Verified(path, made.status, certificate=made, reason=made.reason)
