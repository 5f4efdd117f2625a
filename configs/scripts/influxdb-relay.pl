#!/usr/bin/perl
#: InfluxDB answers a write before the write is on the disk, and never calls fsync. Telegraf writes through
#: this relay: each answer waits until the files that InfluxDB has made by then are on the disk. Only then
#: does Telegraf acknowledge its messages, and the broker forget them. Before that it notes into which
#: blocks of which tables was written, for the rollups. It needs no more than Ubuntu's perl-base and gzip,
#: and ends as soon as anything is wrong: the container then starts again.
use strict;
use warnings;
use Fcntl;
use IO::Handle;
use IO::Select;
use IO::Socket::INET;

$SIG{PIPE} = 'IGNORE';
my $listener = IO::Socket::INET->new(
    LocalAddr => '@address@', LocalPort => @writePort@, Listen => 64, ReuseAddr => 1
) or die "relay: cannot listen: $!\n";
my $sockets = IO::Select->new($listener);
my (%other_end, %is_server, %newest, %request, %touched, %noted);
my $note_file = '';

#: The catalog's entries come before the log's files that name them.
sub folders { return (glob('@data@/@node@/catalog/v*/logs'), '@data@/@node@/wal') }

#: Names are numbers of one length; one with a # is not complete.
sub new_files {
    my $folder = shift;
    opendir my $entries, $folder or return;
    my $last = $newest{$folder} // '';
    my @new = sort grep { /^\d+\.\w+$/ && $_ gt $last } readdir $entries;
    $newest{$folder} = $new[-1] if @new;
    return map { "$folder/$_" } @new;
}

sub write_through {
    for my $file (map { new_files($_) } folders()) {
        open my $handle, '<', $file or next;    # a snapshot has it already
        $handle->sync or die "relay: cannot sync $file: $!\n";
    }
}

sub end {
    my @ended = @_;    # an element of a table, which is emptied here, is gone
    for my $socket (@ended) {
        $sockets->remove($socket);
        delete $_->{$socket} for \(%other_end, %is_server, %request, %touched);
        close $socket;
    }
}

sub connect_to_server {
    my $client = $listener->accept or return;
    my $server = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => @port@);
    return close $client unless $server;
    ($other_end{$client}, $other_end{$server}) = ($server, $client);
    $is_server{$server} = 1;
    $request{$client} = { read => \&read_head, rest => '' };
    $sockets->add($client, $server);
}

sub pass_on {
    my ($socket, $data) = @_;
    while (length $data) {
        my $count = syswrite $socket, $data or return end($socket, $other_end{$socket} // ());
        substr $data, 0, $count, '';
    }
}

#: Reads what a client sends, piece by piece. Each of the steps below takes what it can of the rest, and
#: returns whether there may be more to take.
sub read_request {
    my ($client, $data) = @_;
    my $request = $request{$client};
    $request->{rest} .= $data;
    while ($request->{read}->($request, $client)) { }
}

sub read_head {
    my ($request) = @_;
    my $end = index $request->{rest}, "\r\n\r\n";
    die "no end of a request's head\n" if $end < 0 && length $request->{rest} > 65536;
    return 0 if $end < 0;
    my $head = substr $request->{rest}, 0, $end + 4, '';
    my $query = $head =~ m{^POST /(?:api/v[23]/)?write(?:_lp)?\?(\S*) } ? "&$1&" : '';
    $request->{wanted} = $query =~ /&(?:db|bucket)=@database@&/;
    # Digits of a time that differ within 100 seconds; by the time itself where nothing is said.
    my ($precision) = $query =~ /&precision=(s|mi?c?|u|n)/;
    $request->{digits} = { s => 2, m => 5, mi => 5, mic => 8, u => 8, n => 11 }->{ $precision // '' };
    $request->{packed} = $head =~ /^content-encoding:\s*gzip/mi;
    $request->{body} = '';
    $request->{left} = $head =~ /^content-length:\s*(\d+)/mi ? $1 : 0;
    $request->{read} = $head =~ /^transfer-encoding:.*chunked/mi ? \&read_size : \&read_body;
    return 1;
}

sub read_size {
    my ($request) = @_;
    $request->{rest} =~ s/^(?:\r\n)?([0-9a-fA-F]+)[^\n]*\r\n// or return 0;
    $request->{left} = hex $1;
    $request->{read} = $request->{left} ? \&read_chunk : \&read_trailer;
    return 1;
}

sub read_chunk {
    my ($request) = @_;
    take_body(@_);
    return 0 if $request->{left};
    $request->{read} = \&read_size;
    return 1;
}

sub read_trailer {
    my ($request) = @_;
    $request->{rest} =~ s/^(?:[^\r\n]+\r\n)*\r\n// or return 0;
    end_of_request(@_);
    return 1;
}

sub read_body {
    my ($request) = @_;
    take_body(@_);
    return 0 if $request->{left};
    end_of_request(@_);
    return length $request->{rest};
}

sub take_body {
    my ($request, $client) = @_;
    my $piece = substr $request->{rest}, 0, $request->{left}, '';
    $request->{left} -= length $piece;
    return unless $request->{wanted};
    $request->{body} .= $piece;
    return if $request->{packed};
    my $end = rindex $request->{body}, "\n";
    note_lines($request, $client, substr $request->{body}, 0, $end + 1, '') if $end >= 0;
}

sub end_of_request {
    my ($request, $client) = @_;
    if (length $request->{body}) {
        $request->{body} = unpacked($request->{body}) if $request->{packed};
        note_lines($request, $client, "$request->{body}\n");
    }
    $request->{body} = '';
    $request->{read} = \&read_head;
}

#: Perl's own module for this is not in perl-base.
sub unpacked {
    my $file = '@notes@/.body';
    open my $out, '>:raw', $file or die "cannot write $file: $!\n";
    print {$out} shift and close $out or die "cannot write $file: $!\n";
    open my $in, '-|', 'gzip', '-dc', $file or die "cannot run gzip: $!\n";
    my $text = do { local $/; <$in> } // '';
    close $in or die "gzip cannot read what a client has sent\n";
    chomp $text;
    return $text;
}

#: The tables and blocks of lines of InfluxDB's line protocol.
sub note_lines {
    my ($request, $client, $lines) = @_;
    my ($digits, %first) = $request->{digits};
    my $count = 0;
    while ($lines =~ /^([^,\s\\#"]+)[, ].* (-?\d+)$/mg) {
        $count++;
        $first{$1}{ substr $2, 0, -($digits // digits_of($2)) } //= $2;
    }
    # A line without a time, or a text with a line break in it.
    if ($count != ($lines =~ tr/\n//)) {
        %first = ();
        while ($lines =~ /\G((?:[^"\n]++|"(?:[^"\\]++|\\.)*+")*+)\n/gs) {
            my ($table, $time) = $1 =~ /^([^,\s\\#"]+)[, ].*?(?: (-?\d+))?\s*$/s or next;
            $time //= time . ('0' x (($digits // 11) - 2));
            $first{$table}{ substr $time, 0, -($digits // digits_of($time)) } //= $time;
        }
    }
    for my $table (keys %first) {
        for my $time (values %{ $first{$table} }) {
            my $fraction = ($digits // digits_of($time)) - 2;
            my $seconds = $fraction ? substr $time, 0, -$fraction : $time;
            my $block = int($seconds / @blockSeconds@) - ($seconds < 0);
            $touched{$client}{ "$table " . $block * @blockSeconds@ } = 1;
        }
    }
}

sub digits_of {
    my $length = length shift;
    return $length > 16 ? 11 : $length > 13 ? 8 : $length > 10 ? 5 : 2;
}

#: Notes what the clients have written that are answered now. What was noted a moment ago is not noted
#: again: the rollups wait for longer than that.
sub note {
    my $now = time;
    my %new;
    for my $touched (map { delete $touched{$_} // () } @_) {
        $new{$_} = $now for grep { abs($now - ($noted{$_} // 0)) >= @noteSeconds@ } keys %$touched;
    }
    return unless %new && -d '@notes@';
    my ($day, $month, $year) = (gmtime $now)[ 3 .. 5 ];
    my $file = sprintf '@notes@/%04d-%02d-%02d', $year + 1900, $month + 1, $day;
    my $is_new = $file ne $note_file;
    my $lines = join '', map { "$now @database@ $_\n" } sort keys %new;
    # The last line may be incomplete since a power cut, or a full disk.
    $lines = "\n$lines" if $is_new && -s $file;
    $note_file = '';
    sysopen my $handle, $file, O_WRONLY | O_APPEND | O_CREAT or die "cannot write $file: $!\n";
    (syswrite($handle, $lines) // 0) == length $lines && $handle->sync or die "cannot write $file: $!\n";
    if ($is_new) {
        system('sync', '@notes@') == 0 or die "cannot sync @notes@\n";
        unlink grep { -M $_ > @noteDays@ } glob '@notes@/[0-9]*-[0-9]*-[0-9]*';
    }
    $note_file = $file;
    %noted = map { ($_ => $noted{$_}) } grep { $now - $noted{$_} < @noteSeconds@ } keys %noted
        if keys %noted > 5000;
    @noted{ keys %new } = values %new;
}

new_files($_) for folders();
system('sync', '-f', '@data@') == 0 or die "relay: cannot sync what was made before\n";
while (my @ready = $sockets->can_read) {
    my @answers;
    for my $socket (@ready) {
        if ($socket == $listener) { connect_to_server(); next }
        my $other = $other_end{$socket} or next;
        if (!sysread $socket, my $data, 65536) { end($socket, $other) }
        elsif ($is_server{$socket}) { push @answers, [$other, $data] }
        elsif (eval { read_request($socket, $data); 1 }) { pass_on($other, $data) }
        else { warn "relay: $@"; end($socket, $other) }
    }
    next unless @answers;
    write_through();
    # What cannot be noted is not answered, and so written again: the disk is full, say.
    if (!eval { note(map { $_->[0] } @answers); 1 }) {
        warn "relay: $@";
        end($_->[0], $other_end{ $_->[0] } // ()) for @answers;
    }
    $other_end{ $_->[0] } and pass_on(@$_) for @answers;
}
