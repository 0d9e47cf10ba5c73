<?php

require __DIR__ . '/reply.php';
reply(getenv('SWAP_POOL_SLOT') . "\n");
