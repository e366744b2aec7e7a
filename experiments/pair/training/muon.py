"""Muon with batched orthogonalisation for all matrices, AdamW for embeddings, routers and norms.

torch.optim.Muon takes matrices one at a time; here a stack (expert, out, in) is orthogonalised in one batched product,
which on a CPU is several times faster for many small experts.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

# Quintic Newton-Schulz coefficients of the original Muon (Jordan et al., 2024): steep at zero, results near 1.
NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)
STEPS = 4  # five are usual; the fourth already brings singular values of 1 % of the norm to 1


def orthogonalise(matrices: Tensor) -> Tensor:
    """The nearest semi-orthogonal matrices of a stack (n, out, in), approximately."""
    a, b, c = NEWTON_SCHULZ
    tall = matrices.shape[-2] > matrices.shape[-1]
    x = (matrices.mT if tall else matrices).contiguous()
    x = x / x.norm(dim=(-2, -1), keepdim=True).clamp(min=1e-7)
    for _ in range(STEPS):
        gram = torch.bmm(x, x.mT)
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.mT if tall else x


class Muon(torch.optim.Optimizer):
    """Nesterov momentum whose steps are orthogonalised; parameters are matrices or stacks of them."""

    def __init__(self, parameters, lr: float, momentum: float = 0.95, weight_decay: float = 0.0):
        super().__init__(parameters, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self) -> None:
        for group in self.param_groups:
            for shape in sorted({tuple(p.shape[-2:]) for p in group["params"]}):
                self.step_shape(group, [p for p in group["params"] if tuple(p.shape[-2:]) == shape])

    def step_shape(self, group: dict, parameters: list[Tensor]) -> None:
        """One step for all parameters whose matrices have one shape (mutates them and their momentum)."""
        rows, columns = parameters[0].shape[-2:]
        wanted = torch.cat([self.direction(p, group["momentum"]).view(-1, rows, columns) for p in parameters])
        scale = group["lr"] * max(1.0, rows / columns) ** 0.5
        counts = [p.numel() // (rows * columns) for p in parameters]
        for p, update in zip(parameters, orthogonalise(wanted).split(counts)):
            p.mul_(1 - group["lr"] * group["weight_decay"]).sub_(update.view_as(p), alpha=scale)

    def direction(self, p: Tensor, momentum: float) -> Tensor:
        buffer = self.state[p].setdefault("momentum", torch.zeros_like(p))
        buffer.lerp_(p.grad, 1 - momentum)
        return p.grad.lerp(buffer, momentum)


def create_optimizers(model: nn.Module, matrix_lr: float, other_lr: float, decay: float) -> list[torch.optim.Optimizer]:
    """Muon for the matrices of the layers, AdamW for the rest. Each group remembers its peak rate as `peak_lr`."""
    matrices, others = [], []
    for name, p in model.named_parameters():
        is_matrix = p.dim() >= 2 and not name.endswith(("embed_tokens.weight", "ffn.gate.weight"))
        (matrices if is_matrix else others).append(p)
    optimizers = [
        Muon(matrices, lr=matrix_lr, weight_decay=decay),
        torch.optim.AdamW(others, lr=other_lr, betas=(0.9, 0.95), weight_decay=0.0, fused=True),
    ]
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["peak_lr"] = group["lr"]
    return optimizers


def set_rate(optimizers: list[torch.optim.Optimizer], factor: float) -> None:
    """Sets every group's rate to `factor` (0 to 1) of its peak."""
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = group["peak_lr"] * factor
