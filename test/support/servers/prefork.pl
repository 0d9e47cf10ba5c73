#!/usr/bin/perl
# A FastCGI server that stays in the foreground: a parent that keeps four children, as FCGI::ProcManager does.
#
#     prefork.pl SOCKET
use strict;
use warnings;
use FCGI;
use Time::HiRes qw(time sleep);

my $listener = FCGI::OpenSocket($ARGV[0], 128);
chmod 0666, $ARGV[0];
my $slot = $ENV{SWAP_POOL_SLOT};
for (1 .. 4) {
    next if fork;
    serve();
    exit;
}
1 while wait > 0;
unlink $ARGV[0];

sub serve {
    my $request = FCGI::Request(\*STDIN, \*STDOUT, \*STDERR, \%ENV, $listener);
    while ($request->Accept() >= 0) {
        my %asked = map { split /=/, $_, 2 } split /&/, $ENV{QUERY_STRING} // '';
        my ($name) = ($ENV{SCRIPT_FILENAME} // '') =~ m{([^/]+)\.php$};
        my $body = '';
        read STDIN, $body, $ENV{CONTENT_LENGTH} if $ENV{CONTENT_LENGTH};
        my $end = time + ($asked{ms} // 0) / 1000;
        while (time < $end) { sleep 0.002 }
        my $id = $asked{id} // '';
        my %replies = (
            post => "$body\n",
            upload => "$id " . length($body) . "\n",
            health => 'ok',
            whoami => "$slot\n",
        );
        my $reply = $replies{$name // ''} // "$id\n";
        print "Content-Type: text/plain\r\nX-Pool: $slot/$$\r\nContent-Length: " . length($reply) . "\r\n\r\n$reply";
        # the answer has gone out; with FCGI as with FPM there may be work after it
        if (($name // '') eq 'finish') {
            $request->Finish();
            my $late = time + ($asked{ms} // 0) / 1000;
            while (time < $late) { sleep 0.002 }
            open my $file, '>>', "$ENV{DOCUMENT_ROOT}/../work/finished" or die;
            print $file "$id\n";
        }
    }
}
