#!/usr/bin/perl
# What templates/demo/*.php do, as one CGI program: its name says which of them it is.
use strict;
use warnings;

my %asked = map { split /=/, $_, 2 } split /&/, $ENV{QUERY_STRING} // '';
my ($name) = ($ENV{SCRIPT_FILENAME} // '') =~ m{([^/]+)\.\w+$};
read STDIN, my $body, $ENV{CONTENT_LENGTH} || 0;
select undef, undef, undef, ($asked{ms} // 0) / 1000;
my $id = $asked{id} // '';
my %replies = (
    post => ($body // '') . "\n",
    upload => "$id " . length($body // '') . "\n",
    health => 'ok',
    whoami => "$ENV{SWAP_POOL_SLOT}\n",
);
my $reply = $replies{$name // ''} // "$id\n";
print "Content-Type: text/plain\r\nX-Pool: $ENV{SWAP_POOL_SLOT}/$$\r\nContent-Length: " . length($reply) . "\r\n\r\n$reply";
