#!/usr/bin/perl
#: Copies a table into another one of InfluxDB, block by block, in its container: with the memory of a block,
#: and over no network. What a block holds in both tables tells what is done, so nothing is written down of
#: how far it came: it may be ended at any time, and run again. It writes through the relay, so that what is
#: copied is on the disk. It needs no more than Ubuntu's perl-base.
use strict;
use warnings;
use Fcntl ':flock';
use IO::Handle;
use IO::Socket::INET;

my ($database, $from, $to) = (@database@, @from@, @to@);
#: Whether the copy is to be the same as its source (what differs is written again), or is to be filled with
#: what it lacks (what is there is newer, and stays).
my $mirrors = @mirrors@;
#: A source that no longer changes must be equal at the end.
my $is_final = @isFinal@;
#: Name, kind, expression over the source.
my @columns = (
#: each columns
    [@name@, @kind@, @expression@],
#: end
);
my $second = 1_000_000_000;
my $block = @blockSeconds@ * $second;
my $most_rows = @mostRows@;
my @tags = grep { $_->[1] eq 'tag' } @columns;
my @fields = grep { $_->[1] ne 'tag' } @columns;
STDOUT->autoflush(1);

sub give_up { print STDERR "@_\n"; exit 1 }
$SIG{__DIE__} = sub { chomp(my $why = shift); give_up($why) };

open my $lock, '>', '@data@/.migrating' or give_up("cannot lock: $!");
flock $lock, LOCK_EX | LOCK_NB or give_up('another migrate runs at this site: wait until it has ended');

open my $file, '<', '@adminToken@' or give_up("no admin token: $!");
my ($token) = join('', <$file>) =~ /"token" *: *"([^"]*)"/;
close $file;

sub request {
    my ($port, $target, $type, $body) = @_;
    my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $port)
        or give_up("InfluxDB does not answer: $!");
    #: Version 1.0: the answer is not cut into chunks, and ends with the connection.
    print $socket "POST $target HTTP/1.0\r\nAuthorization: Bearer $token\r\nContent-Type: $type\r\n",
        'Content-Length: ', length $body, "\r\n\r\n", $body;
    my $answer = '';
    1 while sysread $socket, $answer, 1 << 20, length $answer;
    my ($head, $content) = split /\r\n\r\n/, $answer, 2;
    my ($status, $length) = (($head // '') =~ m{^HTTP/1\.\d (\d+)}, ($head // '') =~ /^content-length: *(\d+)/mi);
    give_up('InfluxDB ended before it had answered') if !$status || defined $length && $length != length $content;
    return ($status, $content);
}

#: The rows of an answer in CSV, without its head.
sub query {
    my ($sql) = @_;
    (my $text = $sql) =~ s/(["\\])/\\$1/g;
    (my $name = $database) =~ s/(["\\])/\\$1/g;
    my ($status, $csv) = request(@port@, '/api/v3/query_sql', 'application/json',
        qq({"db":"$name","format":"csv","q":"$text"}));
    give_up("InfluxDB refused a query with $status: " . substr $csv, 0, 500) if $status != 200;
    my (@rows, @row);
    #: Most answers have no quotes, and are read at once.
    if (index($csv, '"') < 0) { @rows = map { [split /,/, $_, -1] } split /\r?\n/, $csv }
    else {
        while ($csv =~ /\G(?:"((?:[^"]|"")*)"|([^,"\r\n]*))(,|\r?\n|\z)/g) {
            my ($quoted, $plain, $end) = ($1, $2, $3);
            last if $end eq '' && !@row && !defined $quoted && $plain eq '';
            $quoted =~ s/""/"/g if defined $quoted;
            push @row, $quoted // $plain;
            next if $end eq ',';
            push @rows, [@row];
            @row = ();
            last if $end eq '';
        }
    }
    shift @rows;
    return \@rows;
}

sub named { my ($name) = @_; $name =~ s/"/""/g; return qq("$name") }

#: How a column is read: of the source by its expression, of the copy as it is. A text is led by an s, for an
#: empty one is no missing one.
sub read_as {
    my ($column, $is_source) = @_;
    my ($name, $kind, $expression) = @$column;
    my $value = $is_source ? $expression : named($name);
    return $kind eq 'string' ? "'s' || $value" : $value;
}

sub span { my ($low, $high) = @_; return "time >= to_timestamp_nanos($low) AND time < to_timestamp_nanos($high)" }

sub rows {
    my ($is_source, $low, $high) = @_;
    my $number = 0;
    my @selected = map { read_as($_, $is_source) . ' AS c' . $number++ } @tags, @fields;
    my $table = named($is_source ? $from : $to);
    return query(join(', ', 'SELECT CAST(time AS BIGINT) AS t', @selected)
        . " FROM $table WHERE " . span($low, $high));
}

sub key_of { my ($row) = @_; return join "\0", @$row[0 .. @tags] }
sub content_of { my ($row) = @_; return join "\0", @$row[@tags + 1 .. @tags + @fields] }

sub escaped { my ($text, $marks) = @_; $text =~ s/([$marks])/\\$1/g; return $text }
my $measurement = escaped($to, ', ');

sub value_of {
    my ($kind, $text) = @_;
    return '"' . escaped(substr($text, 1), '"\\\\') . '"' if $kind eq 'string';
    return $kind eq 'int' ? "${text}i" : $text;
}

#: A row in line protocol; nothing where no value is left of it.
sub line_of {
    my ($row) = @_;
    my ($time, @values) = @$row;
    my ($head, @written) = ($measurement);
    for my $tag (@tags) {
        my $text = shift @values;
        $head .= ',' . escaped($tag->[0], ', =') . '=' . escaped($text, ', =') if $text ne '';
    }
    for my $field (@fields) {
        my $text = shift @values;
        push @written, escaped($field->[0], ', =') . '=' . value_of($field->[1], $text) if $text ne '';
    }
    return @written ? "$head " . join(',', @written) . " $time\n" : '';
}

sub write_lines {
    my ($lines) = @_;
    (my $name = $database) =~ s/([^\w.~-])/sprintf '%%%02X', ord $1/ge;
    my ($status, $answer) = request(@writePort@,
        "/api/v3/write_lp?db=$name&precision=nanosecond&accept_partial=false", 'text/plain', $lines);
    give_up("InfluxDB refused rows with $status: " . substr $answer, 0, 500) if $status !~ /^2/;
}

my %count = map { $_ => 0 } qw(copied kept same empty);

#: Writes what the copy lacks of a span. Gives the number of rows that it lacked.
sub copy_span {
    my ($low, $high, $is_check) = @_;
    my %there = map { key_of($_) => content_of($_) } @{ rows(0, $low, $high) };
    my (%seen, $lines);
    my ($lacked, $size) = (0, 0);
    for my $row (@{ rows(1, $low, $high) }) {
        my ($key, $content) = (key_of($row), content_of($row));
        if ($seen{$key}++) { $count{same}++ if $is_check; next }
        my $there = $there{$key};
        next if defined $there && $there eq $content;
        if (defined $there && !$mirrors) { $count{kept}++ if $is_check; next }
        my $line = line_of($row);
        if ($line eq '') { $count{empty}++ if $is_check; next }
        $lacked++;
        $lines .= $line;
        ($size += length $line) < 4_000_000 and next;
        write_lines($lines);
        ($lines, $size) = ('', 0);
    }
    write_lines($lines) if $size;
    return $lacked;
}

#: Count of rows, and of each field its count and sum, in each block of a span.
sub sums {
    my ($is_source, $low, $high) = @_;
    my @selected = ('count(*)');
    for my $field (@fields) {
        my ($kind, $value) = ($field->[1], $is_source ? $field->[2] : named($field->[0]));
        my $number = $kind eq 'string' ? "octet_length($value)" : $kind eq 'bool' ? "CASE WHEN $value THEN 1 ELSE 0 END" : $value;
        #: The sum of integers may be greater than one.
        push @selected, "count($value)", "sum(CAST($number AS DOUBLE))";
    }
    my $number = 0;
    my $table = named($is_source ? $from : $to);
    my $answer = query("SELECT CAST(date_bin(INTERVAL '@blockSeconds@ seconds', time) AS BIGINT) AS b, "
        . join(', ', map { "$_ AS c" . $number++ } @selected)
        . " FROM $table WHERE " . span($low, $high) . ' GROUP BY 1 ORDER BY 1');
    my %sums;
    for (@$answer) { my ($start, @values) = @$_; $sums{$start} = [map { $_ eq '' ? 0 : $_ } @values] }
    return \%sums;
}

#: Sums of fractions depend on their order in the last digits.
sub are_equal {
    my ($left, $right) = @_;
    return 0 if !$left || !$right;
    for my $i (0 .. $#$left) {
        my ($one, $other) = ($left->[$i], $right->[$i]);
        return 0 if abs($one - $other) > 1e-9 * (abs($one) + abs($other));
    }
    return 1;
}

#: Totals of the blocks that have no further rows in the copy.
sub add {
    my ($source, $copy, $wanted, $there) = @_;
    for my $start (keys %$wanted) {
        my ($left, $right) = ($wanted->{$start}, $there->{$start} // next);
        next if $left->[0] != $right->[0];
        $source->[$_] += $left->[$_] for 0 .. $#$left;
        $copy->[$_] += $right->[$_] for 0 .. $#$right;
    }
}

#: Copies a span of so many rows, in parts that fit into memory.
sub copy_parts {
    my ($start, $end, $rows) = @_;
    my $parts = int($rows / $most_rows) + 1;
    my $length = int(($end - $start) / $parts) + 1;
    for (my $low = $start; $low < $end; $low += $length) {
        my $high = $low + $length < $end ? $low + $length : $end;
        my $began = time;
        $count{copied} += copy_span($low, $high, 0);
        #: Once more: what is still lacking then was not stored as it was sent.
        my $lacking = copy_span($low, $high, 1);
        give_up("$lacking rows from $low ns on were not stored as they were sent") if $lacking && $is_final;
        #: The site has more to do.
        select undef, undef, undef, (time - $began) / 2;
    }
}

#: Blocks of a day as spans of start, end and rows, few blocks together as one.
sub spans {
    my ($sums, @starts) = @_;
    my @spans;
    for my $start (@starts) {
        my $rows = $sums->{$start}[0];
        if (@spans && $spans[-1][2] + $rows <= $most_rows) {
            $spans[-1][1] = $start + $block;
            $spans[-1][2] += $rows;
        }
        else { push @spans, [$start, $start + $block, $rows] }
    }
    return @spans;
}

sub check_disk {
    my ($free) = `df -Pk '@data@' 2> /dev/null` =~ /(\d+)%/ ? 100 - $1 : 100;
    give_up("the disk is $free % free: make room for at least 5 %, and run this again") if $free < 5;
}

my ($range) = @{ query('SELECT CAST(min(time) AS BIGINT), CAST(max(time) AS BIGINT), count(*) FROM ' . named($from)) };
my ($first, $last, $total) = @$range;
my @zero = (0) x (1 + 2 * @fields);
my ($source, $copy) = ([@zero], [@zero]);
my ($done, $in_copy) = (0, 0);
my $day = 86_400 * $second;
#: As many days at once as few answers need, and memory allows: each block of an answer has two numbers a field.
my $days = 1;
if ($total) {
    my $per_day = $total / (($last - $first) / $day + 1);
    for my $most (30, 500_000 / ($day / $block * @zero), 2_000_000 / $per_day) { $days = $most if $days == 1 || $most < $days }
    $days = $days < 1 ? 1 : int $days;
    for (my $low = int($first / $day) * $day; $low <= $last; $low += $days * $day) {
        my $high = $low + $days * $day;
        my $wanted = sums(1, $low, $high);
        %$wanted or next;
        my $there = sums(0, $low, $high);
        my @missing = grep { !are_equal($wanted->{$_}, $there->{$_}) } sort { $a <=> $b } keys %$wanted;
        if (@missing) {
            check_disk();
            my $before = $done;
            for my $span (spans($wanted, @missing)) {
                copy_parts(@$span);
                $done += $span->[2];
                print "progress\t$done\t$total\n";
            }
            $done = $before;
            ($wanted, $there) = (sums(1, $low, $high), sums(0, $low, $high));
            my @still = grep { !are_equal($wanted->{$_}, $there->{$_}) } keys %$wanted;
            give_up(scalar(@still) . " blocks of $from are not equal in $to") if @still && $mirrors && $is_final;
        }
        add($source, $copy, $wanted, $there);
        $in_copy += $_->[0] for map { $there->{$_} // () } keys %$wanted;
        $done += $_->[0] for values %$wanted;
        print "progress\t$done\t$total\n";
    }
}
print join("\t", 'rows', $done, $in_copy, $source->[0]), "\n";
for my $i (0 .. $#fields) {
    print join("\t", 'field', $fields[$i][0], map { ($_->[1 + 2 * $i], $_->[2 + 2 * $i]) } $source, $copy), "\n";
}
print join("\t", 'counted', map { $count{$_} } qw(copied kept same empty)), "\n";
print "copied\n";
