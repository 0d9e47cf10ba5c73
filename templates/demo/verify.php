<?php

// As health.php, for the question that comes through nginx: work/unverified-SLOT breaks it.
require __DIR__ . '/reply.php';
file_exists(dirname(__DIR__) . '/work/unverified-' . getenv('SWAP_POOL_SLOT'))
    ? reply("broken\n", 500)
    : reply("ok\n");
