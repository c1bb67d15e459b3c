# jevons in a container: `docker build -t jevons .`; docs/operating.md says how to run it.

FROM python:3.13-slim AS build
WORKDIR /source
COPY requirements.lock ./
RUN python -m venv /opt/jevons && /opt/jevons/bin/pip install --no-cache-dir --require-hashes --requirement requirements.lock
COPY pyproject.toml README.md LICENSE ./
COPY proxy/ proxy/
COPY policies/ policies/
COPY exporters/ exporters/
RUN /opt/jevons/bin/pip install --no-cache-dir --no-deps .

FROM python:3.13-slim
COPY --from=build /opt/jevons /opt/jevons
# Reading a GPU's energy needs the driver's NVML (`utility`) and nothing of CUDA.
ENV PATH=/opt/jevons/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=utility

# A number, so that Kubernetes can see that it is not root. It writes nothing: the root file system may be read-only.
USER 10001:10001
WORKDIR /etc/jevons

# The OpenAI surface; metrics and health.
EXPOSE 8800 9464

HEALTHCHECK --interval=10s --timeout=3s --start-period=5s --retries=3 \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:9464/healthz', timeout=2)"]

# The configuration is mounted: one that listens beyond loopback has to say who may come in.
ENTRYPOINT ["jevons"]
CMD ["serve", "--config", "/etc/jevons/config.yaml"]
