<?php

require __DIR__ . '/reply.php';
work((int) ($_GET['ms'] ?? 0));
reply(id());
