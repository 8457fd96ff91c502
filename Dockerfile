# docker build -t carrot .      1.5 GB; deploy/docker.sh builds it and tries it out, docs/hosting.md says how it is run
ARG PYTHON=python:3.11.13-slim-bookworm

FROM ${PYTHON} AS build
RUN apt-get update \
    && apt-get install -y --no-install-recommends binutils=2.40-* \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
# Another list than that of versions with hashes, for platforms that it is not of: --build-arg LOCK=requirements.txt
ARG LOCK=deploy/requirements.lock
RUN LOCK=${LOCK} deploy/install.sh /opt/carrot \
    && /opt/carrot/bin/python -B deploy/sbom.py > /opt/carrot/sbom.json

FROM ${PYTHON}
RUN apt-get update \
    && apt-get install -y --no-install-recommends tini=0.19.0-* \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 1000 --create-home carrot \
    && install -d -o carrot /data
COPY --from=build /opt/carrot /opt/carrot
COPY deploy/ready.py /opt/carrot/ready.py
USER 1000
# Nothing is written but in /data and /tmp. Two arenas of memory in place of one for each thread: half the memory.
ENV PATH=/opt/carrot/bin:$PATH CARROT_HOME=/data HF_HOME=/tmp/hub NUMBA_CACHE_DIR=/tmp/numba MALLOC_ARENA_MAX=2 \
    PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
VOLUME /data
EXPOSE 8501
HEALTHCHECK --interval=15s --timeout=5s --start-period=300s CMD ["python", "/opt/carrot/ready.py"]
ENTRYPOINT ["tini", "--"]
CMD ["sh", "-c", "carrot setup && exec carrot app --address 0.0.0.0"]
