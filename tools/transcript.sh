#!/usr/bin/env bash
# For scripts that print a document: text, and commands with what they print. A script that takes
# this in has a function `names`, which replaces paths of this machine. A command with another exit
# code than 0, or than `EXPECTED=2 run …` says, ends the script: the document is not what it was.
say() { printf '\n%s\n' "$*"; }
run() {
    local printed code=0
    printf '\n```console\n'
    printf '$ %s\n' "$*" | names
    printed=$("$@" 2>&1) || code=$?
    [ -z "$printed" ] || printf '%s\n' "$printed" | names | sed 's/[[:space:]]*$//' | cat -s
    [ "$code" = 0 ] || printf '(exit code %s)\n' "$code"
    printf '```\n'
    if [ "$code" != "${EXPECTED:-0}" ]; then
        printf '%s\n%s: exit code %s, expected %s\n' "$printed" "$*" "$code" "${EXPECTED:-0}" >&2
        exit 1
    fi
}
