"""Muon (Jordan et al. 2024) in the arithmetic that is fast on a device."""

from __future__ import annotations

from typing import Any

import torch
from pytorch_optimizer import Muon
from pytorch_optimizer.optimizer.utils import zero_power_via_newton_schulz_5
from torch import Tensor


class DeviceMuon(Muon):
    """The library's Muon, whose matrices are made orthogonal in 16 bits; in float32 on processors.

    Most processors have no arithmetic of bfloat16, and multiply its matrices many times slower.
    """

    @staticmethod
    def _orthogonalize(group: dict[str, Any], updates: list[Tensor]) -> list[Tensor]:
        if updates[0].device.type != "cpu":
            orthogonal: list[Tensor] = Muon._orthogonalize(group, updates)
            return orthogonal
        return [
            zero_power_via_newton_schulz_5(
                update.flatten(1),
                num_steps=group["ns_steps"],
                weights=group["ns_coeffs"],
                dtype=torch.float32,
            )
            for update in updates
        ]
