# docker build -t vgg_lit .          # torch with CUDA; an index with CPU wheels of torch makes it small:
# docker build -t vgg_lit --build-arg PIP_EXTRA_INDEX_URL=<index> .
# docker build -t vgg_lit --build-arg EXTRAS=tune .      # other extras than the default; EXTRAS= is none
# mkdir -p logs                      # Docker would create it for root alone
# docker run --rm --user "$(id -u):$(id -g)" -v "$PWD/logs:/home/user/logs" vgg_lit train model=vgg11_bn
# With a GPU add --gpus all. Workers of streamed folders need more shared memory than Docker's 64 MB:
# --shm-size=1g.
FROM python:3.11-slim

# torch.compile, compile=true, builds C++ at run time. Debian keeps only the newest version of a package.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends gcc g++ libc6-dev \
    && rm -rf /var/lib/apt/lists/*

# read by pip
ARG PIP_EXTRA_INDEX_URL
ARG EXTRAS=tune,export,visualize

WORKDIR /opt/vgg_lit
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY vgg_lit vgg_lit
COPY hydra_plugins hydra_plugins
COPY conf conf
RUN pip install --no-cache-dir -c constraints.txt ".${EXTRAS:+[$EXTRAS]}"

# The home of any user that --user names; without one, caches have no place.
ENV HOME=/home/user
RUN useradd --create-home --uid 1000 user && chmod 777 /home/user

USER 1000
WORKDIR /home/user
ENTRYPOINT ["vgg"]
CMD ["--help"]
