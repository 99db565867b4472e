# syntax=docker/dockerfile:1
# One image for every part: `docker run souk serve orders`.

FROM golang:1.26-bookworm AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN --mount=type=cache,target=/go/pkg/mod go mod download
COPY . .
# No cgo, so that the binary runs anywhere; .git is in the context, so that `souk version` names the commit.
RUN --mount=type=cache,target=/go/pkg/mod --mount=type=cache,target=/root/.cache/go-build \
    CGO_ENABLED=0 go build -trimpath -ldflags=-s -o /out/souk ./cmd/souk

# Alpine rather than nothing at all: health checks want a wget.
FROM alpine:3.22
RUN apk add --no-cache ca-certificates && adduser -D -H -u 10001 souk && install -d -o souk -g souk /var/lib/souk
COPY --from=build /out/souk /usr/local/bin/souk
USER souk
# 4000 is the graph of a part or of the gateway, 9090 the gateway's metrics.
EXPOSE 4000 9090
ENTRYPOINT ["souk"]
CMD ["--help"]
