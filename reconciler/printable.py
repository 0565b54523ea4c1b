"""Text from outside as text that is safe to print: one function for each form of output.

Names of live systems are data. A collection may be called ``x\\ntouch y``, contain the escape sequence that clears a terminal, or
be shown backwards by one. Every report passes through `escape`, `escape_json` or `quote` where it is written.
"""

from __future__ import annotations

import shlex
import unicodedata

_SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}
_UNPRINTABLE = frozenset({"Cc", "Cf", "Co", "Cn", "Cs", "Zl", "Zp"})
"""Unicode categories that are escaped: control and format characters, such as direction marks, and line separators."""


def escape(text: str) -> str:
    r"""Return a text as one printable line: ``\n`` for a newline, ``\x1b`` for an escape character, ``\u202e`` for a mark.

    Parameters
    ----------
    text : `str`
        Any text. A backslash in it stays as it is, so escaping twice changes nothing.
    """
    if text.isprintable():
        return text
    return "".join(_SHORT.get(sign) or _python_escape(sign) if _is_unprintable(sign) else sign for sign in text)


def escape_json(document: str) -> str:
    r"""Return a JSON document whose strings contain no unprintable character: each becomes ``\u`` and four digits.

    Parameters
    ----------
    document : `str`
        JSON, indented or not. Outside its strings the only control characters are newlines, which stay.
    """
    if document.isascii() and "\x7f" not in document:
        return document
    return "".join(_json_escape(sign) if sign != "\n" and _is_unprintable(sign) else sign for sign in document)


_REPLACED = frozenset('"$`\\!')
"""What bash doesn't take literally in double quotes."""


def quote(word: str) -> str:
    """Quote a word for bash; one with unprintable characters is written as ``$'…'``, byte for byte.

    A word with single quotes, such as a call in Python, is in double quotes if bash finds nothing in it to replace.

    Raises
    ------
    ValueError
        If no command can have such a word, because it contains a null byte or isn't text.
    """
    if "\0" in word:
        raise ValueError("contains a null byte")
    if not any(map(_is_unprintable, word)):
        return f'"{word}"' if "'" in word and not _REPLACED.intersection(word) else shlex.quote(word)
    try:
        content = word.encode("utf-8", "surrogateescape")  # the bytes of a file name that isn't UTF-8
    except UnicodeEncodeError as error:
        raise ValueError("isn't text") from error
    return f"$'{''.join(map(_bash_escape, content))}'"


def _is_unprintable(sign: str) -> bool:
    return sign not in " " and unicodedata.category(sign) in _UNPRINTABLE


def _python_escape(sign: str) -> str:
    code = ord(sign)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _json_escape(sign: str) -> str:
    code = ord(sign)
    if code < 0x10000:
        return f"\\u{code:04x}"
    high, low = divmod(code - 0x10000, 0x400)
    return f"\\u{0xD800 + high:04x}\\u{0xDC00 + low:04x}"


def _bash_escape(byte: int) -> str:
    sign = chr(byte)
    if sign in "\\'":
        return f"\\{sign}"
    return sign if " " <= sign <= "~" else f"\\{byte:03o}"
