"""API keys and the file that lists them: names, roles and SHA-256 digests, never the keys."""

import hashlib
import json
import re
import secrets
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from model.files import atomic_write

PREFIX = "cifake_"  # tells people and secret scanners what such a text is
KEY_BYTES = 32
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
MAX_FILE_BYTES = 1 << 20

Role = Literal["user", "admin"]


class KeyFileError(ValueError):
    """The file of keys cannot be read, or not be changed as asked for; the message is a sentence."""


class Key(BaseModel):
    """What the file says of a key. sha256: of the whole key, in 64 lower-case hexadecimal digits.

    A plain SHA-256 is right for keys of 256 random bits: they cannot be guessed, so that a slow or salted
    hash, which makes guessing the passwords of people dear, would only make each request dearer.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, Field(pattern=f"^{NAME.pattern}$")]
    role: Role
    created: AwareDatetime
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]

    @classmethod
    def new(cls, name: str, role: Role) -> tuple[Self, str]:
        """A new key: what the file says of it, and the key itself, which is kept nowhere.

        Raises KeyFileError for a name that is not 1 to 64 letters, digits, `.`, `_` and `-`.
        """
        if not NAME.fullmatch(name):
            raise KeyFileError(
                f"a key's name is 1 to 64 of the letters a to z, digits, `.`, `_` and `-`, not {name!r}"
            )
        text = PREFIX + secrets.token_urlsafe(KEY_BYTES)
        created = datetime.now(UTC).replace(microsecond=0)
        return cls(name=name, role=role, created=created, sha256=digest(text)), text


KEYS = TypeAdapter(list[Key])


def digest(key: str) -> str:
    """The SHA-256 by which a key is found, in hexadecimal digits."""
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()


def read_keys(path: Path) -> list[Key]:
    """The keys that a file lists. Raises KeyFileError."""
    try:
        if not path.is_file():
            raise KeyFileError("there is no such file; `python -m api.keys new NAME --file FILE` makes it")
        with path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise KeyFileError(f"it cannot be read: {error.strerror}") from error
    if len(data) > MAX_FILE_BYTES:
        raise KeyFileError(f"it has more than {MAX_FILE_BYTES} bytes: it is not a file of keys")
    try:
        keys = KEYS.validate_json(data)
    except ValidationError as error:
        # Without what pydantic quotes of the file: it may be a key.
        first = error.errors(include_input=False, include_url=False, include_context=False)[0]
        message = first["msg"][:1].lower() + first["msg"][1:]
        place = ", ".join(_place(part) for part in first["loc"])
        raise KeyFileError(f"it is not a file of keys: {place or 'file'}: {message}") from None
    for values in ([key.name for key in keys], [key.sha256 for key in keys]):
        if len(set(values)) < len(values):
            raise KeyFileError("a name or a key is in it twice: remove one of them")
    return keys


def write_keys(path: Path, keys: list[Key]) -> None:
    """Replace the file at once by one that only its owner may read and write. Raises OSError."""
    lines = ",\n".join(json.dumps(key) for key in KEYS.dump_python(keys, mode="json"))
    with atomic_write(path, mode=0o600) as file:
        file.write(f"[\n{lines}\n]\n".encode())


def _place(part: int | str) -> str:
    if isinstance(part, int):
        return f"entry {part + 1}"
    return part if part in Key.model_fields else "another member"
