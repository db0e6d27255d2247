import gc
import weakref
from pathlib import Path
from shutil import copyfile

import pytest

from api.app import create_app
from api.server.memory import freeze_objects
from api.server.reload import RefusedCheckpointProblem, ReloadingProblem, request_reload
from api.service import Service
from api.settings import load_settings
from model import SHIPPED


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return Path(copyfile(SHIPPED, tmp_path / "served.pth"))


@pytest.fixture
def service(model: Path) -> Service:
    app = create_app(load_settings(model=str(model), device="cpu", output_dir=str(model.parent)))
    found = app.extensions["cifake"]
    assert isinstance(found, Service)
    return found


def test_a_reload_serves_the_new_file_and_tells_the_other_workers(
    service: Service, model: Path, other_checkpoint: Path
) -> None:
    told: list[str] = []
    service.signal_workers = lambda: told.append(service.predictor.metadata.digest)
    before = service.predictor
    other_checkpoint.replace(model)
    reload = request_reload(service)
    assert reload == (before.metadata.digest, service.predictor.metadata.digest)
    assert service.predictor.metadata.recipe["name"] == "others"
    assert told == [reload.after]
    assert request_reload(service) == (reload.after, reload.after)  # the same file again


def test_the_former_model_is_freed_although_its_objects_are_frozen(
    service: Service, model: Path, other_checkpoint: Path
) -> None:
    former = weakref.ref(service.predictor)
    try:
        freeze_objects()
        other_checkpoint.replace(model)
        request_reload(service)
        gc.collect()
        assert former() is None
    finally:
        gc.unfreeze()


def test_a_refused_reload_changes_nothing(service: Service, model: Path) -> None:
    service.signal_workers = lambda: pytest.fail("the others must not reload")
    before = service.predictor
    for damage in (lambda: model.write_bytes(b"noise"), model.unlink):
        damage()
        with pytest.raises(RefusedCheckpointProblem, match=r"^nothing is changed: .*served\.pth") as problem:
            request_reload(service)
        assert problem.value.status == 422
        assert service.predictor is before


def test_one_reload_at_a_time(service: Service) -> None:
    with service.reload_lock, pytest.raises(ReloadingProblem) as problem:
        request_reload(service)
    assert problem.value.status == 409
