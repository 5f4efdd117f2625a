# shellcheck shell=sh
#: How restic finds a site's repository: its place, and the secrets, each a file that may be missing.
secret() { cat @secrets@/"$1" 2> /dev/null || true; }
mkdir -p @scratch@
export RESTIC_REPOSITORY=@repository@ RESTIC_PASSWORD_FILE=@secrets@/password
#: Of S3 and of a REST server.
AWS_ACCESS_KEY_ID=$(secret login-user) AWS_SECRET_ACCESS_KEY=$(secret login-password)
export AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY
export RESTIC_REST_USERNAME="$AWS_ACCESS_KEY_ID" RESTIC_REST_PASSWORD="$AWS_SECRET_ACCESS_KEY"
#: OpenSSH refuses a key that others may read, as they may an uploaded file.
(umask 077 && secret ssh-key > @scratch@/ssh-key && secret known-hosts > @scratch@/known-hosts)

#: One thread, and a small heap: a site has better things to do.
export GOMAXPROCS=1 GOGC=25 RESTIC_PROGRESS_FPS=0.2
#: Takes the place of this shell, with the lowest priority.
become_restic() {
  exec nice -n 19 ionice -c 3 restic @cache@ \
    -o sftp.args='-i @scratch@/ssh-key -o UserKnownHostsFile=@scratch@/known-hosts -o StrictHostKeyChecking=yes -o BatchMode=yes -o ConnectTimeout=20 -o ServerAliveInterval=15' "$@"
}

running='' code=0
#: Runs restic; what it prints is in the files out and err. A signal reaches it, and it lets go of its lock.
run_restic() { # seconds that it may take, or 0; arguments; sets code
  seconds=$1 began_at=$(date +%s) code=0
  shift
  (become_restic "$@") > @scratch@/out 2> @scratch@/err &
  running=$!
  while kill -0 "$running" 2> /dev/null; do
    [ "$seconds" = 0 ] || [ $(($(date +%s) - began_at)) -lt "$seconds" ] || { kill "$running" 2> /dev/null || true; seconds=0 code=124; }
    sleep 0.2
  done
  ended=0
  wait "$running" || ended=$?
  running=''
  [ "$code" = 124 ] || code=$ended
  return "$code"
}

#: Why restic ended, in one line, and what to do about it.
reason() {
  said=$(jq -Rr '. as $line | try (fromjson | .message // .error.message) catch $line | select(. != null and . != "")' @scratch@/err |
    tail -n 3 | tr '\n\t' '  ' | cut -c 1-400)
  case "$code $said" in
    10\ *) echo "there is no repository at @to@" ;;
    11\ *) echo "the repository at @to@ is locked by another restic; it is tried again" ;;
    12\ *) echo "the password does not open the repository at @to@: set backup.password to the one that it was made with" ;;
    *'no space left'* | *'disk full'* | *'uota exceeded'*) echo "@to@ is full: free space there, or keep fewer backups (backup.keep)" ;;
    *'ermission denied'* | *'AccessDenied'* | *' 401 '* | *' 403 '*) echo "@to@ refuses: $said" ;;
    124\ * | *'no such host'* | *'dial tcp'* | *'esolve'* | *'imed out'* | *'nreachable'* | *'efused'* | *'onnection'* | *'sftp session'*) echo "@to@ is not reached: ${said:-no answer}" ;;
    *) echo "restic ended with $code: ${said:-it gave no reason}" ;;
  esac
}
