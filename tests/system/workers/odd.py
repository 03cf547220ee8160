#!/usr/bin/python3
"""Workers that are put together in ways of their own. usage: odd.py MODE; requests: /x, /slow (3 s), /hang, /crash"""

import os
import queue
import select
import signal
import socket
import struct
import sys
import threading
import time


def record(kind, content=b""):
    return struct.pack(">BBHHBx", 1, kind, 1, len(content), 0) + content


ANSWER = record(6, b"Content-Type: text/plain\r\n\r\nok") + record(6) + record(3, bytes(8))
LISTENER = socket.socket(fileno=0)


def answer(connection):
    request = b""
    while not request.endswith(record(5)):
        piece = connection.recv(65536)
        if not piece:
            break
        request += piece
    else:
        if b"/slow" in request:
            time.sleep(3)
        if b"/hang" in request:
            time.sleep(600)
        if b"/crash" in request:
            os.kill(os.getpid(), 9)
        connection.sendall(ANSWER)


def serve(connection):
    answer(connection)
    connection.close()


def serve_all():
    while True:
        serve(LISTENER.accept()[0])


def hand_over():
    """One thread accepts whatever comes, another serves one after the other."""
    accepted = queue.Queue()

    def serve_accepted():
        while True:
            serve(accepted.get())
    threading.Thread(target=serve_accepted, daemon=True).start()
    while True:
        accepted.put(LISTENER.accept()[0])


def fork_each():
    """A child for each connection, which the parent keeps open until the child has ended."""
    while True:
        connection, _ = LISTENER.accept()
        child = os.fork()
        if child == 0:
            serve(connection)
            os._exit(0)
        os.waitpid(child, 0)
        connection.close()


def fork_and_close():
    """The same, but the parent has nothing more to do with it."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while True:
        connection, _ = LISTENER.accept()
        if os.fork() == 0:
            serve(connection)
            os._exit(0)
        connection.close()


def fork_ahead():
    """Two children accept; one that dies is forked again."""
    for _ in range(2):
        if os.fork() == 0:
            serve_all()
    while True:
        os.wait()
        if os.fork() == 0:
            serve_all()


def first_leaves():
    """The first that looks at the listener is a child that leaves at once."""
    if os.fork() == 0:
        select.select([LISTENER], [], [], 0)
        os._exit(0)
    os.wait()
    if os.fork() == 0:
        serve_all()
    os.wait()


def careless():
    """Children accept, and nobody reaps those that die."""
    for _ in range(2):
        if os.fork() == 0:
            serve_all()
    while True:
        time.sleep(1000)


def late():
    """A connection is closed when the next one takes its place."""
    while True:
        connection, _ = LISTENER.accept()
        answer(connection)


def crowd():
    """More threads accept than the page has rows for."""
    for _ in range(69):
        threading.Thread(target=serve_all).start()
    serve_all()


def twice(function):
    """Two threads that do it all the time."""
    def do_it():
        while True:
            function()
    threading.Thread(target=do_it).start()
    do_it()


def dawdle():
    """Takes its time between two requests."""
    serve(LISTENER.accept()[0])
    time.sleep(3)


def linger():
    """Takes its time before it closes a connection."""
    connection, _ = LISTENER.accept()
    answer(connection)
    time.sleep(3)
    connection.close()


MODES = {"dawdle": lambda: twice(dawdle), "linger": lambda: twice(linger), "hand-over": hand_over, "fork-each": fork_each,
         "fork-and-close": fork_and_close, "fork-ahead": fork_ahead, "first-leaves": first_leaves, "careless": careless,
         "late": late, "crowd": crowd}
MODES[sys.argv[1]]()
