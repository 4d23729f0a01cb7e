#!/bin/sh
# must_go_red.sh BREAK PROGRAM [ARGUMENTS]: passes when the program notices the deliberate break.
#
# Noticing means an assertion that fails and says so. A crash, a break that nobody knows or a test
# that was not found would also end with another code than 0, and prove nothing.

set -u

break=$1
shift
output=$(HEADGATE_BREAK=$break "$@" 2>&1)
code=$?

fail() {
  printf '%s\n' "$output" | tail -n 20
  printf '%s: %s (exit code %d)\n' "$break" "$1" "$code"
  exit 1
}

[ "$code" -ne 0 ] || fail 'the suite does not notice'
[ "$code" -lt 128 ] || fail 'the program crashed'
printf '%s\n' "$output" | grep -q 'FAILED' || fail 'no assertion failed'
printf '%s: noticed:\n' "$break"
printf '%s\n' "$output" | grep -A 3 'FAILED' | head -n 5
