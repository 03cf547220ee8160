<?php
// The echo contract for php-cgi.
header('Content-Type: text/plain');
header('X-Pid: ' . getmypid());
$pattern = "abcdefghijklmnopqrstuvwxyz0123456789\n";
if ($_SERVER['REQUEST_METHOD'] === 'POST') {
    $body = file_get_contents('php://input');
} else {
    $size = (int)($_GET['n'] ?? 0);
    $body = substr(str_repeat($pattern, intdiv($size, 37) + 1), 0, $size);
}
usleep(1000 * (int)($_GET['delay'] ?? 0));
$slow = (int)($_GET['slow'] ?? 0);
if ($slow === 0) {
    echo $body;
} else {
    foreach (str_split($body, max(1, intdiv(strlen($body) + 3, 4))) as $piece) {
        echo $piece;
        flush();
        usleep(250 * $slow);
    }
}
