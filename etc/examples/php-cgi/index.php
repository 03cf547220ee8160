<?php
// Tells what was asked.
header('Content-Type: text/plain');
echo $_SERVER['REQUEST_METHOD'], ' ', $_SERVER['REQUEST_URI'], "\n";
echo 'bytes in the body: ', strlen(file_get_contents('php://input')), "\n";
echo 'process ', getmypid(), "\n";
