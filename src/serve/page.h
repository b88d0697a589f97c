// The page's files, which are embedded in the program.
#pragma once

#include "serve/http_server.h"

namespace touchstone::serve {

/// The file at the request's path, or 304 where the client already has it, or 404.
HttpResponse show_page(const HttpRequest& request);

}  // namespace touchstone::serve
