"""A Flask route that parses the upload and decodes the image, without inference."""

from flask import Flask, request

from model.images.decode import decode

app = Flask(__name__)


@app.get("/readyz")
def readyz() -> dict[str, str]:
    return {"status": "ready"}


@app.post("/predict")
def predict() -> dict[str, int]:
    picture = decode(request.files["file"].read())
    return {"width": picture.width, "height": picture.height}
