"""Lets torchvision of PyPI, which is built for CUDA, be imported beside a torch for CPUs.

Its compiled operators do not load there, and what is registered on top of them would fail. vLLM and transformers want
its Python parts alone. Every Python that has this folder on PYTHONPATH runs this file at its start.
"""

import sys
from importlib.abc import MetaPathFinder
from typing import Any


class DeclareOperators(MetaPathFinder):
    """Declares the operators just before torchvision is imported."""

    def find_spec(self, name: str, path: Any, target: Any = None) -> None:
        if name == "torchvision":
            sys.meta_path.remove(self)
            import torch

            for operator in ("nms", "qnms"):
                torch.library.define(
                    f"torchvision::{operator}", "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
                )


sys.meta_path.insert(0, DeclareOperators())
