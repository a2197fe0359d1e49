"""A web server on the loopback that answers each request as it is told, well or badly, and keeps count."""

import http.server
import socket
import struct
import threading
from typing import NamedTuple


class Request(NamedTuple):
    """What was asked, and how many bytes of the body were sent."""

    path: str
    range: str
    sent: int


class Server(http.server.ThreadingHTTPServer):
    """Serves `content`, as a context. `script` holds a rule for each request in turn; the last one stays.

    A rule takes (handler, content, start), the first byte asked for, and returns the number of bytes sent.
    """

    daemon_threads = False  # so that server_close waits for them

    def __init__(self, content, script=None):
        super().__init__(("127.0.0.1", 0), Handler)
        self.content, self.script, self.requests = content, script or [good], []
        self.over = threading.Event()
        self.url = f"http://127.0.0.1:{self.server_port}/archive"

    def __enter__(self):
        self.thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01})
        self.thread.start()
        return self

    def __exit__(self, *error):
        self.over.set()
        self.shutdown()
        self.thread.join()
        self.server_close()

    def handle_error(self, request, client_address):
        """A client that goes away is no error here."""


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        rule = self.server.script[0]
        if len(self.server.script) > 1:
            self.server.script.pop(0)
        asked = self.headers.get("Range")
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked else 0
        i = len(self.server.requests)
        self.server.requests.append(Request(self.path, asked, 0))
        sent = rule(self, self.server.content, start)
        self.server.requests[i] = Request(self.path, asked, sent)
        self.close_connection = True

    def log_message(self, *args):
        """Silence."""

    def head(self, status, **headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()

    def ranged(self, content, start):
        """The headers of an answer to a range; the bytes to send."""
        if start >= len(content) and start:
            self.head(416, Content_Length=0)
            return b""
        if start:
            span = f"bytes {start}-{len(content) - 1}/{len(content)}"
            self.head(206, Content_Length=len(content) - start, Content_Range=span)
        else:
            self.head(200, Content_Length=len(content))
        return content[start:]

    def send(self, body):
        self.wfile.write(body)
        return len(body)


def good(handler, content, start):
    """All that was asked for."""
    return handler.send(handler.ranged(content, start))


def truncated(handler, content, start, fraction=0.5):
    """The first part of the body, then the connection ends."""
    body = handler.ranged(content, start)
    return handler.send(body[:int(fraction * len(body))])


def empty(handler, content, start):
    """The headers, then the connection ends."""
    return truncated(handler, content, start, 0)


def stalled(handler, content, start):
    """The first half of the body, then nothing for ever."""
    sent = truncated(handler, content, start)
    handler.server.over.wait(60)
    return sent


def silent(handler, content, start):
    """Not even headers."""
    handler.server.over.wait(60)
    return 0


def reset(handler, content, start):
    """The first half, then the connection is torn down."""
    sent = truncated(handler, content, start)
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    return sent


def garbled(handler, content, start):
    """No HTTP."""
    return handler.send(b"220 ready\r\n" * 20)


def corrupted(handler, content, start):
    """One bit is wrong in the middle of what is sent."""
    body = bytearray(handler.ranged(content, start))
    body[len(body) // 2] ^= 1
    return handler.send(bytes(body))


def whole(handler, content, start):
    """All of it, whatever was asked for."""
    handler.head(200, Content_Length=len(content))
    return handler.send(content)


def unmeasured(handler, content, start):
    """All of it, with no word of its length."""
    handler.head(200)
    return handler.send(content)


def misplaced(handler, content, start):
    """Another range than was asked for."""
    handler.head(206, Content_Length=len(content) - 7, Content_Range=f"bytes 7-{len(content) - 1}/{len(content)}")
    return handler.send(content[7:])


def another(handler, content, start):
    """Another file, as from a server that sends its excuses with status 200."""
    body = b"<html>Please log in.</html>"
    handler.head(200, Content_Length=len(body))
    return handler.send(body)


def redirect(path):
    """A rule: look there."""
    def rule(handler, content, start):
        handler.head(302, Location=path, Content_Length=0)
        return 0
    return rule


def answer(status):
    """A rule: an error."""
    def rule(handler, content, start):
        handler.head(status, Content_Length=0)
        return 0
    return rule
