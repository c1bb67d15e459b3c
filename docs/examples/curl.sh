#!/bin/sh
# curl: the headers of a reply, and the settled energy by its id.
set -eu
url=${JEVONS_URL:-http://127.0.0.1:8800/v1}
headers=$(mktemp)
trap 'rm -f "$headers"' EXIT

curl -sS "$url/chat/completions" -D "$headers" -o /dev/null \
  -H "authorization: Bearer ${JEVONS_KEY:-none}" -H 'content-type: application/json' \
  -d '{"model": "auto", "messages": [{"role": "user", "content": "What is the capital of Peru?"}], "max_tokens": 60}'
grep -i '^x-jevons' "$headers"

id=$(tr -d '\r' < "$headers" | sed -n 's/^x-request-id: //ip')
sleep 2
curl -sS "$url/energy/$id" -H "authorization: Bearer ${JEVONS_KEY:-none}"
