"""Compare model files with the trained network, at export or later."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..data.pictures import NOISE, Picture
from ..errors import ContractError, MissingPackageError, ModelFileError, UserError
from ..model_templates.contract import Contract
from ..runtimes import DEFAULT_RUNTIMES, check_kind, models_at
from ..runtimes.session import Outputs
from ..tasks import task_of
from ..tasks.comparison import raw_outputs
from ..tasks.describe import contract_for
from ..tasks.load import load
from ..tasks.measuring import Progress
from ..tasks.model import Model
from ..tasks.named import model_path
from ..tasks.templates import shipped_template
from ..tasks.weights import Given, open_weights
from .certificate import Certificate, answers_in, certify, read_certificate
from .report import Verified

if TYPE_CHECKING:
    from ..models.network import Network
    from ..models.weights import Weights

_SUFFIXES = tuple(suffix for suffix, runtime in DEFAULT_RUNTIMES.items() if runtime != "torch")


@dataclass(frozen=True, eq=False)
class Reference:
    """The trained network's answers.

    Attributes:
        contract: The network's contract, for any format.
        pictures: The pictures that the network was run on.
        outputs: Its raw outputs for each picture.
        answers: The answers that a user would see; see `Parity.answers_of`.
    """

    contract: Contract
    pictures: Sequence[Picture]
    outputs: Sequence[Outputs]
    answers: Sequence[Outputs]

    def for_file(self, contract: Contract) -> Reference:
        """The part of the reference that a file with this contract is compared with."""
        is_for = task_of(contract.task).parity.is_for
        kept = [i for i, picture in enumerate(self.pictures) if is_for(contract, picture)]
        return Reference(
            self.contract,
            [self.pictures[index] for index in kept],
            [self.outputs[index] for index in kept],
            [self.answers[index] for index in kept],
        )


def reference_for(network: Network, contract: Contract, *, photos: Path | None = None) -> Reference:
    """Run a network, in eval mode on the CPU, on all pictures that files will be run on.

    Args:
        network: The trained network.
        contract: The contract that describes it.
        photos: A folder of photos; see `data.pictures.check_photos`.

    Raises:
        UserError: The folder does not exist, or has no photo.
    """
    from ..runtimes.torch import session_of

    network.eval()
    task, spec = task_of(contract.task), contract.input
    pictures = task.parity.pictures(contract, photos)
    shapes = {output.name: output.shape for output in contract.outputs}
    session = session_of(network, shapes, size=(spec.height, spec.width))
    model = task.model.make(contract=contract, session=session, path=Path(contract.name))
    outputs = raw_outputs(model, [picture.pixels for picture in pictures])
    answers = [task.parity.answers_of(contract, one) for one in outputs]
    return Reference(contract, pictures, outputs, answers)


def check(path: Path, reference: Reference) -> tuple[Contract, Certificate]:
    """Open a model file as a user does, run it, and compare it with the network's answers.

    Returns:
        The file's contract, and its certificate, not yet written.

    Raises:
        ContractError, ModelFileError: `load` refuses the file, or its contract has other outputs
            than the network.
        MissingPackageError: Its runtime is not installed.
    """
    model = load(path)
    reference = reference.for_file(model.contract)
    trained = reference.contract
    task = task_of(trained.task)
    rules = [
        (key, model.contract.rules.get(key), trained.rules.get(key)) for key in task.rules.TRAINED
    ]
    for name, said, true in (
        *rules,
        ("landmarks of an aligned face", model.contract.input.points, trained.input.points),
    ):
        if said != true:
            raise ContractError(
                f"{path}: its {name} are {said!s:.200}; the trained network's are {true!s:.200}"
            )
    images = [picture.pixels for picture in reference.pictures]
    parity = task.parity
    return model.contract, certify(
        path,
        model.contract,
        runtime=model.session.runtime,
        found=parity.compare(trained, reference.outputs, model, images),
        pictures=reference.pictures,
        answers=reference.answers,
    )


def verify_files(
    paths: Sequence[Path],
    *,
    template: Given | None = None,
    weights: Given | None = None,
    photos: Path | None = None,
    on_progress: Progress | None = None,
) -> list[Verified]:
    """Verify model files again on this machine; the certificates on disk stay unchanged.

    A file is compared with the trained network if its checkpoint is available: the one given, or
    the weights that ship with its template. Otherwise it is compared with the network's answers in
    the certificate beside it, on photos that are available.

    Args:
        paths: Model files, folders with model files, or names of templates (see `named`).
        template: The template that describes the checkpoint, which other people's need; see
            `tasks.weights.open_weights`.
        weights: The checkpoint that the files were made from; see there.
        photos: A folder of photos; see `data.pictures.check_photos`.
        on_progress: Called with the number of files done and of all.

    Raises:
        UserError: A file is missing, a folder has no model file, or a file was made from other
            weights; or the template ships none, and none are given.
        ModelFileError: The checkpoint is missing or damaged, or a file is no model file by its
            name.
    """
    files = [file for path in paths for file in _model_files_in(model_path(path))]
    read, given = None, template is not None or weights is not None
    if given and find_spec("torch") is not None:
        # First, as faulty weights are not the files' fault.
        read = open_weights(template, weights)
    verifier = _Verifier(read, photos, needs_torch=given)
    tell = on_progress or (lambda _done, _total: None)
    tell(0, len(files))
    found = []
    for file in files:
        found.append(verifier.verify(file))
        tell(len(found), len(files))
    return found


def _model_files_in(path: Path) -> list[Path]:
    found = models_at(path, _SUFFIXES)
    if not found:
        raise UserError(f"{path}: holds no model file ({', '.join(_SUFFIXES)})")
    if not found[0].exists():
        raise UserError(f"{found[0]}: no such file or folder")
    check_kind(found[0])
    return found


class _Verifier:
    """Verifies files that may share a network, and runs that network once."""

    def __init__(self, weights: Weights | None, photos: Path | None, *, needs_torch: bool) -> None:
        self.weights = weights
        self.photos = photos
        self.needs_torch = needs_torch
        self._known: dict[str, Reference | None] = {}

    def verify(self, path: Path) -> Verified:
        try:
            model = load(path)
            if model.contract.compression is not None:
                # Compression promises accuracy on many photos, not equal numbers.
                reason = "compressed: compression.md says how good"
                return Verified(path, "not verified", reason=reason)
            reference = self._reference_of(model)
            if reference is None:
                return self._by_certificate(model)
            _, certificate = check(path, reference)
        except (ModelFileError, ContractError) as error:
            return Verified(path, "failed", reason=str(error).removeprefix(f"{path}: "))
        except MissingPackageError as error:
            return Verified(path, "not verified", reason=str(error))
        except UserError as error:
            if self.needs_torch or self.photos is not None:
                raise  # the error concerns all files
            return Verified(path, "not verified", reason=str(error))
        except Exception as error:  # runtimes raise any kind of exception
            reason = textwrap.shorten(f"{type(error).__name__}: {error}", 200)
            return Verified(path, "failed", reason=reason)
        return Verified(
            path, certificate.status, certificate=certificate, reason=certificate.reason
        )

    def _reference_of(self, model: Model[Any]) -> Reference | None:
        """The network's answers to compare this file with; None if the network is unavailable."""
        contract, spec = model.contract, model.contract.input
        asked = (spec.height, spec.width, spec.resize, spec.pad_value)
        rules = task_of(contract.task).rules.of_network(contract)
        key = repr((contract.provenance.checkpoint_sha256, asked, rules))
        if key not in self._known:
            weights = self._weights_of(contract, model.path)
            self._known[key] = None
            if weights is not None:
                self._known[key] = _reference_from(weights, contract, self.photos)
        return self._known[key]

    def _weights_of(self, contract: Contract, path: Path) -> Weights | None:
        """The weights that a file was made from: those given, or shipped with its template."""
        checkpoint = contract.provenance.checkpoint_sha256
        if find_spec("torch") is None:
            if self.needs_torch:
                raise MissingPackageError("torch")
            return None
        if self.weights is not None:
            if self.weights.sha256 != checkpoint:
                raise UserError(
                    f"--load-weights {self.weights.path}: has SHA-256 {self.weights.sha256}, but "
                    f"{path} was made from {checkpoint}"
                )
            return self.weights
        from ..model_templates.catalogue import shipped_weights
        from ..models.weights import read_weights

        template = shipped_template(contract.provenance.template)
        shipped = None if template is None else shipped_weights(template)
        if template is None or shipped is None:
            return None
        assert template.spec.initial_weights is not None
        return read_weights(shipped) if template.spec.initial_weights.sha256 == checkpoint else None

    def _by_certificate(self, model: Model[Any]) -> Verified:
        """Compare a file with the answers in the certificate beside it."""
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
        parity = task_of(model.contract.task).parity
        pictures = [
            picture
            for picture in parity.pictures(model.contract, self.photos)
            if picture.sha256 in answers
        ]
        if all(picture.kind == NOISE for picture in pictures):
            reason = (
                "neither its checkpoint nor the photos of the certificate beside it are at hand "
                "(those of an export without --photos are in the packages matplotlib and "
                "scikit-image)"
            )
            return Verified(path, "not verified", reason=reason)
        known = [answers[picture.sha256] for picture in pictures]
        images = [picture.pixels for picture in pictures]
        made = certify(
            path,
            model.contract,
            runtime=model.session.runtime,
            found=parity.compare(model.contract, known, model, images, answers_only=True),
            against="certificate",
            pictures=pictures,
            answers=known,
        )
        return Verified(path, made.status, certificate=made, reason=made.reason)


def _reference_from(weights: Weights, contract: Contract, photos: Path | None) -> Reference:
    """Run the network behind a file on the pictures for that file."""
    from ..models.weights import build_network

    # Size, resizing and rules may come from another template than that inside the weights.
    spec, template = contract.input, weights.template
    size = template.input.model_copy(update={"height": spec.height, "width": spec.width})
    described = contract_for(template.model_copy(update={"input": size}), weights=weights)
    look = described.input.model_copy(update={"resize": spec.resize, "pad_value": spec.pad_value})
    rules = task_of(contract.task).rules
    # A file with other labels than its network must not pass.
    theirs = {key: described.rules[key] for key in rules.TRAINED if key in described.rules}
    of_file = rules.of_network(contract)
    rest = {key: value for key, value in of_file.items() if key not in rules.TRAINED}
    described = described.model_copy(update={"input": look, "rules": rest | theirs})
    return reference_for(build_network(weights), described, photos=photos)
