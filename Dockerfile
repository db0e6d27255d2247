# The service for a CPU (docker build -t cifake .), or for a GPU with CUDA (docker build --target gpu -t cifake:gpu .).
FROM docker.io/library/python:3.11-slim AS packages

ENV PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
RUN useradd --uid 1000 --no-create-home cifake && mkdir /outputs && chown cifake:cifake /outputs
WORKDIR /app
COPY requirements-serve.txt .
RUN pip install -r requirements-serve.txt

# How both are run; they inherit it.
ENV CIFAKE_BIND=0.0.0.0:8000 CIFAKE_OUTPUT_DIR=/outputs
VOLUME /outputs
EXPOSE 8000
# Asks at the first address of CIFAKE_BIND, host:port. With a unix: socket there, start the container with --no-healthcheck.
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import os; from http.client import HTTPConnection; c = HTTPConnection(os.environ['CIFAKE_BIND'].split(',')[0], timeout=4); c.request('GET', '/readyz'); raise SystemExit(c.getresponse().status != 200)"]
# SIGTERM lets requests end within CIFAKE_DRAIN_SECONDS, 30: give it more than docker stop's ten, with -t 35.
CMD ["gunicorn", "-c", "api/gunicorn.conf.py", "api.app:create_app()"]


FROM packages AS gpu

ENV NVIDIA_DRIVER_CAPABILITIES=compute,utility
COPY requirements.txt .
RUN pip install $(grep '^torch' requirements.txt)
COPY model model
COPY api api
RUN python -m compileall -q --invalidation-mode unchecked-hash model api
# A number, so that Kubernetes can tell that it is not root.
USER 1000:1000


FROM packages AS cpu

COPY model model
COPY api api
RUN python -m compileall -q --invalidation-mode unchecked-hash model api
USER 1000:1000
