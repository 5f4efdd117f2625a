# shellcheck shell=bash
#: Docker Engine from Docker's package source where there is none, its group for the user, and the
#: settings of daemon.json. An engine that is there stays the one it is.
. ./host-prepare.sh
keyring=/etc/apt/keyrings/docker.asc
if ! command -v dockerd > /dev/null; then
  install_packages ca-certificates curl gpg
  fetched=$(mktemp)
  trap 'rm -f "$fetched"' EXIT
  curl -fsS --retry 3 -m 60 -o "$fetched" https://download.docker.com/linux/debian/gpg
  prints=$(gpg --batch --show-keys --with-colons "$fetched" | awk -F: '$1 == "pub" { key = 1 } $1 == "fpr" && key { print $10; key = 0 }')
  [ "$prints" = @fingerprint@ ] || give_up "the key of Docker's package source has the fingerprint $prints, and not @fingerprint@: nothing is installed"
  install -D -m 0644 "$fetched" "$keyring"
  # shellcheck disable=SC1091 # It is the host's own file.
  . /etc/os-release
  echo "deb [arch=$(dpkg --print-architecture) signed-by=$keyring] https://download.docker.com/linux/debian $VERSION_CODENAME stable" > /etc/apt/sources.list.d/docker.list
  apt-get update -qq > /dev/null
  install_packages docker-ce docker-ce-cli containerd.io
fi
if ! id -nG @user@ | tr ' ' '\n' | grep -qx docker; then
  groupadd -f docker
  usermod -aG docker @user@
  changed "added @name@ to the group docker"
fi
install_packages jq
file=/etc/docker/daemon.json
wanted=@settings@
[ -s "$file" ] || { mkdir -p /etc/docker; echo '{}' > "$file"; }
# Another log driver has options of its own, and would not start with these.
merged=$(jq --argjson wanted "$wanted" '. as $old
  | (if ($old["log-driver"] // "json-file") == "json-file" then $wanted else $wanted | del(.["log-opts"]) end) as $new
  | $old * $new' "$file") || give_up "$file is no JSON; it is left as it is"
if [ "$(jq -S . <<< "$merged")" != "$(jq -S . "$file")" ]; then
  cp -p "$file" "$file.before-bess"
  printf '%s\n' "$merged" > "$file.new"
  mv "$file.new" "$file"
  changed "merged live-restore and log limits into $file"
  # Live restore is taken by a reload, and lets the containers live through the restart that the log limits need.
  systemctl reload docker 2> /dev/null || true
  systemctl restart docker || { mv "$file.before-bess" "$file"; systemctl restart docker; give_up "Docker does not start with the merged $file; it is as it was"; }
fi
