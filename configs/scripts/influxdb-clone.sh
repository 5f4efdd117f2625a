# shellcheck shell=bash
#: How InfluxDB's data are cloned: its files are written once, and so a link to one keeps it. The few
#: that are written again are copied. A clone is one folder whatever the number of folders of the data,
#: each of which would take a block.
. ./clone.sh
is_data() { case $1 in @node@ | .retention | .catalog) ;; *) false ;; esac; }

#: Copies, or links, from a tree into a folder (store), or back (unstore): in its files' names a colon
#: stands for a slash. `size` counts the KiB that store takes.
copy_files() { # mode, from, to, names
  perl -e '
    use strict;
    my ($mode, $from, $to, @names) = @ARGV;
    my ($bytes, %made) = (0);
    my $once = qr{^[^/.][^/]*/(?:dbs|wal|snapshots|catalog/[^/]+/logs)/};
    sub copy {
      my ($source, $target) = @_;
      open my $read, "<:raw", $source or die "$source: $!\n";
      open my $written, ">:raw", $target or die "$target: $!\n";
      local $/;
      my $content = <$read>;
      print {$written} $content // "" or die "$target: $!\n";
      close $written or die "$target: $!\n";
      my @state = stat $source;
      chmod $state[2] & 07777, $target;
      utime @state[8, 9], $target;
    }
    sub take {
      my ($path) = @_;
      (my $flat = $path) =~ s{/}{:}g;
      my ($source, $target) = $mode eq "unstore" ? ("$from/$flat", "$to/$path") : ("$from/$path", "$to/$flat");
      $bytes += length($flat) + 16;
      if ($mode eq "size") { $bytes += (-s $source) + 4096 unless $path =~ $once; return }
      if ($mode eq "unstore") {
        my $folder = "";
        for my $part (split m{/}, $path =~ s{[^/]*$}{}r) {
          $folder .= "/$part";
          $made{$folder}++ or mkdir "$to$folder" or die "$to$folder: $!\n";
        }
      }
      if ($path =~ $once) { link $source, $target or die "$target: $!\n" }
      else { copy($source, $target) }
    }
    sub walk {
      my ($path) = @_;
      return $path =~ /#\d+$/ || take($path) unless -d "$from/$path";
      opendir my $folder, "$from/$path" or die "$from/$path: $!\n";
      walk("$path/$_") for grep { !/^\.\.?$/ } readdir $folder;
    }
    if ($mode eq "unstore") {
      opendir my $folder, $from or die "$from: $!\n";
      take($_ =~ s{:}{/}gr) for grep { !/^\.\.?$/ } readdir $folder;
    } else { walk($_) for @names }
    print int($bytes / 1024) + 1, "\n" if $mode eq "size";
  ' "$@"
}
# shellcheck disable=SC2046 # They are names without spaces.
clone_size() { copy_files size @data@ '' $(data_files); }
# shellcheck disable=SC2046
store() { copy_files store @data@ "$1" $(data_files); }
unstore() { copy_files unstore "$1" "$2"; }

#: What InfluxDB has removed stays in a clone. It must not fill the disk.
relieve_disk() {
  local used oldest own fullest=@fullest@
  used=$(df -Pk @data@ | awk 'END { print int($5) }')
  [ "$used" -ge "$fullest" ] || return 0
  oldest=$(list_clones | tail -n 1)
  oldest=${oldest##* }
  [ -n "$oldest" ] || return 0
  own=$(find "$clones/$oldest" -type f -links 1 -printf '%k\n' | awk '{ kib += $1 } END { print kib + 0 }')
  [ "$own" -lt 65536 ] || drop_clone "$oldest" "the disk is $used % full, and $((own / 1024)) MiB are the clone's alone"
}
