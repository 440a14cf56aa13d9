//! The requests and replies of etcd's JSON gateway, as far as they are used here.
//!
//! Protobuf's JSON: keys and values are base64, 64-bit numbers are strings, and a field that is
//! zero, false or empty is left out of a reply.

use serde::{Deserialize, Deserializer, Serialize, de};
use serde_json::{Value, json};

use crate::catalog::etcd::base64;

/// Every key of a shop is below this.
pub(super) const ROOT: &str = "bazar/";

/// The first key after all of those.
pub(super) const ROOT_END: &str = "bazar0";

/// What stands at a key.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(super) struct KeyValue {
    #[serde(deserialize_with = "bytes")]
    pub(super) key: Vec<u8>,
    #[serde(deserialize_with = "bytes")]
    pub(super) value: Vec<u8>,
    /// The revision of its last change.
    #[serde(deserialize_with = "int64")]
    pub(super) mod_revision: u64,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Header {
    /// Of the whole store.
    #[serde(deserialize_with = "int64")]
    pub(super) revision: u64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct RangeReply {
    pub(super) kvs: Vec<KeyValue>,
    /// The limit was reached.
    pub(super) more: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct TxnReply {
    pub(super) header: Header,
    pub(super) succeeded: bool,
    pub(super) responses: Vec<OpReply>,
}

/// The reply to one operation of a txn: that of a put or a delete says nothing.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct OpReply {
    pub(super) response_range: Option<RangeReply>,
    pub(super) response_txn: Option<TxnReply>,
}

/// A line of a watch.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct WatchLine {
    pub(super) result: Option<WatchReply>,
    pub(super) error: Value,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct WatchReply {
    pub(super) canceled: bool,
    /// What came before is gone.
    #[serde(deserialize_with = "int64")]
    pub(super) compact_revision: u64,
    pub(super) events: Vec<Event>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Event {
    /// Left out: a put.
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) kv: KeyValue,
}

/// The body of an error.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ErrorReply {
    pub(super) message: String,
    pub(super) error: Value,
    /// gRPC's.
    pub(super) code: u32,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct StatusReply {
    pub(super) version: String,
}

/// If all of `compare` is so, all of `success` is done, otherwise all of `failure`.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Txn {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) compare: Vec<Compare>,
    pub(super) success: Vec<Operation>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) failure: Vec<Operation>,
}

/// That a key is at a revision.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Compare {
    key: String,
    target: &'static str,
    mod_revision: String,
}

#[derive(Clone, Debug, Serialize)]
pub(super) enum Operation {
    #[serde(rename = "request_range")]
    Range(Range),
    #[serde(rename = "request_put")]
    Put { key: String, value: String },
    #[serde(rename = "request_delete_range")]
    Delete { key: String },
    #[serde(rename = "request_txn")]
    Txn(Txn),
}

#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Range {
    key: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    range_end: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    limit: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    min_mod_revision: Option<String>,
}

/// Reads one key.
pub(super) fn range(key: &str) -> Operation {
    Operation::Range(Range {
        key: encoded(key),
        ..Range::default()
    })
}

/// Reads the keys from `first` to `end`, without `end`, in their order: at most `limit`, 0 being
/// all, and only those that have changed since `min_revision`.
pub(super) fn range_between(first: &str, end: &str, limit: usize, min_revision: u64) -> Operation {
    Operation::Range(Range {
        key: encoded(first),
        range_end: Some(encoded(end)),
        limit: Some(limit.to_string()),
        min_mod_revision: Some(min_revision.to_string()),
    })
}

pub(super) fn put(key: &str, value: &[u8]) -> Operation {
    Operation::Put {
        key: encoded(key),
        value: base64::encode(value),
    }
}

/// Deletes a key that is never there. It changes nothing, makes no revision, needs no space, and
/// yet goes through etcd's log: what is read in the same txn is as new as the log.
pub(super) fn through_log() -> Operation {
    Operation::Delete {
        key: encoded("bazar/none"),
    }
}

/// That a key is at this revision, 0 if it is not there.
pub(super) fn is_at(key: &str, revision: u64) -> Compare {
    // What is compared is equality, if nothing is said.
    Compare {
        key: encoded(key),
        target: "MOD",
        mod_revision: revision.to_string(),
    }
}

impl Txn {
    /// On no condition.
    pub(super) fn of(success: Vec<Operation>) -> Txn {
        Txn {
            success,
            ..Txn::default()
        }
    }
}

/// Follows the keys from `first` to `end`, without `end`, from a revision on.
pub(super) fn watch(first: &str, end: &str, revision: u64) -> Value {
    json!({"create_request": {
        "key": encoded(first),
        "range_end": encoded(end),
        "start_revision": revision.to_string(),
    }})
}

fn encoded(key: &str) -> String {
    base64::encode(key.as_bytes())
}

fn bytes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
    let text = String::deserialize(deserializer)?;
    base64::decode(&text).ok_or_else(|| de::Error::custom("not base64"))
}

fn int64<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    let text = String::deserialize(deserializer)?;
    text.parse().map_err(de::Error::custom)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_zero_is_left_out_of_a_reply() {
        let failed =
            r#"{"header":{"revision":"7"},"responses":[{"response_range":{"header":{}}}]}"#;
        let reply: TxnReply = serde_json::from_str(failed).unwrap();
        assert!(!reply.succeeded && reply.header.revision == 7);
        assert!(
            reply.responses[0]
                .response_range
                .as_ref()
                .unwrap()
                .kvs
                .is_empty()
        );
        let full = r#"{"kvs":[{"key":"YQ==","value":"Yg==","mod_revision":"9","version":"1"}]}"#;
        let reply: RangeReply = serde_json::from_str(full).unwrap();
        let kv = KeyValue {
            key: b"a".into(),
            value: b"b".into(),
            mod_revision: 9,
        };
        assert_eq!((reply.kvs, reply.more), (vec![kv], false));
    }

    #[test]
    fn a_watch_that_is_compacted_says_so() {
        let line = r#"{"result":{"canceled":true,"compact_revision":"12"}}"#;
        let line: WatchLine = serde_json::from_str(line).unwrap();
        let reply = line.result.unwrap();
        assert_eq!((reply.canceled, reply.compact_revision), (true, 12));
    }
}
