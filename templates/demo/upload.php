<?php

require __DIR__ . '/reply.php';
reply(($_GET['id'] ?? '') . ' ' . strlen(file_get_contents('php://input')) . "\n");
