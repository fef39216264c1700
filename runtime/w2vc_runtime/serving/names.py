"""What clients call things: names that fit a URL."""

from __future__ import annotations

import re

from w2vc_runtime.errors import OptionError

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,127}")


def named(text: str) -> tuple[str, str]:
    """The name and the path of ``NAME=PATH``; raise `OptionError`."""
    name, separator, path = text.partition("=")
    if not (separator and path and NAME.fullmatch(name)):
        raise OptionError(f"{text!r} is not NAME=PATH, with letters, digits, '.', '_' or '-' in its name")
    return name, path
