"""FastAPI, as its documentation takes an upload: a plain function, which runs in the thread pool."""

from typing import Annotated, Any

from fastapi import FastAPI, File, UploadFile

from tests.benchmarks.contenders.shared_predictor import answers, predictor

app = FastAPI()
opened = predictor()


@app.get("/readyz")
def readyz() -> dict[str, str]:
    return {"status": "ready"}


@app.post("/predict")
def predict(file: Annotated[UploadFile, File()]) -> dict[str, Any]:
    return answers(opened, [file.file.read()])[0]
