# syntax=docker/dockerfile:1.7

# Builds the gateway. What cargo has fetched and compiled stays in BuildKit's caches, so a change of the sources compiles
# this crate alone.
FROM rust:1.91-bookworm AS build
WORKDIR /src
COPY . .
# `--build-arg GUIDED=yes` builds it guided by a profile of itself under load: half an hour and two cores for a sixth less
# of processor time (docs/benchmarks.md).
ARG GUIDED
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    if [ -n "$GUIDED" ]; then built=target/pgo/pointsman && benches/pgo; \
    else built=target/release/pointsman && cargo build --locked --release --bin pointsman; fi \
    && install -D "$built" /out/pointsman

# Runs it: the binary, and whom to trust.
FROM debian:bookworm-slim
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --home-dir /var/lib/pointsman --shell /usr/sbin/nologin pointsman \
    && install -d -o pointsman -g pointsman -m 0700 /var/lib/pointsman \
    && install -d /etc/pointsman
COPY --from=build /out/pointsman /usr/local/bin/pointsman

# The configuration file says where the store is; `store.path = "/var/lib/pointsman/pointsman.db"` is the place for it.
ENV POINTSMAN_CONFIG=/etc/pointsman/pointsman.toml \
    POINTSMAN_LISTEN=0.0.0.0:8080 \
    POINTSMAN_ADMIN_LISTEN=0.0.0.0:8081 \
    POINTSMAN_LOG_FORMAT=json
USER 10001
WORKDIR /var/lib/pointsman
VOLUME /var/lib/pointsman
EXPOSE 8080 8081
# There is no curl in the image; bash can speak enough HTTP for this.
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s \
    CMD ["bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/8081 && printf 'GET /health/live HTTP/1.0\\r\\n\\r\\n' >&3 && head -n 1 <&3 | grep -q ' 200 '"]
ENTRYPOINT ["pointsman"]
CMD ["serve"]
