//! The rows of `src/API.md` for every server.

pub const USUAL: &str = r#"
= GET /livez → 200
GET /livez   | 200 | {"live":true}
= HEAD /livez → 200
HEAD /livez  | 200 |
= POST /livez → 405
POST /livez  | 405 | {"message":"The method is not allowed for the requested URL."} + Allow: GET, HEAD
= OPTIONS /livez → 204
OPTIONS /livez | 204 | + Allow: GET, HEAD, OPTIONS
= GET /readyz → 200
GET /readyz  | 200 | fields ready, server
= GET /version → 200
GET /version | 200 | fields server, version
= GET /openapi.json → 200
GET /openapi.json | 200 | fields openapi, info, paths, components
= GET /status → 200
GET /status | 200 | text "name", "uptime_s", "contacts"
= GET /metrics → 200
GET /metrics | 200 | text # TYPE, bazar_http_requests_total, process_open_fds + Content-Type: text/plain; version=0.0.4; charset=utf-8
= GET /traces/<trace> → 200
GET /traces/4bf92f3577b34da6a3ce929d0e0e4736 | 200 | fields server, address, spans
= GET /traces/<trace> → 400
GET /traces/4BF92F3577B34DA6A3CE929D0E0E4736 | 400 | message hex digits
= GET /traces?since=<n> → 200
GET /traces?since=0 | 200 | fields server, next, spans
= GET /traces?since=<n> → 400
GET /traces?since=yesterday | 400 | message since
= GET /<unknown> → 404
GET /nowhere | 404 | {"message":"The requested URL was not found on the server. If you entered the URL manually please check your spelling and try again."}
GET //       | 404 | {"message":"The requested URL was not found on the server. If you entered the URL manually please check your spelling and try again."}
GET /buy/    | 404 | {"message":"The requested URL was not found on the server. If you entered the URL manually please check your spelling and try again."}
= GET /<unknown> → 400
GET /%zz     | 400 | message escape
GET /%ff     | 400 | message UTF-8
GET /nowhere#a | 400 | message path
GET /nowhere + Host: a + Host: a | 400 | message Host
GET /nowhere + Two/Words: a | 400 | message header
= GET /<unknown> → 403
GET /nowhere + Host: evil.example | 403 | message Host, SERVICE_TOKEN
GET /metrics + Host: localhost.evil.example:80 | 403 | message Host, SERVICE_TOKEN
= PUT /<unknown> → 403
PUT /nowhere + Origin: https://evil.example | 403 | message origin, ALLOWED_ORIGINS
PUT /livez + Sec-Fetch-Site: cross-site | 403 | message origin, ALLOWED_ORIGINS
= BREW /<unknown> → 501
BREW /nowhere | 501 | message method
= GET /<unknown> → 414
GET /{x*9000} | 414 | message
= GET /<unknown> → 431
GET /nowhere + X-Long: {x*20000} | 431 | message
= PUT /<unknown> → 400
PUT /nowhere + Content-Length: -1 | 400 | message Content-Length + Connection: close
PUT /nowhere {} + Content-Length: 2 | 400 | message Content-Length
PUT /nowhere + Transfer-Encoding: gzip | 400 | message chunked
= PUT /<unknown> → 413
PUT /nowhere {x*70000} | 413 | message 65536
"#;

/// No other server runs.
pub const ALONE: &str = r#"
= GET /readyz → 503
GET /readyz | 503 | fields ready, server, missing + Retry-After: 1
"#;

/// With a service token.
pub const TOKEN: &str = r#"
= GET /metrics → 401
GET /metrics                                    | 401 | message Authorization + WWW-Authenticate: Bearer
GET /metrics + Authorization: Bearer another    | 401 | message Authorization + WWW-Authenticate: Bearer
"#;
