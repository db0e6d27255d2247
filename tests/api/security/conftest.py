from pathlib import Path
from typing import NamedTuple

import pytest

from api.security.key_file import Key, write_keys


class Keys(NamedTuple):
    """A file of two keys, and these."""

    path: Path
    user: str
    admin: str


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    path = tmp_path_factory.mktemp("keys") / "keys.json"
    (alice, user), (root, admin) = Key.new("alice", "user"), Key.new("root", "admin")
    write_keys(path, [alice, root])
    return Keys(path, user, admin)
