"""Text for a terminal: control characters of documents and of servers' messages are shown instead of obeyed."""

from __future__ import annotations

import re

#: C0 and C1 control characters but tab and newline, and the characters that change the direction of text (Trojan Source,
#: CVE-2021-42574). Each could move the cursor, change the title or the clipboard, or show text in another order.
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def escape_controls(text: str) -> str:
    r"""Return the text with each control character replaced by its Python escape, such as `\x1b` for ESC."""
    return _CONTROLS.sub(lambda match: _escape(match[0]), text)


def _escape(character: str) -> str:
    code = ord(character)
    return "\\r" if character == "\r" else f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}"
