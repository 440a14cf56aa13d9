//! The rows of `src/API.md` for order servers. Some are the same for front-ends.

pub const USUAL: &str = r#"
= PUT /buy/<id> → 200
PUT /buy/1                               | 200 | {"message":"Book with the specified ID purchased","success":true}
PUT /buy/6 + Bazar-Order: 8.4; open=4    | 200 | {"message":"Book with the specified ID purchased","success":true} + Idempotent-Replayed: 
PUT /buy/6 + Bazar-Order: 8.4; open=4    | 200 | {"message":"Book with the specified ID purchased","success":true} + Idempotent-Replayed: true
PUT /buy/6 {"quantity":2} + Bazar-Order: 8.5; open=4 | 200 | {"message":"Book with the specified ID purchased","success":true}
PUT /buy/6 + Bazar-Order: 8.5; open=4; copies=2 | 200 | {"message":"Book with the specified ID purchased","success":true} + Idempotent-Replayed: true
= PUT /buy/<id> → 422
PUT /buy/6 + Bazar-Order: 8.5; open=4    | 422 | message another number of copies
= PUT /buy/<id> → 409
PUT /buy/6 + Bazar-Order: 8.3; open=1    | 409 | {"message":"order is closed","closed":["8.3"],"forgotten":0}
= PUT /buy/<id> → 400
PUT /buy/1 + Bazar-Order: mine           | 400 | message Bazar-Order
PUT /buy/1 + Idempotency-Key: two words  | 400 | message Idempotency-Key
= PUT /batch/buy → 200
PUT /batch/buy [{"id":1,"order":"9.1; open=1","request":"r"},{"id":99,"order":"9.2; open=1","request":"r"}] | 200 | [{"status":200,"headers":{"Location":"/orders/9.1"},"body":{"message":"Book with the specified ID purchased","success":true}},{"status":404,"body":{"message":"Book with the specified ID does not exist"}}]
= PUT /batch/buy → 400
PUT /batch/buy []]                       | 400 | message line 1
= PUT /batch/buy → 422
PUT /batch/buy []                        | 422 | message 256
PUT /batch/buy [{"id":1,"order":"x","request":"r"}] | 422 | message order
= GET /batch/buy → 405
GET /batch/buy                           | 405 | message + Allow: PUT
"#;

/// A buy that is refused, here and at a front-end.
pub const REFUSED: &str = r#"
= PUT /buy/<id> → 400
PUT /buy/2 three                           | 400 | message JSON
= PUT /buy/<id> → 404
PUT /buy/99                                | 404 | {"message":"Book with the specified ID does not exist"}
= PUT /buy/<id> → 411
PUT /buy/2 + Transfer-Encoding: chunked | 411 | message Transfer-Encoding
= PUT /buy/<id> → 422
PUT /buy/2?quantity=3                      | 422 | message parameters, {"quantity":3}
PUT /buy/2 {"quantity":0}                  | 422 | message quantity was 0, 1 to 1000
PUT /buy/2 {"quantity":1001}               | 422 | message quantity was 1001
PUT /buy/2 {"copies":2}                    | 422 | message copies
PUT /buy/two                               | 422 | {"message":"Book ID must be a number"}
= GET /orders/<order> → 200
GET /orders/8.4 | 200 | fields order, id, title, quantity, price, total, time, status
= GET /orders/<order> → 404
GET /orders/8.9 | 404 | message order
GET /orders/x | 404 | message order
= PUT /orders/<order> → 405
PUT /orders/8.4 | 405 | message + Allow: GET, HEAD
= GET /buy/<id> → 405
GET /buy/2                                 | 405 | {"message":"The method is not allowed for the requested URL."} + Allow: PUT
"#;

/// The other catalog has the key `k` in use. The same at a front-end.
pub const KEY_IN_USE: &str = r#"
= PUT /buy/<id> → 409
PUT /buy/2 + Idempotency-Key: k            | 409 | fields message, in_use
"#;

/// Book 1 is sold out. The same at a front-end.
pub const SOLD_OUT: &str = r#"
= PUT /buy/<id> → 200
PUT /buy/1 | 200 | {"message":"Book with the specified ID is out of stock","success":false}
PUT /buy/4 {"quantity":1000} | 200 | {"message":"Book with the specified ID is out of stock","success":false}
"#;

/// No other server runs.
pub const ALONE: &str = r#"
= PUT /buy/<id> → 504
PUT /buy/1 | 504 | {"message":"Could not connect to the catalog server"} + Bazar-Outcome: none
= GET /orders/<order> → 504
GET /orders/8.4 | 504 | message
"#;

/// Other buyers are always faster. The same at a front-end.
pub const CONFLICTS: &str = r#"
= PUT /buy/<id> → 503
PUT /buy/1 | 503 | message + Retry-After: 1 + Bazar-Outcome: none
"#;

/// The disk refuses. The same at a front-end.
pub const DISK: &str = r#"
= PUT /buy/<id> → 507
PUT /buy/1 | 507 | message + Bazar-Outcome: unknown
"#;
