# SPDX-License-Identifier: Apache-2.0
# The relay as an image: builds the Debian package, then installs it on a fresh base. tests/image.sh runs the same RUN
# lines without Docker, so they are one line each.
#   docker build -t ccrelay .
#   docker run -p 127.0.0.1:8787:8787 -v ./config.yaml:/etc/ccrelay/config.yaml:ro ccrelay
ARG BASE=docker.io/library/debian:13-slim

FROM ${BASE} AS build
WORKDIR /src
COPY . .
RUN runtime/setup.sh
RUN cmake -S . -B build/image -DCMAKE_BUILD_TYPE=RelWithDebInfo
RUN cmake --build build/image -j "$(nproc)"
RUN cd build/image && cpack -G DEB && mv ccrelay_*.deb /ccrelay.deb

FROM ${BASE}
COPY --from=build /ccrelay.deb /ccrelay.deb
RUN apt-get update && apt-get install -y --no-install-recommends /ccrelay.deb && rm -rf /ccrelay.deb /var/lib/apt/lists/*
RUN install -d -o ccrelay -g ccrelay -m 700 /var/lib/ccrelay
ENV STATE_DIRECTORY=/var/lib/ccrelay
USER ccrelay
WORKDIR /var/lib/ccrelay
EXPOSE 8787
HEALTHCHECK --interval=30s --timeout=5s CMD ["ccrelay", "status"]
ENTRYPOINT ["ccrelay"]
CMD ["run"]
