#!/bin/sh
# One step of Euclid's algorithm on $A and $B, told as an output block.
set -eu
[ "$B" -eq 0 ] && { echo "B must not be 0" >&2; exit 1; }
rest=$((A % B))
markers='[]'
[ "$rest" -ne 0 ] && markers='["has_remainder"]'
cat <<BLOCK
<<<FLOW_OUTPUT>>>
{"markers": $markers, "context": "$A mod $B = $rest", "a": "$B", "b": "$rest"}
<<<END_FLOW_OUTPUT>>>
BLOCK
