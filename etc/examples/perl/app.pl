#!/usr/bin/perl
# Tells what was asked, with Perl's FCGI module (package libfcgi-perl).
use strict;
use warnings;
use FCGI;

my $request = FCGI::Request();
my $count = 0;

while ($request->Accept() >= 0) {
    my $size = 0;
    while (my $got = read(STDIN, my $piece, 65536)) {
        $size += $got;
    }
    $count++;
    print "Content-Type: text/plain\r\n\r\n",
        "$ENV{REQUEST_METHOD} $ENV{REQUEST_URI}\n",
        "bytes in the body: $size\n",
        "request $count of process $$\n";
}
