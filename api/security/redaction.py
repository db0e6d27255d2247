"""Keeps API keys out of what is written: the log, and the texts of errors."""

import logging
import re

from pythonjsonlogger.json import JsonFormatter

from api.security.key_file import PREFIX

KEY = re.compile(rf"{PREFIX}[A-Za-z0-9_-]{{16,}}")


def redact(text: str) -> str:
    """The text without API keys, in whatever place a client has put them."""
    return KEY.sub(f"{PREFIX}***", text) if PREFIX in text else text


class RedactingFormatter(logging.Formatter):
    """Formats lines of text without API keys."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, and the stack of an error."""
        return redact(super().format(record))


class RedactingJsonFormatter(JsonFormatter):
    """Formats objects without API keys."""

    def format(self, record: logging.LogRecord) -> str:
        """The object, on one line."""
        return redact(super().format(record))
