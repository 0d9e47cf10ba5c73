<?php

require __DIR__ . '/reply.php';
work((int) ($_GET['ms'] ?? 0));
reply(file_get_contents('php://input') . "\n");
