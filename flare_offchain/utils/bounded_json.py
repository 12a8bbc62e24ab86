"""JSON from bytes that nobody vouches for.

`json.loads` recurses in C. py-evm raises Python's recursion limit so far that deep nesting overflows the stack, which
ends the process, before the limit is reached. So the depth is counted first.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

MAX_DEPTH = 64
_TOKENS = re.compile(r'"(?:[^"\\]|\\.)*"?|[\[{]|[\]}]', re.DOTALL)


def load_json(
    text: str | bytes | bytearray,
    *,
    max_depth: int = MAX_DEPTH,
    object_pairs_hook: Callable[[list[tuple[str, Any]]], Any] | None = None,
) -> Any:
    """Decode one JSON value.

    Args:
        text: UTF-8; the caller has bounded its length.
        max_depth: how deep arrays and objects may nest.
        object_pairs_hook: see `json.loads`.

    Raises:
        ValueError: not JSON, not UTF-8, or nested too deep.
    """
    if not isinstance(text, str):
        text = text.decode()
    depth = 0
    for match in _TOKENS.finditer(text):
        first = match.group()[0]
        if first in "[{":
            depth += 1
            if depth > max_depth:
                raise ValueError(f"JSON is nested more than {max_depth} deep")
        elif first in "]}":
            depth -= 1
    try:
        return json.loads(text, object_pairs_hook=object_pairs_hook)
    except RecursionError as error:
        raise ValueError("JSON is nested too deep") from error
