# The gateway as a container image, for a user without rights and a read-only root:
#   docker build -t snowshed .
#   docker run --read-only -p 127.0.0.1:8080:8080 -v "$PWD/gateway.yaml:/etc/snowshed/snowshed.yaml:ro" snowshed
# BASE names another Python image, a mirror's or one by its digest. A pip.conf that the build needs for its index is
# given as a secret, and stays out of the image: --secret id=pip,src=$HOME/.config/pip/pip.conf
ARG BASE=python:3.13-slim-bookworm

FROM ${BASE} AS build
WORKDIR /src
# hadolint ignore=DL3008
RUN apt-get update && apt-get install --yes --no-install-recommends gcc libc6-dev && rm -rf /var/lib/apt/lists/*
COPY scripts/image-tree scripts/compile.py scripts/
COPY requirements/serve.txt requirements/compile.txt requirements/
RUN --mount=type=secret,id=pip,target=/etc/pip.conf \
    scripts/image-tree packages /opt/snowshed && scripts/image-tree compiler /opt/compiler
COPY pyproject.toml ./
COPY gateway gateway
COPY engines engines
COPY router router
COPY security security
RUN /opt/compiler/bin/python scripts/compile.py && scripts/image-tree ours /opt/snowshed

FROM ${BASE}
# llama.cpp wants OpenMP, in whatever version the base's distribution has. Whoever gets in finds no pip to install with.
# hadolint ignore=DL3008
RUN apt-get update && apt-get install --yes --no-install-recommends libgomp1 && rm -rf /var/lib/apt/lists/* \
    && python -m pip uninstall --yes pip \
    && rm -r "$(python -c 'import ensurepip; print(ensurepip.__path__[0])')" \
    && install -d -o 65532 -g 65532 /var/cache/snowshed /etc/snowshed
COPY --from=build /opt/snowshed /opt/snowshed
COPY LICENSE /opt/snowshed/
ENV PATH=/opt/snowshed/bin:$PATH \
    HOME=/var/cache/snowshed \
    PYTHONDONTWRITEBYTECODE=1 \
    SNOWSHED_CACHE=/var/cache/snowshed
USER 65532:65532
WORKDIR /var/cache/snowshed
EXPOSE 8080 8081
STOPSIGNAL SIGTERM
ENTRYPOINT ["snowshed"]
CMD ["serve", "--config", "/etc/snowshed/snowshed.yaml"]
