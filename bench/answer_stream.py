"""Reads streamed answers of OpenAI's API: HTTP/1.1, events, and what they say."""
import json
import re


class BadResponse(Exception):
    """The message is the kind of the error."""


class HttpBody:
    """Takes the bytes of one HTTP/1.1 response, however they are cut, and gives those of its body."""

    def __init__(self):
        self.status, self.headers, self.ended = 0, {}, False
        self._input, self._left, self._chunked = b"", None, False

    def feed(self, data):
        self._input += data
        if not self.status and not self._read_head():
            return b""
        return self._read_chunks() if self._chunked else self._read_plain()

    def close(self):
        """No byte follows."""
        if self.status and not self._chunked and self._left is None:
            self.ended = True
        if not self.ended:
            raise BadResponse("cut off")

    def _read_head(self):
        head, found, rest = self._input.partition(b"\r\n\r\n")
        if not found:
            return False
        first, *lines = head.decode("latin-1").split("\r\n")
        match = re.match(r"HTTP/1\.[01] (\d{3})( |$)", first)
        if not match:
            raise BadResponse("not HTTP")
        self.status, self._input = int(match.group(1)), rest
        self.headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        self._chunked = self.headers.get("transfer-encoding", "").lower() == "chunked"
        if "content-length" in self.headers:
            self._left = int(self.headers["content-length"])
        return True

    def _read_plain(self):
        body, self._input = self._input, b""
        if self._left is not None:
            self._left -= len(body)
            self.ended = self._left <= 0
        return body

    def _read_chunks(self):
        body = []
        while not self.ended:
            size, found, rest = self._input.partition(b"\r\n")
            if not found:
                break
            try:
                length = int(size.split(b";")[0], 16)
            except ValueError:
                raise BadResponse("bad chunk") from None
            if len(rest) < length + 2:
                break
            body.append(rest[:length])
            self._input = rest[length + 2:]
            self.ended = length == 0
        return b"".join(body)


class Events:
    """Takes the bytes of a text/event-stream, however they are cut, and gives the data of its events."""

    def __init__(self):
        self._input = b""

    def feed(self, data):
        self._input = (self._input + data).replace(b"\r\n", b"\n")
        *whole, self._input = self._input.split(b"\n\n")
        for event in whole:
            lines = [line[5:].removeprefix(b" ") for line in event.split(b"\n") if line.startswith(b"data:")]
            if lines:
                yield b"\n".join(lines).decode()


class Answer:
    """What the events of one streamed answer say."""

    def __init__(self):
        self.finish_reason, self.usage, self.done = None, {}, False

    def take(self, data):
        """Whether the event brings text."""
        if data == "[DONE]":
            self.done = True
            return False
        event = json.loads(data)
        if "error" in event:
            raise BadResponse("error in the stream")
        self.usage = event.get("usage") or self.usage
        has_text = False
        for choice in event.get("choices") or []:
            self.finish_reason = choice.get("finish_reason") or self.finish_reason
            delta = choice.get("delta") or choice
            has_text |= any(delta.get(name) for name in ("content", "reasoning_content", "text", "tool_calls"))
        return has_text
