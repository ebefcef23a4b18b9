"""With which input size a file is opened, if its contract leaves that free."""

from __future__ import annotations

from ..model_templates.contract import Contract
from ..model_templates.input_size import check_multiples

MAX_CONTRACT = 1 << 20
"""Most characters of a contract; ours have a few thousand."""


def size_to_open(
    contract_json: str | None, input_size: tuple[int, int] | None, *, source: str
) -> tuple[Contract, tuple[int, int]] | None:
    """The contract and another input size to open a file with; None for the file's own.

    That of a file whose size is fixed is its own, whatever is asked for: `tasks.load` refuses what
    it does not get.

    Args:
        contract_json: The contract inside the file; None if there is none.
        input_size: Height and width in pixels that are asked for; None for the file's.
        source: The file, for error messages.

    Raises:
        ContractError: The contract does not fit the schema.
        UserError: The contract does not allow the size.
    """
    if input_size is None or not contract_json or len(contract_json) > MAX_CONTRACT:
        return None
    contract = Contract.from_json(contract_json, source=source)
    spec = contract.input
    if spec.multiple_of is None or tuple(input_size) == (spec.height, spec.width):
        return None
    check_multiples(input_size, spec.multiple_of, of=source)
    return contract, input_size
