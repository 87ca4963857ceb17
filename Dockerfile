# CPU:  docker build -t vgg_lit .
# CUDA: docker build -t vgg_lit --build-arg TORCH_INDEX=https://pypi.org/simple .
# Run:  docker run --rm -v "$PWD/logs:/work/logs" vgg_lit train model=vgg11_bn
# With a GPU add --gpus all. Workers of streamed folders need more shared memory than Docker's 64 MB:
# --shm-size=1g.
FROM python:3.11-slim

ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu

WORKDIR /opt/vgg_lit
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY vgg_lit vgg_lit
COPY hydra_plugins hydra_plugins
COPY conf conf
RUN pip install --no-cache-dir --index-url "$TORCH_INDEX" --extra-index-url https://pypi.org/simple -c constraints.txt torch torchvision \
    && pip install --no-cache-dir -c constraints.txt . \
    && useradd --create-home --uid 1000 user \
    && mkdir /work \
    && chown user /work

USER 1000
WORKDIR /work
ENTRYPOINT ["vgg"]
CMD ["--help"]
