<?php

require __DIR__ . '/reply.php';
reply(id());
