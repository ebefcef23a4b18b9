#!/usr/bin/env bash
# For scripts that are started in the repository: its environment, `.venv`, before others on PATH.
export PATH="$PWD/.venv/bin:$PATH"
if ! command -v pocketface >/dev/null; then
    printf '%s: no pocketface in %s: start it in the repository, after `make demo`\n' "$0" "$PWD/.venv/bin" >&2
    exit 2
fi
