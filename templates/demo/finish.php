<?php

// The answer goes out at once, the work goes on: no connection shows that this worker is busy.
require __DIR__ . '/reply.php';
reply(id());
fastcgi_finish_request();
work((int) ($_GET['ms'] ?? 0));
file_put_contents(dirname(__DIR__) . '/work/finished', id(), FILE_APPEND | LOCK_EX);
