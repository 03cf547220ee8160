#!/usr/bin/perl
# The echo contract as a CGI script, for fcgiwrap. X-Pid is fcgiwrap's.
use strict;
use warnings;

my $pattern = "abcdefghijklmnopqrstuvwxyz0123456789\n";
my %query = map { my ($name, $value) = split /=/; ($name, $value // 0) } split /&/, $ENV{QUERY_STRING} // '';
my $body = '';
if ($ENV{REQUEST_METHOD} eq 'POST') {
    my $left = $ENV{CONTENT_LENGTH} || 0;
    while ($left > 0 and my $got = read(STDIN, my $piece, $left > 65536 ? 65536 : $left)) {
        $body .= $piece;
        $left -= $got;
    }
} else {
    my $size = $query{n} // 0;
    $body = substr($pattern x ($size / 37 + 1), 0, $size);
}
select(undef, undef, undef, $query{delay} / 1000) if $query{delay};
$| = 1;
print "Content-Type: text/plain\r\nX-Pid: ", getppid(), "\r\n\r\n";
my $slow = $query{slow} // 0;
my $step = $slow ? int((length($body) + 3) / 4) || 1 : 65536;
for (my $start = 0; $start < length $body; $start += $step) {
    print substr($body, $start, $step);
    select(undef, undef, undef, $slow / 4000) if $slow;
}
