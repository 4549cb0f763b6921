"""Sound in memory."""

import numpy as np
import numpy.typing as npt

Sound = npt.NDArray[np.float32]
"""Mono samples, -1 to 1, of shape (n,)."""
