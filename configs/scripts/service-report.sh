# shellcheck shell=sh
#: How a script beside a site's engine reads a container, and says what is wrong with it.
# shellcheck disable=SC2034 # The scripts that source this one use it.
facts='{{.Name}}|{{.Config.Hostname}}|{{.State.Status}}|{{with .State.Health}}{{.Status}}{{end}}|{{.RestartCount}}|{{.State.ExitCode}}|{{.State.OOMKilled}}|{{if eq .State.Status "running"}}{{.State.StartedAt}}{{else}}{{.State.FinishedAt}}{{end}}|{{index .Config.Labels "@revision@"}}'
#: Takes one line of these facts from standard input.
# shellcheck disable=SC2034 # Each uses some of them.
read_facts() {
  IFS='|' read -r container service status health restarts code starved since revision || return
  container=${container#/} since=${since%%.*}Z
}
is_well() { [ "$status $health" = 'running healthy' ]; }
state() { if [ "$status" = running ]; then echo "running and ${health:-without a health check}"; else echo "$status"; fi; }
#: Of a container that runs again the engine keeps no exit code, but its events do for some minutes.
#: They are read up to the next second: this one's would be left out.
last_exit() {
  [ "$status" != running ] || code=$(docker events --since 10m --until=-1s --filter container="$container" --filter event=die --format '{{.Actor.Attributes.exitCode}}' | tail -n 1)
  if [ -n "$code" ]; then echo ", exit code $code"; fi
}
last_check() {
  docker inspect --format '{{with .State.Health}}{{range .Log}}{{"\f"}}exit code {{.ExitCode}}: {{.Output}}{{end}}{{end}}' "$container" |
    awk 'BEGIN { RS = "\f" } { last = $0 } END { gsub(/[[:space:]]+/, " ", last); sub(/ $/, "", last); print substr(last, 1, 300) }'
}
describe() { # what came of it
  memory=
  if [ "$starved" = true ]; then memory=', out of memory'; fi
  check=$(last_check)
  echo "$service $1: the container $container is $(state) since $since$(last_exit)$memory, restarts: $restarts"
  echo "  last health check: ${check:-none}"
  echo "  last lines of its log:"
  docker logs --tail 20 "$container" 2>&1 | cut -c 1-300 | sed 's/^/    /'
  if [ -n "$memory" ]; then echo "  next: choose a profile with more memory for $service, and run up again"
  else echo "  next: mend what these lines tell, and run up again; docker logs $container shows more of them"; fi
}

