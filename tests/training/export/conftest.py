from typing import Any

import pytest


@pytest.fixture
def onnx() -> Any:
    return pytest.importorskip("onnx")


@pytest.fixture
def onnxruntime(onnx: Any) -> Any:
    return pytest.importorskip("onnxruntime")
