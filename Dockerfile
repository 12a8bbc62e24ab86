# A worker's image: Python, the pinned dependencies, Flare. Nothing in it is secret; keys and settings are mounted.
FROM python:3.11-slim
WORKDIR /opt/flare
COPY requirements/run.lock requirements/run.lock
RUN pip install --no-cache-dir --require-hashes -r requirements/run.lock
COPY pyproject.toml README.md LICENSE ./
COPY flare_offchain flare_offchain
RUN pip install --no-cache-dir --no-deps . && useradd --system --uid 10001 --home-dir /var/lib/flare --create-home flare
USER flare
WORKDIR /var/lib/flare
ENV OMP_NUM_THREADS=1 PYTHONUNBUFFERED=1
ENTRYPOINT ["flare"]
CMD ["worker", "run", "--config", "/etc/flare/worker.toml"]
