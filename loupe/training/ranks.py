"""Training on several processes: joining them, and averaging their gradients. Alone, all of it does nothing."""

import os
from collections.abc import Iterable

import torch
from torch import Tensor, distributed


def join() -> tuple[int, int]:
    """Join the processes that torchrun started; returns this one's rank and their number."""
    if "RANK" in os.environ and not distributed.is_initialized():
        distributed.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
    return rank(), world()


def rank() -> int:
    return distributed.get_rank() if distributed.is_initialized() else 0


def world() -> int:
    return distributed.get_world_size() if distributed.is_initialized() else 1


def total(value: float, device: torch.device | str = "cpu") -> float:
    """The sum of a number over all processes."""
    if world() == 1:
        return value
    tensor = torch.tensor([value], dtype=torch.float64, device=device)
    distributed.all_reduce(tensor)
    return float(tensor)


def sum_gradients(parameters: Iterable[Tensor]) -> None:
    """Replace every gradient by its sum over all processes; one without a gradient counts as zero."""
    if world() == 1:
        return
    held = [p for p in parameters if p.requires_grad]
    grads = [p.grad if p.grad is not None else torch.zeros_like(p) for p in held]
    flat = torch.cat([grad.flatten() for grad in grads])
    distributed.all_reduce(flat)
    for parameter, piece in zip(held, torch.split(flat, [p.numel() for p in held]), strict=True):
        parameter.grad = piece.view_as(parameter)
