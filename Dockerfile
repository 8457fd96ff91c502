# docker build -t carrot .
# docker run --rm -p 8501:8501 -e CARROT_MODE=public -v carrot:/data carrot              for anyone, read-only
# docker run --rm -p 127.0.0.1:8501:8501 -e CARROT_MODE=personal -v carrot:/data carrot  for you, on this machine
FROM python:3.12-slim

# PyTorch's default wheels for Linux carry CUDA; to stay small, build with
#   --build-arg PIP_EXTRA_INDEX_URL=<PyTorch's CPU index, see pytorch.org/get-started>
ARG PIP_EXTRA_INDEX_URL
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PYTHONUNBUFFERED=1

WORKDIR /app
COPY requirements.txt .
RUN pip install -r requirements.txt
COPY . .
RUN pip install --no-deps -e . \
    && useradd --create-home carrot && install -d -o carrot /data \
    && chown -R carrot /app/carrot_core

USER carrot
ENV CARROT_HOME=/data STREAMLIT_SERVER_ALLOWED_HOSTS="*"
VOLUME /data
EXPOSE 8501
HEALTHCHECK --start-period=120s CMD ["python", "-c", \
    "import urllib.request; urllib.request.urlopen('http://localhost:8501/_stcore/health', timeout=3)"]
CMD ["sh", "-c", "carrot setup && exec carrot app --address 0.0.0.0"]
