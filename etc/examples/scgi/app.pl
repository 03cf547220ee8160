#!/usr/bin/perl
# An SCGI application: a page that shows the request. Needs Debian's libscgi-perl.
use strict;
use warnings;
use IO::Socket;
use SCGI;

sub html {
    my ($text) = @_;
    my %entity = ('&' => '&amp;', '<' => '&lt;', '>' => '&gt;', '"' => '&quot;');
    return $text =~ s/([&<>"])/$entity{$1}/gr;
}

sub answer {
    my ($connection, $env) = @_;
    # The whole body is read, wanted or not: a connection that is closed before may take the answer with it.
    my $body = '';
    read $connection, $body, $env->{CONTENT_LENGTH};
    my ($method, $uri) = map { html($env->{$_} // '') } qw(REQUEST_METHOD REQUEST_URI);
    print $connection "Content-Type: text/html; charset=utf-8\r\n\r\n",
        "<!DOCTYPE html>\n<title>SCGI</title>\n<p>$method $uri, with a body of ${\ length $body} bytes, answered by process $$</p>\n";
}

# A client that has gone must not end the worker.
$SIG{PIPE} = 'IGNORE';

# All workers accept from one listening socket, which fcgipool gives them as descriptor 0. Each serves one request
# after the other; accept fails when the pool stops.
my $scgi = SCGI->new(IO::Socket->new_from_fd(0, 'r+'), blocking => 1);
while (my $request = $scgi->accept) {
    eval { $request->read_env; answer($request->connection, $request->env); 1 } or warn $@;
    $request->close;
}
