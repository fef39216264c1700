"""What the numbers of a recipe may be, so that no manifest asks for more than a machine has."""

from __future__ import annotations

from typing import Annotated

from w2vc_runtime.documents.typed import Range

Rate = Annotated[int, Range(1, 192_000)]
"""Hz."""

Filling = Annotated[float, Range(-1e6, 1e6)]
"""What clips are padded with."""

Epsilon = Annotated[float, Range(1e-30, 1)]
"""What keeps a variance from being 0."""
