<?php

/** Answers with the text, and says which pool and which of its workers it was. */
function reply(string $text, int $status = 200): void
{
    http_response_code($status);
    header('Content-Type: text/plain');
    header('X-Pool: ' . getenv('SWAP_POOL_SLOT') . '/' . getmypid());
    header('Content-Length: ' . strlen($text));
    echo $text;
}

/**
 * Is busy for so many milliseconds by the clock: a QUIT cuts sleep() and usleep() short, so a
 * script that only slept would end early and make a broken drain look good.
 */
function work(int $ms): void
{
    $end = hrtime(true) + $ms * 1_000_000;
    while (hrtime(true) < $end) {
        usleep(2000);
    }
}

/** The request's own name, which every answer gives back. */
function id(): string
{
    return ($_GET['id'] ?? '') . "\n";
}
