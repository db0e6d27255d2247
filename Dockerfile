FROM docker.io/library/python:3.11-slim

# Where torch and torchvision come from. Empty: the default index, whose Linux wheels carry CUDA (5 GB).
# For a small image without a GPU:
#   docker build --build-arg TORCH_INDEX=https://download.pytorch.org/whl/cpu -t cifake .
ARG TORCH_INDEX=""

ENV PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 PIP_NO_CACHE_DIR=1

WORKDIR /app
COPY requirements.txt .
RUN grep -E '^torch' requirements.txt > /tmp/torch.txt \
    && pip install ${TORCH_INDEX:+--index-url "$TORCH_INDEX"} -r /tmp/torch.txt \
    && pip install -r requirements.txt \
    && rm /tmp/torch.txt

COPY . .
# What the engine reads, so that a container starts without making it and never imports torch.
RUN python -m model.engines.prepared /app/cache
RUN useradd --uid 1000 --no-create-home cifake && mkdir /outputs && chown cifake /outputs
USER cifake
VOLUME /outputs
ENV CIFAKE_BIND=0.0.0.0:8000 CIFAKE_OUTPUT_DIR=/outputs CIFAKE_CACHE_DIR=/app/cache
EXPOSE 8000

HEALTHCHECK --interval=30s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8000/readyz', timeout=4)"]

CMD ["gunicorn", "-c", "api/gunicorn.conf.py", "api.app:create_app()"]
