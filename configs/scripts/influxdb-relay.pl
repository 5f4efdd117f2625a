#!/usr/bin/perl
#: InfluxDB answers a write before the write is on the disk, and never calls fsync. Telegraf writes through
#: this relay: each answer waits until the files that InfluxDB has made by then are on the disk. Only then
#: does Telegraf acknowledge its messages, and the broker forget them. It needs no more than Ubuntu's
#: perl-base, and ends as soon as anything is wrong: the container then starts again.
use strict;
use warnings;
use IO::Handle;
use IO::Select;
use IO::Socket::INET;

$SIG{PIPE} = 'IGNORE';
my $listener = IO::Socket::INET->new(
    LocalAddr => '@address@', LocalPort => @writePort@, Listen => 64, ReuseAddr => 1
) or die "relay: cannot listen: $!\n";
my $sockets = IO::Select->new($listener);
my (%other_end, %is_server, %newest);

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
    for my $socket (@_) {
        $sockets->remove($socket);
        delete $other_end{$socket};
        delete $is_server{$socket};
        close $socket;
    }
}

sub connect_to_server {
    my $client = $listener->accept or return;
    my $server = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => @port@);
    return close $client unless $server;
    ($other_end{$client}, $other_end{$server}) = ($server, $client);
    $is_server{$server} = 1;
    $sockets->add($client, $server);
}

sub pass_on {
    my ($socket, $data) = @_;
    while (length $data) {
        my $count = syswrite $socket, $data or return end($socket, $other_end{$socket} // ());
        substr $data, 0, $count, '';
    }
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
        else { pass_on($other, $data) }
    }
    next unless @answers;
    write_through();
    $other_end{ $_->[0] } and pass_on(@$_) for @answers;
}
