// What connections carry, to be changed.
#pragma once

#include <string>
#include <vector>

namespace touchstone::testing {

/// In the form of the fuzz target: a first byte, and 0xff between pieces.
inline std::vector<std::string> http_seeds() {
  const std::vector<std::string> connections = {
      "GET /a?b HTTP/1.1\r\nHost: h\r\n\r\n",
      "POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nab\xff"
      "cdePOST /b HTTP/1.1\r\nHost: h\r\n"
      "Content-Length: 0\r\n\r\nHEAD /c HTTP/1.1\r\nHost: h\r\nX-Request-Id: r\r\n\r\n",
      "POST /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5;x=y\r\nab\xff"
      "cde\r\n0\r\nT: t\r\n\r\n"
      "\r\nGET http://h/b HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
      "POST /a HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n\xff"
      "abc\xff\xff",
      "GET /a HTTP/1.0\r\nConnection: keep-alive\r\n\r\nGET /b HTTP/1.0\r\n\r\n",
      "OPTIONS * HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\nTransfer-Encoding: gzip\r\n\r\n"};
  std::vector<std::string> seeds;
  for (const std::string& connection : connections) {
    for (const char first : {'\x00', '\x01', '\x02', '\x03', '\x04', '\x05', '\x83', '\x84'}) {
      seeds.push_back(first + connection);
    }
  }
  return seeds;
}

}  // namespace touchstone::testing
