#!/usr/bin/perl
#: InfluxDB writes a snapshot with each block, a list of the Parquet files made since, and deletes none. At
#: its start it reads them all, with the names of files that are long gone; a tier's files of ten years are
#: in as many snapshots as ten years have blocks. This makes one of each @group@ old snapshots, without what
#: is gone. A cut in the middle leaves what the next run finishes.
#: Formats were read in the source of InfluxDB 3.10.1; others are left as they are. It needs no more than
#: Ubuntu's perl-base.
use strict;
use warnings;
use Fcntl ':flock';
use IO::Handle;

my ($node, $looked) = ('@data@/@node@', '@data@/.snapshots-looked');
my $group = @group@;

sub fail { die 'snapshots stay as they are: ' . join('', @_) . "\n" }

#: A name counts down from the greatest number of 64 bits, so that the youngest comes first.
sub file_of { return sprintf "$node/snapshots/%020u.info.json", ~0 - shift }

opendir my $entries, "$node/snapshots" or exit;
my @sequences = sort { $b <=> $a } map { /^(\d{20})\.info\.json$/ ? ~0 - $1 : () } readdir $entries;
my $newest = $sequences[0] // 0;

#: A backup holds the lock while it links the files.
open my $lock, '>>', '@data@/.snapshots-lock' or fail("cannot lock them: $!");
flock $lock, LOCK_EX | LOCK_NB or fail('a backup is reading them');

#: Each month files expire that a former run has kept.
my $look_again = !-e $looked || -M $looked > 30;
my %groups;
push @{ $groups{ int($_ / $group) } }, $_ for @sequences;
my $merged = 0;
for my $number (sort { $a <=> $b } keys %groups) {
    last if ($number + 1) * $group > $newest - @untouched@;
    my @members = @{ $groups{$number} };
    $merged += merge(@members) if @members > 1 || $look_again;
}
if ($merged) {
    #: The index that was made of them has what is gone, too. It is made anew at the next start.
    unlink glob "$node/snapshot-checkpoints/*/*.json";
    print STDERR "$merged snapshots merged\n";
}
if ($look_again) {
    open my $mark, '>', $looked or fail("cannot write $looked: $!");
    close $mark;
}

sub exists_there {
    my $path = shift;
    return 1 if -e "@data@/$path";
    return 0 if $!{ENOENT};
    fail("cannot look at $path: $!");
}

#: The youngest takes the place of all. Returns how many are no more.
sub merge {
    my ($youngest, @others) = @_;
    my ($before, $between, $after, %files, $gone);
    my %sum = (row_count => 0, parquet_size_bytes => 0);
    for my $sequence ($youngest, @others) {
        open my $handle, '<', file_of($sequence) or fail("cannot read one: $!");
        my $text = do { local $/; <$handle> };
        my $list = qr/(\[(?:[^\[\]]++|(?-1))*+\])/;
        my ($start, $made, $middle, undef, $end) =
            $text =~ /\A(\s*\{[^\[\]]*"databases"\s*:\s*)$list(?:(\s*,\s*"removed_files"\s*:\s*)$list)?([^\[\]]*)\z/
            or fail(file_of($sequence), ' has another format');
        ($before, $between, $after) = ($start, $middle, $end) unless defined $before;
        my $listed = () = $made =~ /"path"/g;
        while ($made =~ /(\{[^{}]*"path"\s*:\s*"([^"\\]+)"[^{}]*\})/g) {
            my ($file, $path) = ($1, $2);
            my ($db, $table) = $path =~ m{^[^/]+/dbs/(\d+)/(\d+)/} or fail("$path is another format");
            $listed -= 1;
            if (!exists_there($path)) { $gone += 1; next }
            $file =~ s/\s+//g;
            $files{$db}{$table}{$path} = $file;
        }
        fail(file_of($sequence), ' has another format') if $listed;
    }
    return 0 unless @others || $gone;
    my $last = file_of($youngest);
    if (%files) {
        my $lists = join ",\n", map {
            my $tables = $files{$_};
            "[$_,{\"tables\":[" . join(",\n", map {
                my $of = $tables->{$_};
                "[$_,[" . join(",\n", map { $of->{$_} } sort keys %$of) . ']]'
            } sort { $a <=> $b } keys %$tables) . ']}]'
        } sort { $a <=> $b } keys %files;
        for (map { values %$_ } map { values %$_ } values %files) {
            $sum{row_count} += $1 if /"row_count":(\d+)/;
            $sum{parquet_size_bytes} += $1 if /"size_bytes":(\d+)/;
        }
        $before =~ s/("$_"\s*:\s*)\d+/$1$sum{$_}/ for keys %sum;
        $before =~ s/("m(?:in|ax)_time"\s*:\s*)-?\d+/$1 . extreme($1, \%files)/ge;
        replace($last, "$before\[$lists]" . (defined $between ? "${between}[]" : '') . $after);
    }
    for (map { file_of($_) } @others, %files ? () : $youngest) {
        unlink or fail("cannot remove $_: $!");
    }
    return @others + !%files;
}

sub extreme {
    my ($key, $files) = @_;
    my ($name) = $key =~ /"(\w+)"/;
    my @times = sort { $a <=> $b }
        map { /"$name":(-?\d+)/ ? $1 : () } map { values %$_ } map { values %$_ } values %$files;
    return $times[ $name eq 'min_time' ? 0 : -1 ] // 0;
}

#: A name with a # is none of a snapshot. Its time stays: what is younger than the last sync is suspect.
sub replace {
    my ($file, $text) = @_;
    my $time = (stat $file)[9];
    open my $handle, '>', "$file#1" or fail("cannot write: $!");
    my $written = print({$handle} $text) && $handle->flush && $handle->sync && close $handle;
    if (!$written || !utime($time, $time, "$file#1") || !rename("$file#1", $file)) {
        my $reason = $!;
        unlink "$file#1";
        fail("cannot write: $reason");
    }
    #: The new one is on the disk before the others go.
    system('sync', "$node/snapshots") == 0 or fail('cannot sync them');
}
