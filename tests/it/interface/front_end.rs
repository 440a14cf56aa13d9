//! The rows of `src/API.md` for front-ends.

pub const USUAL: &str = r#"
= GET /search/<text> → 200
GET /search/distributed                    | 200 | [{"id":1,"title":"How to get a good grade in DOS in 20 minutes a day","topic":"Distributed Systems"},{"id":2,"title":"RPCs for Dummies","topic":"Distributed Systems"}] + Cache-Status: bazar; fwd=miss + Content-Type: application/json
GET /search/PIONEER                        | 200 | []
GET /search/Developer%20LIFE               | 200 | [{"id":7,"title":"Spring in the Pioneer Valley","topic":"Developer Life"}]
GET /search/%25                            | 200 | []
GET /search/_                              | 200 | []
GET /search/a%2Fb                          | 200 | []
= GET /search/<text>?limit=<n>&after=<id> → 200
GET /search/distributed?limit=1            | 200 | [{"id":1,"title":"How to get a good grade in DOS in 20 minutes a day","topic":"Distributed Systems"}] + Link: <?limit=1&after=1>; rel="next"
GET /search/distributed?limit=2&after=1    | 200 | [{"id":2,"title":"RPCs for Dummies","topic":"Distributed Systems"}] + Link: 
GET /search/distributed?limit=0            | 200 | [] + Link: 
GET /search/distributed?after=1            | 200 | [{"id":2,"title":"RPCs for Dummies","topic":"Distributed Systems"}]
= GET /search/<text>?limit=<n>&after=<id> → 400
GET /search/developer?limit=many           | 400 | message limit
GET /search/developer?after=1.5            | 400 | message after
= GET /search/<text> → 304
GET /search/developer + If-None-Match: "1", * | 304 |
= PUT /search/<text> → 405
PUT /search/distributed                    | 405 | message + Allow: GET, HEAD
= GET /titles/<text> → 200
GET /titles/rpcs                           | 200 | [{"id":2,"title":"RPCs for Dummies","topic":"Distributed Systems"}] + Cache-Status: bazar; fwd=miss + Content-Type: application/json
GET /titles/RPCs                           | 200 | [{"id":2,"title":"RPCs for Dummies","topic":"Distributed Systems"}] + Cache-Status: bazar; hit + Cache-Control: no-cache
= GET /titles/<text>?limit=<n>&after=<id> → 200
GET /titles/the?limit=1&after=3            | 200 | [{"id":4,"title":"Cooking for the Impatient Graduate Student","topic":"Graduate School"}] + Link: <?limit=1&after=4>; rel="next"
= GET /titles/<text>?limit=<n>&after=<id> → 400
GET /titles/the?limit=many                 | 400 | message limit
= PUT /titles/<text> → 405
PUT /titles/the                            | 405 | message + Allow: GET, HEAD
= GET /lookup/<id> → 200
GET /lookup/2                              | 200 | {"price":50.0,"quantity":5,"title":"RPCs for Dummies"} + Cache-Status: bazar; fwd=miss + Content-Type: application/json
GET /lookup/002                            | 200 | {"price":50.0,"quantity":5,"title":"RPCs for Dummies"} + Cache-Status: bazar; hit
GET /lookup/2?any=thing                    | 200 | {"price":50.0,"quantity":5,"title":"RPCs for Dummies"}
= GET /lookup/<id> → 304
GET /lookup/2 + If-None-Match: *           | 304 | + Cache-Status: bazar; hit + Cache-Control: no-cache
= PUT /buy/<id> → 200
PUT /buy/2 + Idempotency-Key: mine         | 200 | {"message":"Book with the specified ID purchased","success":true} + Idempotent-Replayed: 
PUT /buy/2 + Idempotency-Key: mine         | 200 | {"message":"Book with the specified ID purchased","success":true} + Idempotent-Replayed: true
= GET /lookup/<id> → 200
GET /lookup/2                              | 200 | {"price":50.0,"quantity":4,"title":"RPCs for Dummies"} + Cache-Status: bazar; fwd=miss
= GET /lookup/<id> → 422
GET /lookup/two                            | 422 | {"message":"Book ID must be a number"}
GET /lookup/1.5                            | 422 | {"message":"Book ID must be a number"}
GET /lookup/-1                             | 422 | {"message":"Book ID must be a number"}
GET /lookup/%C2%B2                         | 422 | {"message":"Book ID must be a number"}
GET /lookup/%201                           | 422 | {"message":"Book ID must be a number"}
= GET /lookup/<id> → 404
GET /lookup/99                             | 404 | {"message":"Book with the specified ID does not exist"}
GET /lookup/99999999999999999999999        | 404 | {"message":"Book with the specified ID does not exist"}
= PUT /lookup/<id> → 405
PUT /lookup/2                              | 405 | message + Allow: GET, HEAD
= PUT /buy/<id> → 400
PUT /buy/2 + Idempotency-Key: two words    | 400 | message Idempotency-Key, 255
PUT /buy/2 + Idempotency-Key: a + Idempotency-Key: b | 400 | message Idempotency-Key
= DELETE /invalidate/item/<id> → 204
DELETE /invalidate/item/2                  | 204 |
DELETE /invalidate/item/2,3                | 204 |
= DELETE /invalidate/item/<id> → 422
DELETE /invalidate/item/two                | 422 | {"message":"Book ID must be a number"}
= DELETE /invalidate/item/ → 204
DELETE /invalidate/item/                   | 204 |
= DELETE /invalidate/topic/<topic> → 204
DELETE /invalidate/topic/Graduate%20School | 204 |
= DELETE /invalidate/topic/ → 204
DELETE /invalidate/topic/                  | 204 |
= GET /invalidate/item/<id> → 405
GET /invalidate/item/2                     | 405 | message + Allow: DELETE
= PUT /hold → 204
PUT /hold {"start":1,"number":2,"items":[2,3]} | 204 |
PUT /hold {"start":1,"number":3,"items":[],"topics":["Graduate School"],"all_topics":true} | 204 |
= PUT /hold → 400
PUT /hold {                                | 400 | message JSON
= PUT /hold → 422
PUT /hold {"start":1}                      | 422 | message number
= GET /hold → 405
GET /hold                                  | 405 | message + Allow: PUT
= PUT /release → 204
PUT /release {"start":1,"number":3,"items":[2,3],"all_topics":true} | 204 |
= PUT /release → 400
PUT /release {                             | 400 | message JSON
= PUT /release → 422
PUT /release {"start":1}                   | 422 | message number
= GET /release → 405
GET /release                               | 405 | message + Allow: PUT
= GET /dump/ → 200
GET /dump/                                 | 200 | {"lookup":[],"search":[]}
= PUT /dump/ → 405
PUT /dump/                                 | 405 | message + Allow: GET, HEAD
= GET / → 200
GET /                                      | 200 | fields server, paths + Content-Type: application/json + Vary: Accept + Cache-Control: no-cache
GET / + Accept: */*                        | 200 | fields server, paths + Content-Type: application/json
GET / + Accept: text/html,*/*;q=0.8        | 200 | text <!doctype html>, /page/shop.js + Content-Type: text/html; charset=utf-8 + Vary: Accept + Cache-Control: no-cache + X-Content-Type-Options: nosniff + Content-Security-Policy: default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'
GET /?topic=any                            | 200 | fields server, paths
= PUT / → 405
PUT /                                      | 405 | message + Allow: GET, HEAD
= GET /page/<file> → 200
GET /page/shop.css                         | 200 | text prefers-color-scheme + Content-Type: text/css; charset=utf-8
GET /page/shop.js                          | 200 | text Idempotency-Key + Content-Type: text/javascript; charset=utf-8
GET /page/favicon.svg                      | 200 | text <svg + Content-Type: image/svg+xml
= GET /page/<file> → 304
GET /page/shop.css + If-None-Match: * | 304 |
= GET /page/<file> → 404
GET /page/shop.html                        | 404 | message
= PUT /page/<file> → 405
PUT /page/shop.js                          | 405 | message + Allow: GET, HEAD
= GET / → 304
GET / + If-None-Match: *                   | 304 | + Vary: Accept
"#;

/// No other server runs.
pub const ALONE: &str = r#"
= GET /titles/<text> → 504
GET /titles/rpcs | 504 | {"message":"Could not connect to a server to search"}
= GET /search/<text> → 504
GET /search/x   | 504 | {"message":"Could not connect to a server to search"}
= GET /lookup/<id> → 504
GET /lookup/1   | 504 | {"message":"Could not connect to a server to lookup"}
= PUT /buy/<id> → 504
PUT /buy/1      | 504 | {"message":"Could not connect to a server to buy"} + Bazar-Outcome: none
= GET /lookup/<id> → 422
GET /lookup/one | 422 | {"message":"Book ID must be a number"}
= GET /orders/<order> → 504
GET /orders/8.4 | 504 | message order
"#;
