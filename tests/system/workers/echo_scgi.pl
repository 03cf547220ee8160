#!/usr/bin/perl
# The echo contract over Perl's SCGI module.
use strict;
use warnings;
use IO::Socket;
use SCGI;
use Time::HiRes qw(sleep);

my $pattern = "abcdefghijklmnopqrstuvwxyz0123456789\n";

sub answer {
    my ($connection, $env) = @_;
    my %query = map { my ($name, $value) = split /=/; ($name, $value // 0) } split /&/, $env->{QUERY_STRING} // '';
    my $body = '';
    if ($env->{REQUEST_METHOD} eq 'POST') {
        read $connection, $body, $env->{CONTENT_LENGTH};
    } else {
        my $size = $query{n} // 0;
        $body = substr($pattern x ($size / 37 + 1), 0, $size);
    }
    sleep($query{delay} / 1000) if $query{delay};
    print $connection "Content-Type: text/plain\r\nX-Pid: $$\r\n\r\n";
    my $slow = $query{slow} // 0;
    my $step = $slow ? int((length($body) + 3) / 4) || 1 : 65536;
    for (my $start = 0; $start < length $body; $start += $step) {
        print $connection substr($body, $start, $step);
        sleep($slow / 4000) if $slow;
    }
}

$SIG{PIPE} = 'IGNORE';
my $scgi = SCGI->new(IO::Socket->new_from_fd(0, 'r+'), blocking => 1);
while (my $request = $scgi->accept) {
    eval { $request->read_env; answer($request->connection, $request->env); 1 } or warn $@;
    $request->close;
}
