# shellcheck shell=sh
#: Keeps room for the queue, whatever else fills the disk. On a full disk the broker goes on
#: acknowledging, says nothing, and loses what it could not write when it ends.
#: The beginning of an empty SQLite database that is all free pages, as printf takes it: the header, and
#: lists of the pages after them (https://www.sqlite.org/fileformat2.html).
database_head() {
  awk -v pages=@reservePages@ -v size=@pageSize@ '
    function half(n) { return byte[int(n / 256) % 256] byte[n % 256] }
    function word(n) { return half(int(n / 65536)) half(n) }
    function zeros(count, text) { for (text = ""; count > 0; count--) text = text byte[0]; return text }
    BEGIN {
      for (n = 0; n < 256; n++) byte[n] = sprintf("\\0%03o", n)
      room = size / 4 - 8
      lists = int((pages - 1 + room) / (room + 1))
      # Read and written through a log; text in UTF-8; no tables.
      header = "SQLite format 3\\0000" half(size) "\\0002\\0002\\0000\\0100\\0040\\0040" word(1) word(pages)
      header = header word(2) word(pages - 1) word(0) word(4) word(0) word(0) word(1) zeros(32) word(1) word(3040001)
      printf "%s", header "\\0015" zeros(4) half(size) zeros(size - 107)
      free = lists + 2
      for (list = 1; list <= lists; list++) {
        listed = pages - free + 1 < room ? pages - free + 1 : room
        line = word(list < lists ? list + 2 : 0) word(listed)
        for (last = free + listed; free < last; free++) line = line word(free)
        printf "%s", line zeros(size - 8 - 4 * listed)
      }
    }'
}

#: A new queue has all of its room from the beginning.
reserve_queue() { # database
  [ ! -s "$1" ] || return 0
  if ! fallocate -l @reserveBytes@ "$1.new" 2> /dev/null || ! head=$(database_head); then
    rm -f "$1.new"
    say "The disk has no room for a day's queue: what is queued is lost if the disk fills up"
    return 0
  fi
  printf %b "$head" | dd of="$1.new" conv=notrunc 2> /dev/null
  sync "$1.new"
  mv "$1.new" "$1"
}

#: Waits until the disk has room for the log that the queue is written through, and its index.
await_room() { # database
  told=''
  until fallocate -l @logBytes@ "$1-wal" 2> /dev/null && [ "$(df -k @data@ | awk 'END { print $(NF - 2) }')" -ge 64 ]; do
    [ -z "$stopping" ] || exit 0
    [ -n "$told" ] || say "The disk is full: the broker starts once it has room again"
    told=yes
    sleep 2
  done
}
