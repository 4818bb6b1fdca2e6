#!/bin/sh
# Tells a file, where somebody wants to know; a real one would tell a chat or a bug tracker.
[ -z "$NOTIFY_LOG" ] || env | grep '^NOTIFY_[A-Z_]*=' | grep -v '^NOTIFY_LOG=' | sort >>"$NOTIFY_LOG"
[ "$NOTIFY_LOG" != /dev/full ]
