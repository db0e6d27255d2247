from dataclasses import replace
from typing import Any

import numpy as np

from model.images.statistics import STATISTICS, image_statistics
from model.ood import MahalanobisDetector, OodFeatures, log_features
from tests.networks import SIZE
from tests.pictures import noise
from tests.training.export.onnx_files import answers, batch, by_torch, content_of, made, with_detector
from training.export.onnx_export import build_model


def test_statistics_of_the_pixels(onnx: Any, onnxruntime: Any) -> None:
    shades = np.arange(0, 256, 256 // SIZE, dtype=np.uint8)[:SIZE, None]
    shaded = np.broadcast_to(shades, (SIZE, SIZE, 3)).astype(np.uint8)
    halves = noise(1, SIZE, SIZE).copy()
    halves[: SIZE // 2] = (250, 20, 30)
    pictures = np.stack(
        [noise(0, SIZE, SIZE), noise(0, SIZE, SIZE) // 32, shaded, shaded.swapaxes(0, 1), halves]
    )
    expected = image_statistics(pictures)
    detector = MahalanobisDetector(np.zeros(len(STATISTICS)), np.eye(len(STATISTICS)), 1)
    model = build_model(with_detector(made()).with_metadata(image_detector=detector))
    model.graph.output.append(onnx.helper.make_tensor_value_info("statistics", onnx.TensorProto.FLOAT, None))
    found = answers(onnxruntime, model.SerializeToString(), pictures)["statistics"]
    assert (np.ptp(expected, axis=0) > 0.02).all()
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_the_domain_of_both_detectors(onnxruntime: Any) -> None:
    checkpoint = with_detector(made())
    assert checkpoint.metadata.ood_detector is not None
    _, (means, statistics) = by_torch(checkpoint.metadata.architecture)
    image = MahalanobisDetector(log_features(statistics[0]), np.eye(len(STATISTICS)), 1)
    nearer, farther = np.sort(image.distance(statistics))[3:5]
    checkpoint = checkpoint.with_metadata(image_detector=replace(image, threshold=(nearer + farther) / 2))
    inside = checkpoint.metadata.contains(OodFeatures(means, statistics))
    assert inside is not None
    assert 0 < inside.sum() < checkpoint.metadata.ood_detector.contains(means).sum()
    np.testing.assert_array_equal(answers(onnxruntime, content_of(checkpoint), batch())["in_domain"], inside)
