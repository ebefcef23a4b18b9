#!/usr/bin/env bash
# For scripts that print a document: text, and commands with what they print. A script that takes
# this in has a function `names`, which replaces paths of this machine.
say() { printf '\n%s\n' "$*"; }
run() {
    printf '\n```console\n'
    printf '$ %s\n' "$*" | names
    { "$@" 2>&1 || printf '(exit code %s)\n' "$?"; } | names | sed 's/[[:space:]]*$//' | cat -s
    printf '```\n'
}
