<?php

// Says ok, unless work/broken-SLOT says how this slot is broken.
require __DIR__ . '/reply.php';
$how = @file_get_contents(dirname(__DIR__) . '/work/broken-' . getenv('SWAP_POOL_SLOT'));
match (trim((string) $how)) {
    'status' => reply("broken\n", 500),
    'body' => reply("wrong\n"),
    'fatal' => no_such_function(),
    'hang' => work(60_000),
    'exit' => posix_kill(getmypid(), 9),
    default => reply("ok\n"),
};
