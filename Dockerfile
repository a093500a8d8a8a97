# Two images from one file: `--target operator` and `--target runtime`. Plain syntax: buildah builds
# it (`make images` needs no registry), docker and podman should (untested).
# BASE is what runs: any image with a Python >= 3.11 and CA certificates; no shell is needed.
# BUILD_BASE is used while building: the same Python at the same path, with a shell and venv.
ARG BASE=python:3.11-slim-bookworm
ARG BUILD_BASE=${BASE}

FROM ${BUILD_BASE} AS builder
# pip lives in an environment of its own, so none of it reaches the images.
RUN python3 -m venv /build
# Bytecode is checked against nothing at start: the files never change, the root is read-only.
RUN printf '%s\n' \
    'set -eu' \
    'find "$1" -type d \( -name tests -o -name test \) -prune -exec rm -r {} +' \
    'python3 -m compileall -q --invalidation-mode unchecked-hash "$1"' \
    > /build/compile
RUN printf '#!%s\nfrom agent_runtime.__main__ import main\n\nraise SystemExit(main())\n' \
    "$(command -v python3)" > /build/agent-runtime && chmod 0755 /build/agent-runtime

FROM builder AS operator-files
COPY requirements/operator.txt /build/requirements.txt
RUN /build/bin/pip install --require-hashes --only-binary :all: --no-compile --no-cache-dir \
    --target /app/lib -r /build/requirements.txt && rm -rf /app/lib/bin && sh /build/compile /app/lib
COPY operator/agentsystem_operator /app/code/agentsystem_operator
RUN sh /build/compile /app/code

FROM ${BASE} AS operator
COPY --from=operator-files /app/lib /app/lib
COPY --from=operator-files /app/code /app/code
ENV PYTHONPATH=/app/code:/app/lib PYTHONSAFEPATH=1 PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 \
    HOME=/tmp
USER 65532:65532
WORKDIR /
EXPOSE 8080 8443
ENTRYPOINT ["python3", "-m", "agentsystem_operator"]

FROM builder AS runtime-files
COPY requirements/runtime.txt /build/requirements.txt
RUN /build/bin/pip install --require-hashes --only-binary :all: --no-compile --no-cache-dir \
    --target /app/lib -r /build/requirements.txt && rm -rf /app/lib/bin && sh /build/compile /app/lib
COPY agent_runtime /app/code/agent_runtime
RUN sh /build/compile /app/code

FROM ${BASE} AS runtime
COPY --from=runtime-files /app/lib /app/lib
COPY --from=runtime-files /app/code /app/code
COPY --from=builder /build/agent-runtime /app/bin/agent-runtime
ENV PATH=/app/bin:/usr/local/bin:/usr/bin:/bin PYTHONPATH=/app/code:/app/lib PYTHONSAFEPATH=1 \
    PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 HOME=/tmp
USER 65532:65532
WORKDIR /
EXPOSE 8000 9000
ENTRYPOINT ["agent-runtime"]
