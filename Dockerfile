# The agent in a container. Build it in this folder, run it with what it needs of the host:
#
#   docker build --tag acusight-agent .
#   docker run --detach --name acusight-agent --init --restart unless-stopped --stop-timeout 20 --read-only --cap-drop ALL \
#     --security-opt no-new-privileges --tmpfs /run/acusight-agent:uid=10001,mode=0700 \
#     --volume acusight-spool:/var/lib/acusight-agent \
#     --volume /etc/acusight-agent:/etc/acusight-agent:ro \
#     --volume /srv/pictures:/srv/pictures \
#     --device /dev/video0 --group-add video \
#     acusight-agent
#
# The spool has to be a volume: what waits for delivery would go with the container. --stop-timeout is more than
# upload.grace_s. A watched folder keeps its path, and is written to for hard links (which do not reach from one volume
# into another: they lie in the folder's hidden .acusight-agent). The configuration and the key file, mode 600, belong
# to the user 10001. /dev/v4l/by-id/… works with --device too. No port is opened.
#
# Cameras on a Raspberry Pi's or a Jetson's ribbon cable need the host's own programs and libraries: run the agent as a
# service there, or build on an image of the board's maker that has them.

FROM python:3.13-slim-bookworm AS wheels
WORKDIR /source
COPY requirements.lock pyproject.toml README.md ./
COPY agent agent
COPY systemd systemd
# The locked versions; the lock's hashes would forbid what it does not name for this machine.
RUN sed -n 's/ *\\$//; /^[a-z0-9][a-z0-9._-]*==/p' requirements.lock > constraints.txt \
 && pip wheel --no-cache-dir --constraint constraints.txt --wheel-dir /wheels '.[camera,page]'

FROM python:3.13-slim-bookworm
RUN groupadd --gid 10001 acusight && useradd --uid 10001 --gid 10001 --groups video --no-create-home acusight \
 && install -d -o acusight -g acusight -m 700 /var/lib/acusight-agent
RUN --mount=type=bind,from=wheels,source=/wheels,target=/wheels \
    pip install --no-cache-dir --no-index --find-links /wheels 'acusight-agent[camera,page]'
USER acusight
ENV STATE_DIRECTORY=/var/lib/acusight-agent RUNTIME_DIRECTORY=/run/acusight-agent
VOLUME /var/lib/acusight-agent
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=60s --timeout=10s --start-period=30s \
  CMD ["acusight-agent", "-c", "/etc/acusight-agent/config.toml", "status"]
ENTRYPOINT ["acusight-agent", "-c", "/etc/acusight-agent/config.toml"]
CMD ["run"]
