<?php
// The echo contract for PHP, and burn=MS: so much processor time of its own first.
function used()
{
    $usage = getrusage();
    return ($usage['ru_utime.tv_sec'] + $usage['ru_stime.tv_sec']) * 1e6 + $usage['ru_utime.tv_usec']
        + $usage['ru_stime.tv_usec'];
}
$end = used() + 1000 * (int)($_GET['burn'] ?? 0);
while (isset($_GET['burn']) && used() < $end) {
}
require __DIR__ . '/../system/workers/echo.php';
