#!/bin/sh
# Build the image and try it out the way it is to be run: deploy/docker.sh [NAME]
# It has to be smaller than 1.5 GB, ready within five minutes, nobody's root, and to end when it is told to.
set -eu
cd "$(dirname "$0")/.."
image=${1:-carrot}

docker build -t "$image" .
bytes=$(docker image inspect --format '{{.Size}}' "$image")
echo "$image has $bytes bytes."
[ "$bytes" -lt 1500000000 ]

container=$(docker run --detach --read-only --tmpfs /tmp --cap-drop ALL --security-opt no-new-privileges --memory 2g \
    --env CARROT_MODE=public --env CARROT_API_TOKEN=trial --publish 127.0.0.1::8501 "$image")
trap 'docker logs --tail 20 "$container" >&2; docker rm --force --volumes "$container" >/dev/null' EXIT
tries=60
until [ "$(docker inspect --format '{{.State.Health.Status}}' "$container")" = healthy ]; do
    tries=$((tries - 1))
    [ "$tries" -gt 0 ]
    sleep 5
done
[ "$(docker exec "$container" id -u)" = 1000 ]
if docker exec "$container" touch /opt/carrot/file 2>/dev/null; then
    echo "The root file system can be written to." >&2
    exit 1
fi
docker exec "$container" python -c 'import json; print(len(json.load(open("/opt/carrot/sbom.json"))["components"]), "parts")'

address=http://$(docker port "$container" 8501)
curl --fail --silent --show-error --output /dev/null "$address/"
curl --fail --silent --show-error --header 'Authorization: Bearer trial' --header 'Content-Type: application/json' \
    --data '{"prompts": ["What is 2 + 2?"]}' "$address/api/v1/route"
docker stop --time 20 "$container" >/dev/null
[ "$(docker inspect --format '{{.State.ExitCode}}' "$container")" != 137 ] # 137: it had to be killed
echo "
$image works."
