//! The rows of `src/API.md` for catalogs.

pub const USUAL: &str = r#"
= GET /query/item/<id> → 200
GET /query/item/3                                            | 200 | {"price":15.0,"quantity":10,"title":"Xen and the Art of Surviving Graduate School"} + ETag: "0-0"
= GET /query/item/<id> → 404
GET /query/item/99                                           | 404 | {"message":"Not found"}
GET /query/item/three                                        | 404 | {"message":"Not found"}
= GET /query/topic/<text> → 200
GET /query/topic/developer                                   | 200 | [{"id":7,"title":"Spring in the Pioneer Valley","topic":"Developer Life"}]
= GET /query/<other>/<text> → 404
GET /query/author/x                                          | 404 | {"message":"Invalid query method","supportedQueryMethods":["item","topic"]}
= GET /query/item/<id> → 304
GET /query/item/3 + If-None-Match: W/"9-9", "0-0" | 304 | + ETag: "0-0"
= PUT /update/<id> → 200
PUT /update/3 {}                                             | 200 | {"price":15.0,"quantity":10,"title":"Xen and the Art of Surviving Graduate School","topic":"Graduate School"}
PUT /update/3                                                | 200 | {"price":15.0,"quantity":10,"title":"Xen and the Art of Surviving Graduate School","topic":"Graduate School"}
PUT /update/3 {"quantity":null}                              | 200 | {"price":15.0,"quantity":10,"title":"Xen and the Art of Surviving Graduate School","topic":"Graduate School"}
PUT /update/3 {"quantity":9,"price":14.5} + If-Match: "7-7", "0-0" | 200 | {"price":14.5,"quantity":9,"title":"Xen and the Art of Surviving Graduate School","topic":"Graduate School"}
= PUT /update/<id> → 412
PUT /update/4 {"quantity":1} + If-None-Match: *     | 412 | message version
PUT /update/4 {"quantity":1} + If-None-Match: "0-0" | 412 | message version
PUT /update/4 {"quantity":1} + If-Match: "7-7" + If-Match: "8-8" | 412 | message If-Match
PUT /update/3 {"quantity":8} + If-Match: "0-0"            | 412 | message If-Match
= PUT /update/<id> → 400
PUT /update/3 {"quantity":8} + If-Match: 0-0              | 400 | message If-Match
= PUT /update/<id> → 200
PUT /update/3 {"title":"Xen","topic":"Virtual Machines"} + If-Match: * | 200 | {"price":14.5,"quantity":9,"title":"Xen","topic":"Virtual Machines"}
PUT /update/5 {"quantity":23,"orders":["7.1; open=1","7.2; open=1"]} + If-Match: "0-0" | 200 | {"price":10.0,"quantity":23,"title":"How to finish Project 3 on time","topic":"University Problems"}
= PUT /update/<id> → 409
PUT /update/5 {"quantity":22,"orders":["7.2; open=1","7.3; open=1"]} + If-Match: * | 409 | {"message":"Some of these orders were applied already","applied":["7.2"]}
= PUT /update/<id> → 200
PUT /update/5 {"quantity":22} + Bazar-Order: 7.1; open=1 | 200 | {"price":10.0,"quantity":23,"title":"How to finish Project 3 on time","topic":"University Problems"} + Idempotent-Replayed: true
= GET /query/item/<id> → 200
GET /query/item/5 + Bazar-Order: 7.2; open=1              | 200 | {"price":10.0,"quantity":23,"title":"How to finish Project 3 on time"} + Bazar-Applied: 7.2
= PUT /update/<id> → 200
PUT /update/5 {"quantity":22,"orders":["7.4; open=4"]} + If-Match: * | 200 | {"price":10.0,"quantity":22,"title":"How to finish Project 3 on time","topic":"University Problems"}
= PUT /update/<id> → 409
PUT /update/5 {"quantity":21} + Bazar-Order: 7.3; open=1 | 409 | {"message":"order is closed","closed":["7.3"],"forgotten":0}
= PUT /update/<id> → 422
PUT /update/5 {"quantity":21,"orders":["7.5; open=5"]}       | 422 | message If-Match
PUT /update/5 {"orders":["7.5; open=5"]} + If-Match: *       | 422 | message quantity
= PUT /update/<id> → 404
PUT /update/99 {"quantity":8}                                | 404 | {"message":"Not found"}
PUT /update/three {"quantity":8}                             | 404 | {"message":"Not found"}
= PUT /update/<id> → 400
PUT /update/4 quantity=8                                     | 400 | message line 1
PUT /update/4 {"price":NaN}                                  | 400 | message line 1
PUT /update/4 {"price":1e400}                                | 400 | message line 1
= PUT /update/<id> → 422
PUT /update/4 []                                             | 422 | message object
PUT /update/4 {"pages":8}                                    | 422 | message pages, quantity
PUT /update/4 {"quantity":-1}                                | 422 | message quantity, -1, 1000000000
PUT /update/4 {"price":1e-400}                               | 422 | message 1e-400
PUT /update/4 {"price":9007199254740993}                     | 422 | message price, 9007199254740993
PUT /update/4 {"price":1e308}                                | 422 | message price, 1000000000
PUT /update/4 {"price":0.0001}                               | 422 | message price, decimals
PUT /update/4 {"title":" "}                                  | 422 | message title, blank
PUT /update/4 {"price":-0.5}                                 | 422 | message price, -0.5
PUT /update/4 {"quantity":5.5}                               | 422 | message quantity, 5.5
PUT /update/4 {"quantity":1000000001}                        | 422 | message quantity, 1000000001
PUT /update/4 {"quantity":"5"}                               | 422 | message quantity, 5
PUT /update/4 {"price":true}                                 | 422 | message price, true
PUT /update/4 {"quantity":5,"quantity":5}                    | 422 | message quantity, twice
PUT /update/4 {"title":""}                                   | 422 | message title, 200
= GET /query/item/<id> → 200
GET /query/item/4                                            | 200 | {"price":10.0,"quantity":25,"title":"Cooking for the Impatient Graduate Student"} + ETag: "0-0"
= GET /query/item/<id> → 400
GET /query/item/3 + Bazar-Order: mine | 400 | message Bazar-Order
= GET /query/topic/<text>?limit=<n>&after=<id> → 200
GET /query/topic/distributed?limit=1&after=1 | 200 | [{"id":2,"title":"RPCs for Dummies","topic":"Distributed Systems"}] + Link: <?limit=1&after=2>; rel="next"
= GET /query/topic/<text>?limit=<n>&after=<id> → 400
GET /query/topic/distributed?limit=many | 400 | message limit
= PUT /query/item/<id> → 405
PUT /query/item/3 | 405 | message + Allow: GET, HEAD
= GET /update/<id> → 405
GET /update/3 | 405 | message + Allow: PUT, PATCH
= PATCH /update/<id> → 200
PATCH /update/6 {"quantity":10} + If-Match: * | 200 | text "quantity":10
PATCH /update/6 {"quantity":{"add":20}} + Idempotency-Key: d1 | 200 | text "quantity":30 + Idempotent-Replayed: 
PATCH /update/6 {"quantity":{"add":20}} + Idempotency-Key: d1 | 200 | text "quantity":30 + Idempotent-Replayed: true
PATCH /update/6 {"quantity":{"add":-21},"price":3} | 200 | text "quantity":9, "price":3.0
PATCH /update/6 {"quantity":{"add":1}} | 200 | text "quantity":10
PATCH /update/6 {} | 200 | text "quantity":10
= PATCH /update/<id> → 400
PATCH /update/6 | 400 | message JSON
PATCH /update/6 {"quantity":{"add":1}} + Idempotency-Key: a b | 400 | message Idempotency-Key
= PATCH /update/<id> → 404
PATCH /update/99 {"quantity":{"add":1}} | 404 | message
= PATCH /update/<id> → 412
PATCH /update/6 {"quantity":{"add":1}} + If-Match: "7-7" | 412 | message If-Match
= PATCH /update/<id> → 422
PATCH /update/6 {"quantity":{"add":-11}} | 422 | message quantity, 10, -11
PATCH /update/6 {"quantity":{"add":1000000000}} | 422 | message quantity, 1000000000
PATCH /update/6 {"quantity":{"add":1.5}} | 422 | message quantity, add
PATCH /update/6 {"quantity":{"add":1,"add":2}} | 422 | message quantity, add
PATCH /update/6 {"quantity":{"less":1}} | 422 | message quantity, add
PATCH /update/6 {"orders":["7.1; open=1"]} | 422 | message orders
= GET /dump/ → 200
GET /dump/ | 200 | text "sequence_number":2, "title":"Xen"
= GET /dump/?limit=<n>&after=<id> → 200
GET /dump/?limit=1&after=2 | 200 | text "id":3
GET /dump/?limit=0 | 200 | []
GET /dump/?after=9007199254740990 | 200 | []
= GET /dump/?limit=<n>&after=<id> → 400
GET /dump/?limit=x | 400 | message limit
GET /dump/?after=-1 | 400 | message after
= PUT /dump/ → 405
PUT /dump/ | 405 | message + Allow: GET, HEAD
= GET /orders/<order> → 200
GET /orders/7.1 | 200 | text "order":"7.1", "id":5, "quantity":1, "price":10.0, "total":10.0, "status":"sold"
= GET /orders/<order> → 404
GET /orders/7.9 | 404 | message order
= DELETE /orders/<order> → 200
DELETE /orders/7.1 | 200 | text "order":"7.1", "status":"cancelled"
DELETE /orders/7.1 | 200 | text "order":"7.1", "status":"cancelled"
= DELETE /orders/<order> → 404
DELETE /orders/7.9 | 404 | message order
= GET /query/item/<id> → 200
GET /query/item/5 | 200 | text "quantity":23
= PUT /orders/<order> → 405
PUT /orders/7.1 | 405 | message + Allow: GET, HEAD, DELETE
= GET /orders?since=<time>&until=<time>&book=<id>&limit=<n>&after=<order> → 200
GET /orders?book=5&limit=1 | 200 | text "order":"7.1", "status":"cancelled" + Link: <?book=5&limit=1&after=7.1>; rel="next"
GET /orders?book=5&limit=1&after=7.1 | 200 | text "order":"7.2", "status":"sold" + Link: <?book=5&limit=1&after=7.2>; rel="next"
GET /orders?since=2000-01-01&until=2000-01-02T12:00:00Z | 200 | []
= GET /orders?since=<time>&until=<time>&book=<id>&limit=<n>&after=<order> → 400
GET /orders?since=yesterday | 400 | message since
GET /orders?after=7 | 400 | message after
= GET /orders?since=<time>&until=<time>&book=<id>&limit=<n>&after=<order> → 404
GET /orders?after=7.9 | 404 | message order
= PUT /orders → 405
PUT /orders | 405 | message + Allow: GET, HEAD
= GET /ledger?limit=<n>&after=<entry> → 200
GET /ledger?limit=1 | 200 | text "at":, "book":, "opens":"stock"
= GET /ledger?limit=<n>&after=<entry> → 400
GET /ledger?after=7 | 400 | message after
= PUT /ledger → 405
PUT /ledger | 405 | message + Allow: GET, HEAD
= GET /versions?limit=<n>&after=<id> → 200
GET /versions?limit=1&after=3 | 200 | [{"id":4,"version":"0-0","quantity":25,"state":"valid"}]
= GET /versions?limit=<n>&after=<id> → 400
GET /versions?after=x | 400 | message after
= PUT /versions → 405
PUT /versions | 405 | message + Allow: GET, HEAD
"#;

/// New books.
pub const CREATE: &str = r#"
= POST /add → 201
POST /add {"title":"A","topic":"New","quantity":3,"price":1.5}           | 201 | {"id":8,"price":1.5,"quantity":3,"sequence_number":1,"title":"A","topic":"New"} + Location: /query/item/8
POST /add {"title":"A","topic":"New","quantity":0,"price":0,"id":20}     | 201 | {"id":20,"price":0.0,"quantity":0,"sequence_number":1,"title":"A","topic":"New"} + Location: /query/item/20
= POST /add → 409
POST /add {"title":"B","topic":"New","quantity":3,"price":1.5,"id":20}   | 409 | message ID, exists
POST /add {"title":"B","topic":"New","quantity":3,"price":1.5,"id":2}    | 409 | message ID, exists
= POST /add → 201
POST /add {"title":"C","topic":"New","quantity":3,"price":1.5}           | 201 | {"id":21,"price":1.5,"quantity":3,"sequence_number":1,"title":"C","topic":"New"} + Location: /query/item/21
= POST /add → 422
POST /add {"title":"D","topic":"New","quantity":-1,"price":1.5}          | 422 | message quantity, -1, 1000000000
POST /add {"title":"D","topic":"New","quantity":1.5,"price":1.5}         | 422 | message quantity, 1.5
POST /add {"title":"D","topic":"New","quantity":1,"price":-1}            | 422 | message price, -1
POST /add {"title":"","topic":"New","quantity":1,"price":1}              | 422 | message title, 200
POST /add {"title":"D","topic":"New","quantity":1,"price":1,"id":-1}     | 422 | message id, -1
POST /add {"title":"D","topic":"New","quantity":1,"price":1,"id":9007199254740992} | 422 | message id
POST /add {"title":"D","topic":"New","quantity":1,"price":1,"pages":1}   | 422 | message pages
POST /add {"title":"D","topic":"New","quantity":1}                       | 422 | message price
= POST /add → 400
POST /add title=D                                                        | 400 | message line 1
= POST /add → 422
POST /add 5                                                              | 422 | message
= POST /add → 200
POST /add []                                                             | 200 | []
= GET /add → 405
GET /add                                                                 | 405 | {"message":"The method is not allowed for the requested URL."} + Allow: POST
= GET /query/item/<id> → 200
GET /query/item/20                                                       | 200 | {"price":0.0,"quantity":0,"title":"A"}
= GET /query/topic/<text> → 200
GET /query/topic/new | 200 | [{"id":8,"title":"A","topic":"New"},{"id":20,"title":"A","topic":"New"},{"id":21,"title":"C","topic":"New"}]
"#;

/// Books that are removed, and a topic that is renamed.
pub const REMOVE: &str = r#"
= GET /titles/<text> → 200
GET /titles/ROJECT | 200 | [{"id":5,"title":"How to finish Project 3 on time","topic":"University Problems"}]
= GET /titles/<text>?limit=<n>&after=<id> → 200
GET /titles/the?limit=1&after=3 | 200 | [{"id":4,"title":"Cooking for the Impatient Graduate Student","topic":"Graduate School"}] + Link: <?limit=1&after=4>; rel="next"
= GET /titles/<text>?limit=<n>&after=<id> → 400
GET /titles/the?limit=many | 400 | message limit
= PUT /titles/<text> → 405
PUT /titles/the | 405 | message + Allow: GET, HEAD
= DELETE /book/<id> → 400
DELETE /book/7 + If-Match: 0-0 | 400 | message If-Match
= DELETE /book/<id> → 412
DELETE /book/7 + If-Match: "7-7" | 412 | message If-Match
= DELETE /book/<id> → 204
DELETE /book/7 + If-Match: "0-0" | 204 |
= DELETE /book/<id> → 404
DELETE /book/7 | 404 | {"message":"Not found"}
DELETE /book/99 | 404 | {"message":"Not found"}
DELETE /book/seven | 404 | {"message":"Not found"}
= GET /book/<id> → 405
GET /book/3 | 405 | message + Allow: DELETE
= GET /query/item/<id> → 404
GET /query/item/7 | 404 | {"message":"Not found"}
= PUT /update/<id> → 404
PUT /update/7 {"quantity":8} | 404 | {"message":"Not found"}
= GET /titles/<text> → 200
GET /titles/pioneer | 200 | []
= GET /query/topic/<text> → 200
GET /query/topic/developer | 200 | []
= PUT /topic/<topic> → 200
PUT /topic/Distributed%20Systems {"topic":"Computers"} | 200 | {"books":2}
= PUT /topic/<topic> → 404
PUT /topic/Distributed%20Systems {"topic":"Computers"} | 404 | {"message":"Not found"}
PUT /topic/computers {"topic":"Computers"} | 404 | {"message":"Not found"}
= PUT /topic/<topic> → 400
PUT /topic/Computers | 400 | message JSON
= PUT /topic/<topic> → 422
PUT /topic/Computers {"topic":" "} | 422 | message topic, blank
PUT /topic/Computers {"name":"x"} | 422 | message name
= GET /topic/<topic> → 405
GET /topic/Computers | 405 | message + Allow: PUT
= POST /add → 201
POST /add {"title":"S","topic":"New","quantity":2,"price":1,"id":7} | 201 | {"id":7,"price":1.0,"quantity":2,"sequence_number":2,"title":"S","topic":"New"} + Location: /query/item/7
= POST /add → 409
POST /add {"title":"S","topic":"New","quantity":2,"price":1,"id":7} | 409 | message ID, exists
= GET /query/item/<id> → 200
GET /query/item/7 | 200 | {"price":1.0,"quantity":2,"title":"S"}
"#;

pub const BATCH: &str = r#"
= PUT /batch/query → 200
PUT /batch/query [{"id":1,"orders":["7.1; open=1"]},{"id":99,"orders":["7.1; open=1"]}] | 200 | [{"status":200,"etag":"\"0-0\"","body":{"price":25.0,"quantity":10,"title":"How to get a good grade in DOS in 20 minutes a day"}},{"status":404,"body":{"message":"Not found"}}]
= PUT /batch/query → 400
PUT /batch/query [ | 400 | message line 1
= PUT /batch/query → 422
PUT /batch/query [] | 422 | message 256
PUT /batch/query [{"id":1}] | 422 | message orders
= PUT /batch/update → 200
PUT /batch/update [{"id":1,"if_match":"\"0-0\"","quantity":9,"orders":["7.1; open=1"]},{"id":2,"if_match":"\"9-9\"","quantity":9,"orders":["7.2; open=1"]}] | 200 | text [{"status":200, "etag":"\"1-, "body":{"price":25.0, "quantity":9, "title":"How to get a good grade in DOS in 20 minutes a day", "topic":"Distributed Systems"}}, {"body":{"message":"The book is at a version that If-Match or If-None-Match excludes"}, "status":412}]
= PUT /batch/update → 400
PUT /batch/update [ | 400 | message line 1
= PUT /batch/update → 422
PUT /batch/update {} | 422 | message list
= GET /batch/query → 405
GET /batch/query | 405 | message + Allow: PUT
"#;

/// Another catalog has a newer copy of book 2. After the refusal this one has it, too.
pub const OUTDATED: &str = r#"
= PUT /update/<id> → 409
PUT /update/2 {"quantity":9} | 409 | {"message":"Update could not be processed because the item is not up to date"}
= GET /query/item/<id> → 200
GET /query/item/2 | 200 | {"price":50.0,"quantity":1,"title":"RPCs for Dummies"} + ETag: "4-7"
"#;

/// The other catalog is stopped.
pub const STOPPED: &str = r#"
= PUT /update/<id> → 504
PUT /update/1 {"price":1} | 504 | message + Bazar-Outcome: unknown
"#;

/// The disk refuses.
pub const DISK: &str = r#"
= PUT /update/<id> → 507
PUT /update/2 {"quantity":1} | 507 | message + Bazar-Outcome: unknown
"#;

/// The other catalog has the key `k` in use.
pub const KEY_IN_USE: &str = r#"
= PATCH /update/<id> → 409
PATCH /update/2 {"quantity":{"add":20}} + Idempotency-Key: k | 409 | fields message, in_use
"#;

/// `catalog2` is the address of the other catalog, `standing` what it says of itself, `sender` that
/// with a token.
pub const BETWEEN_CATALOGS: &str = r#"
= PUT /rep/heartbeat → 200
PUT /rep/heartbeat {"from":"{catalog2}","standing":{standing},"known_listers":[]} | 200 | fields reply, standing, token
= PUT /rep/heartbeat → 403
PUT /rep/heartbeat {"from":"http://127.0.0.1:9"} | 403 | message CATALOG_ADDRESSES
= PUT /rep/get/<id> → 200
PUT /rep/get/1 {"id":1,"requesters":["{catalog2}"],"best":null} | 200 | fields book, state
= PUT /rep/get/<id> → 409
PUT /rep/get/1 {"id":1,"requesters":["{catalog2}"],"best":"9-9"} | 409 | message newer
= PUT /rep/ledger → 200
PUT /rep/ledger {"days":{"before":9}} | 200 | {"digests":{}}
PUT /rep/ledger {"keys":{"bucket":9,"after":null}} | 200 | {"keys":[]}
PUT /rep/ledger {"order":{"order":"7.9"}} | 200 | {"entries":[]}
= PUT /rep/keys → 200
PUT /rep/keys {"keys":[["new",1]]} | 200 | {"in_use":[],"sold":[]}
= PUT /rep/check/<id> → 200
PUT /rep/check/1 {"id":1,"version":"0-0"} | 200 | {}
= PUT /rep/check/<id> → 409
PUT /rep/check/1 {"id":1,"version":null} | 409 | fields book, state
= PUT /rep/confirm → 200
PUT /rep/confirm {"versions":[[1,"0-0"]]} | 200 | {}
= PUT /rep/page → 200
PUT /rep/page {"after":null,"limit":2,"standing":{standing}} | 200 | fields entries, standing
= PUT /rep/fetch → 200
PUT /rep/fetch {"ids":[7,99]} | 200 | text "books":[[, "id":7, "version":"0-0"
= PUT /rep/claim → 200
PUT /rep/claim {"versions":[[1,"0-0"],[2,"9-9"]],"sender":{sender}} | 200 | fields differing, start
= PUT /rep/update → 200
PUT /rep/update {"books":[{"id":1,"title":"T","topic":"P","quantity":3,"price":1.5,"version":"5-7"}],"sender":{sender}} | 200 | fields start
= PUT /rep/update → 409
PUT /rep/update {"books":[{"id":1,"title":"T","topic":"P","quantity":3,"price":1.5,"version":"2-7"}],"sender":{sender}} | 409 | fields conflicts, start
= PUT /rep/return → 200
PUT /rep/return {"sender":{sender},"begins":false,"left_out":[],"has":[]} | 200 | fields standing
= PUT /rep/dropped → 200
PUT /rep/dropped {"from":"{catalog2}","copies":[]} | 200 | {}
= PUT /rep/<kind> → 425
PUT /rep/claim {"versions":[],"sender":{"standing":{standing},"token":null}} | 425 | message heartbeat
= PUT /rep/<kind> → 400
PUT /rep/page { | 400 | message JSON
= PUT /rep/<kind> → 404
PUT /rep/nothing {} | 404 | message
= PUT /rep/<kind> → 422
PUT /rep/page {} | 422 | message
PUT /rep/check/1 {"id":2,"version":null} | 422 | message different books
= GET /rep/<kind> → 405
GET /rep/page | 405 | message + Allow: PUT
GET /rep/check/1 | 405 | message + Allow: PUT
"#;

/// Catalog 2 is on the left-out list.
pub const LEFT_OUT: &str = r#"
= PUT /rep/<kind> → 410
PUT /rep/update {"books":[],"sender":{sender}} | 410 | message left-out
PUT /rep/claim {"versions":[],"sender":{sender}} | 410 | message left-out
"#;
