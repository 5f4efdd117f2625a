# shellcheck shell=sh
#: Whether the host's clock is right. One that is up for longer than @holdSeconds@ s is not waited for any more.
limit=@holdSeconds@
is_early() { [ "$(cut -d . -f 1 /proc/uptime)" -lt "$limit" ]; }
#: As timedatectl reads the kernel: 16 s, in µs, is the error of a clock that nobody sets.
clock() { adjtimex 2> /dev/null | awk '/maxerror:/ { found = $2 < 16000000 ? "right" : "wrong" } END { print found ? found : "unknown" }'; }
