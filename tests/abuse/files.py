"""All hostile files by name; each builder takes no argument and returns the file's bytes."""

from collections.abc import Callable

from tests.abuse.archives import ARCHIVES
from tests.abuse.pictures import PICTURES

FILES: dict[str, Callable[[], bytes]] = {**PICTURES, **ARCHIVES}
