# shellcheck shell=sh
#: How data that is small, or written in place, is cloned while nothing runs: as an archive.
. ./clone.sh
clone_size() { kib=0; data_files | { while read -r name; do kib=$((kib + $(file_size "@data@/$name"))); done; echo "$kib"; }; }
store() { # folder
  # shellcheck disable=SC2046 # They are names of a program's own files.
  tar -C @data@ -czf "$1/data.tar.gz" $(data_files)
}
unstore() { tar -C "$2" -xzf "$1/data.tar.gz"; } # from, to
